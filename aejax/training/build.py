"""From a configuration to what is trained: the model, its state, and the step."""

import jax
import jax.numpy as jnp
import optax

from aejax import networks
from aejax.autoencoder import Autoencoder
from aejax.training.configuration import Configuration
from aejax.training.step import TrainState, TrainStep, create

__all__ = ["build"]


def build(
  configuration: Configuration, *, steps: int = 1
) -> tuple[Autoencoder, TrainState, TrainStep]:
  """The model, its fresh training state, and the step, as configured.

  Args:
    configuration: of the run.
    steps: how many the run has, for the schedule.
  """
  keys = jax.random.split(jax.random.key(configuration.seed), 3)
  objective = configuration.make_objective()
  model = networks.build(
    configuration.network,
    configuration.image_shape,
    latent_dim=configuration.latent_dim,
    gaussian=objective.gaussian_encoder,
    dtype=jnp.dtype(configuration.precision),
    key=keys[0],
  )
  rate = configuration.learning_rate
  schedule = (
    optax.cosine_decay_schedule(rate, steps) if configuration.schedule == "cosine" else rate
  )
  state, train_step = create(
    model,
    objective,
    optax.adam(schedule),
    key=keys[1],
    accumulate=configuration.accumulate,
    skip_nonfinite=configuration.skip_nonfinite,
  )
  return model, state, train_step
