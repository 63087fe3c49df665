"""A trained autoencoder, loaded from the work directory of its run."""

import dataclasses
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.core import Tracer
from jaxtyping import Array, Float, Key, Num

from aejax import _checks
from aejax.autoencoder import Autoencoder, Posterior, pixels
from aejax.networks.own import from_modules
from aejax.objectives import Objective
from aejax.priors import Prior
from aejax.training import configuration as configurations
from aejax.training.checkpoints import Checkpoints
from aejax.training.configuration import Configuration
from aejax.training.optimizers import trained_parameters
from aejax.training.options import GIVEN
from aejax.training.state import Given, RunState, build, fresh
from aejax.training.step import merge

__all__ = ["TrainedAutoencoder", "load", "load_model"]

T = TypeVar("T")

# Rows per call of the network: bounds the memory of a convolutional network's activations.
_BATCH_SIZE = 512


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
    model = self.model
    return jax.jit(lambda images: model.posterior(pixels(images)))

  @functools.cached_property
  def _decode(self) -> Callable[[Array], Array]:
    return jax.jit(self.model.decode)

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
      images: any number of examples; images are uint8 or floats in [0, 1].
      key: random key. With it, a Gaussian encoder draws a latent from each posterior, as in
        training; together they are a sample of P_E(X). Without it, the latents are the means.

    Raises:
      ValueError: if the examples have another shape than those of training, or images are not uint8
        or floats in [0, 1].
    """
    posterior = self.posterior(images)
    return posterior.mean if key is None else posterior.sample(key)

  def posterior(self, images: Num[Array | np.ndarray, "n ..."] | list[Any]) -> Posterior:
    """Computes the posteriors of examples; images are uint8 or floats in [0, 1].

    Raises:
      ValueError: if the examples are not of the shape that the model was trained on, or no pixels.
    """
    images, shape = _checks.array("images", images), self.configuration.image_shape
    if images.ndim != 1 + len(shape) or images.shape[1:] != shape:
      raise ValueError(
        f"images must have shape [n, {', '.join(map(str, shape))}], but have shape "
        f"{list(images.shape)}."
      )
    has_range = jnp.issubdtype(images.dtype, jnp.floating) and not isinstance(images, Tracer)
    if self.configuration.data_range == "unit" and has_range and images.size:
      low, high = images.min(), images.max()
      if not (low >= 0 and high <= 1):  # also True for NaN
        raise ValueError(f"images must be uint8, or floats in [0, 1], but span [{low}, {high}].")
    return _in_batches(self._posterior, images)

  def decode(self, latents: Float[Array | np.ndarray, "n d"] | list[Any]) -> Float[Array, "n ..."]:
    """Returns the examples of latents; images are in [0, 1]."""
    return _in_batches(self._decode, jnp.asarray(_checks.array("latents", latents)))

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


def load(
  workdir: str | os.PathLike[str], *, best: bool = False, model: Any = None
) -> TrainedAutoencoder:
  """Loads the model of a run from the newest checkpoint in its work directory.

  Args:
    workdir: work directory of the run.
    best: whether to take the parameters after the best epoch, instead of the last ones. It is the
      epoch with the lowest loss on the test set or, without `test_epochs`, the lowest mean training
      loss.
    model: networks of the run, if they were given as an object: an `Autoencoder` or a pair
      (encoder, decoder) of the same shapes. The object itself stays as it is.

  Raises:
    ValueError: if the folder holds no run, several runs, no checkpoint yet, or for `best` no
      complete epoch yet; or if `model` has other shapes than the checkpoint.

  Example:
    ae = aejax.load("runs/cwae-digits")
    latents = ae.encode(images)
  """
  workdir = _checks.path("workdir", workdir)
  configuration = configurations.read(workdir)
  model, step = load_model(workdir, configuration, best=best, model=model)
  return TrainedAutoencoder(configuration, model, step)


def load_model(
  workdir: Path,
  configuration: Configuration,
  *,
  best: bool = False,
  model: Any = None,
  objective: Objective | None = None,
) -> tuple[Autoencoder, int]:
  """Returns the model of the newest checkpoint and its number of steps, as `load` does."""
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
    built, state, _ = build(configuration, given=Given(model, objective, optimizer))
    return built, fresh(state)

  # Shapes are enough: initial parameters would be compiled, drawn and thrown away.
  built, state = nnx.eval_shape(fresh_run)
  if not has_optimizer:  # the state of the optimizer is in the checkpoint, but not needed
    average = state.train.optimizer_state if configuration.ema_decay else None
    if average is not None:
      average = average._replace(inner=None, count=None)
    train = dataclasses.replace(state.train, optimizer_state=average, key=None)
    state = RunState(train, None, dataclasses.replace(state.best, loss=None))
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


def _in_batches(function: Callable[[Array], T], rows: Array | np.ndarray) -> T:
  """Returns `function(rows)`, computed in batches of one size so that it compiles once.

  The last batch overlaps the one before it.
  """
  n, size = rows.shape[0], _BATCH_SIZE
  # Under jax.export, the number of rows may be a symbol.
  if not isinstance(n, int) or n <= size:
    return function(jnp.asarray(rows))
  results = [function(jnp.asarray(rows[i : i + size])) for i in range(0, n - size + 1, size)]
  if rest := n % size:
    last = function(jnp.asarray(rows[-size:]))
    results.append(jax.tree.map(lambda values: values[-rest:], last))
  return jax.tree.map(lambda *parts: jnp.concatenate(parts), *results)
