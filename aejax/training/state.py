"""All that a run carries from one call of the compiled loop to the next, and saves."""

import dataclasses
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from aejax import networks
from aejax.autoencoder import Autoencoder
from aejax.training.configuration import Configuration
from aejax.training.epoch import Sums, zero_sums
from aejax.training.step import TrainState, TrainStep, create

__all__ = ["Best", "RunState", "build", "end_epoch", "fresh"]


@no_type_check  # JAX makes them of shapes and of shardings too
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Best:
  """The parameters after the epoch with the lowest mean loss so far.

  Attributes:
    loss: its mean loss; the largest number before the first.
    step: how many steps had been taken.
    params: the parameters.
  """

  loss: Float[Array, ""]
  step: Int[Array, ""]
  params: Any


@no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class RunState:
  """What a run needs to go on as if it had never stopped.

  Attributes:
    train: the state of the train step.
    sums: of the epoch so far.
    best: of the epochs so far.
  """

  train: TrainState
  sums: Sums
  best: Best


def fresh(train: TrainState) -> RunState:
  """The state of a run that starts."""
  params = jax.tree.map(jnp.copy, train.params)  # the train state is donated
  best = Best(jnp.full((), jnp.finfo(jnp.float32).max), jnp.zeros((), jnp.int32), params)
  return RunState(train, zero_sums(), best)


@jax.jit
def end_epoch(state: RunState, steps_per_epoch: Int[Array, ""] | int) -> RunState:
  """Remembers the epoch if it was the best, and starts the sums anew."""
  steps = steps_per_epoch - state.sums.skipped
  loss = state.sums.totals["loss"] / jnp.maximum(steps, 1)
  # Not with NaN, which is never less; nor where every step was skipped.
  better = (loss < state.best.loss) & (steps > 0)
  now = Best(loss, state.train.step, state.train.params)
  best = jax.tree.map(lambda new, old: jnp.where(better, new, old), now, state.best)
  return RunState(state.train, zero_sums(), best)


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
