"""A trained autoencoder, loaded from the work directory of its run."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Key, Num

from aejax import _checks
from aejax._batches import in_batches
from aejax.autoencoder import Autoencoder, Posterior
from aejax.data import Scaling
from aejax.networks.own import from_modules
from aejax.objectives import Objective
from aejax.priors import Prior
from aejax.training import configuration as configurations
from aejax.training.checkpoints import Checkpoints
from aejax.training.configuration import Configuration
from aejax.training.optimizers import trained_parameters
from aejax.training.options import GIVEN
from aejax.training.state import Given, build, fresh
from aejax.training.step import merge, replaced

__all__ = ["TrainedAutoencoder", "load_model"]


class TrainedAutoencoder:
  """Encodes, decodes, reconstructs and generates any number of examples with trained parameters.

  It can be pickled and copied if its networks can.

  Attributes:
    configuration: settings of the run.
    model: the trained model.
    step: number of steps that it was trained for.
  """

  configuration: Configuration
  model: Autoencoder
  step: int

  def __init__(self, configuration: Configuration, model: Autoencoder, step: int):
    self.configuration = configuration
    self.model = model
    self.step = step

  def __getstate__(self) -> dict[str, Any]:
    # Compiled functions cannot be pickled.
    return {name: v for name, v in vars(self).items() if name not in ("_posterior", "_decode")}

  @functools.cached_property
  def _posterior(self) -> Callable[[Array], Posterior]:
    model, scaling = self.model, self.scaling
    return jax.jit(lambda images: model.posterior(scaling.apply(images)))

  @functools.cached_property
  def _decode(self) -> Callable[[Array], Array]:
    model, scaling = self.model, self.scaling
    return jax.jit(lambda latents: scaling.undo(model.decode(latents)))

  @functools.cached_property
  def scaling(self) -> Scaling:
    """How values of the data reach the networks, and back."""
    return self.configuration.make_scaling()

  @property
  def prior(self) -> Prior:
    """The distribution that `generate` draws latents from: the prior of the objective."""
    prior = self.objective.latent_prior(self.configuration.latent_dim)
    return self.model.prior if prior is None else prior

  @functools.cached_property
  def objective(self) -> Objective:
    """The cost that the model was trained for."""
    return self.configuration.make_objective()

  def encode(
    self, images: Num[Array | np.ndarray, "n ..."] | list[Any], *, key: Key[Array, ""] | None = None
  ) -> Float[Array, "n d"]:
    """Returns the latents of examples.

    Args:
      images: any number of images, uint8 or floats in [0, 1]; or of other examples in the units of
        the data.
      key: random key. With it, a Gaussian encoder draws a latent from each posterior, as in
        training; together they are a sample of P_E(X). Without it, the latents are the means.

    Raises:
      ValueError: if the images have another shape or range than the training images.
    """
    posterior = self.posterior(images)
    return posterior.mean if key is None else posterior.sample(key)

  def posterior(self, images: Num[Array | np.ndarray, "n ..."] | list[Any]) -> Posterior:
    """Computes the posteriors of images, uint8 or floats in [0, 1], or of other examples.

    Raises:
      ValueError: if the images have another shape or range than the training images.
    """
    images = self.scaling.check(images, self.configuration.image_shape)
    return in_batches(self._posterior, images)

  def decode(self, latents: Float[Array | np.ndarray, "n d"] | list[Any]) -> Float[Array, "n ..."]:
    """Returns the images of latents, in [0, 1], or other examples in the units of the data."""
    return in_batches(self._decode, jnp.asarray(_checks.array("latents", latents)))

  def reconstruct(
    self, images: Num[Array | np.ndarray, "n ..."] | list[Any]
  ) -> Float[Array, "n ..."]:
    """Returns D(E(x)) for each example x."""
    return self.decode(self.encode(images))

  def generate(self, key: Key[Array, ""], num: int = 64) -> Float[Array, "{num} ..."]:
    """Returns the examples of `num` draws from `prior`.

    Raises:
      ValueError: if `num` is not a whole number from 1 up, or `key` is no random key.
    """
    key, num = _checks.key("key", key), _checks.integer("num", num)
    return self.decode(self.prior.sample(key, num))


def load_model(
  workdir: Path,
  configuration: Configuration,
  *,
  best: bool = False,
  model: Any = None,
  objective: Objective | None = None,
) -> tuple[Autoencoder, int]:
  """Returns the model of the newest checkpoint and its number of steps.

  Raises:
    ValueError: if the folder holds several runs, no checkpoint yet, or for `best` no complete epoch
      yet; or if `model` has other shapes than the checkpoint.
  """
  if configuration.seeds > 1:
    folders = ", ".join(
      folder.name for _, folder in configurations.seed_runs(configuration, workdir)
    )
    raise ValueError(f"{workdir} holds several runs: name one of the folders {folders} in it.")
  if not (workdir / "checkpoints").is_dir():
    raise ValueError(f"{workdir} holds no checkpoint yet.")
  if model is not None and not isinstance(model, Autoencoder):
    model = from_modules("model", model, configuration.latent_dim)
  has_optimizer = configuration.optimizer != GIVEN
  optimizer = None if has_optimizer else optax.identity()

  # Made outside of the tracing, which would leave its values in the prior.
  objective = configuration.make_objective() if objective is None else objective

  def fresh_run():
    # The schedule of the weight is no part of the state.
    given = Given(model, objective, optimizer, weight_schedule=lambda step: 1.0)
    built, state, _ = build(configuration, given=given)
    return built, fresh(state)

  # Shapes are enough: initial parameters would be compiled, drawn and thrown away.
  built, state = nnx.eval_shape(fresh_run)
  if not has_optimizer:  # the state of the optimizer is in the checkpoint, but not needed
    average = state.train.optimizer_state if configuration.ema_decay else None
    if average is not None:
      average = average._replace(inner=None, steps=None)
    train = replaced(state.train, optimizer_state=average, key=None)
    state = replaced(state, train=train, sums=None, best=replaced(state.best, loss=None))
  with Checkpoints(workdir / "checkpoints") as checkpoints:
    state = checkpoints.restore(state, partial=not has_optimizer)
  step, params = int(state.train.step), trained_parameters(state.train)
  if best:
    step, params = int(state.best.step), state.best.params
    if not step:
      raise ValueError(
        f"{workdir} holds no best epoch yet: no epoch was complete at its checkpoint."
      )
  return merge(built, params), step
