"""A trained autoencoder, loaded from the work directory of its run."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key, Num

from aejax.autoencoder import Autoencoder, Posterior, pixels
from aejax.training import configuration as configurations
from aejax.training.checkpoints import Checkpoints
from aejax.training.configuration import Configuration
from aejax.training.state import build, fresh
from aejax.training.step import merge

__all__ = ["TrainedAutoencoder", "load"]

T = TypeVar("T")

# Rows per call of the network: bounds the memory of a convolutional network's activations.
_BATCH_SIZE = 512


class TrainedAutoencoder:
  """Encodes, decodes, reconstructs and generates any number of images with trained parameters.

  Attributes:
    configuration: settings of the run.
    model: the trained model.
    step: number of steps that it was trained for.
  """

  def __init__(self, configuration: Configuration, model: Autoencoder, step: int):
    self.configuration = configuration
    self.model = model
    self.step = step
    self._posterior = jax.jit(lambda images: model.posterior(pixels(images)))
    self._decode = jax.jit(model.decode)

  def encode(
    self, images: Num[Array | np.ndarray, "n h w c"], *, key: Key[Array, ""] | None = None
  ) -> Float[Array, "n d"]:
    """Returns the latents of images.

    Args:
      images: any number of images, uint8 or floats in [0, 1].
      key: random key. With it, a Gaussian encoder draws a latent from each posterior, as in
        training; together they are a sample of P_E(X). Without it, the latents are the means.

    Raises:
      ValueError: if the images have another shape than the training images, or are not uint8 or
        floats in [0, 1].
    """
    posterior = self.posterior(images)
    return posterior.mean if key is None else posterior.sample(key)

  def posterior(self, images: Num[Array | np.ndarray, "n h w c"]) -> Posterior:
    """Computes the posteriors of images, uint8 or floats in [0, 1].

    Raises:
      ValueError: if the images are not of the shape that the model was trained on, or no pixels.
    """
    shape = self.configuration.image_shape
    if images.ndim != 4 or images.shape[1:] != shape:
      raise ValueError(
        f"images must have shape [n, {', '.join(map(str, shape))}], but have shape "
        f"{list(images.shape)}."
      )
    if isinstance(images, np.ndarray) and images.dtype.kind == "f" and images.size:
      low, high = images.min(), images.max()
      if not (low >= 0 and high <= 1):  # also True for NaN
        raise ValueError(f"images must be uint8, or floats in [0, 1], but span [{low}, {high}].")
    return _in_batches(self._posterior, images)

  def decode(self, latents: Float[Array | np.ndarray, "n d"]) -> Float[Array, "n h w c"]:
    """Returns the images of latents, in [0, 1]."""
    return _in_batches(self._decode, jnp.asarray(latents))

  def reconstruct(self, images: Num[Array | np.ndarray, "n h w c"]) -> Float[Array, "n h w c"]:
    """Returns D(E(x)) for each image x."""
    return self.decode(self.encode(images))

  def generate(self, key: Key[Array, ""], num: int = 64) -> Float[Array, "{num} h w c"]:
    """Returns the images of `num` draws from the prior N(0, I).

    Raises:
      ValueError: if `num` is less than one.
    """
    if num < 1:
      raise ValueError(f"num must be at least 1, but is {num}.")
    return self.decode(jax.random.normal(key, (num, self.configuration.latent_dim)))


def load(workdir: str | os.PathLike[str], *, best: bool = False) -> TrainedAutoencoder:
  """Loads the model of a run from the newest checkpoint in its work directory.

  Args:
    workdir: work directory of the run.
    best: whether to take the parameters after the epoch with the lowest mean training loss, instead
      of the last ones.

  Raises:
    ValueError: if the folder holds no run, several runs, no checkpoint yet, or for `best` no
      complete epoch yet.

  Example:
    ae = aejax.load("runs/cwae-digits")
    latents = ae.encode(images)
  """
  workdir = Path(workdir)
  configuration = configurations.read(workdir)
  if configuration.seeds > 1:
    folders = ", ".join(
      folder.name for _, folder in configurations.seed_runs(configuration, workdir)
    )
    raise ValueError(f"{workdir} holds several runs: name one of the folders {folders} in it.")
  if not (workdir / "checkpoints").is_dir():
    raise ValueError(f"{workdir} holds no checkpoint yet.")

  def fresh_run():
    model, state, _ = build(configuration)
    return model, fresh(state)

  # Shapes are enough: initial parameters would be compiled, drawn and thrown away.
  model, state = nnx.eval_shape(fresh_run)
  with Checkpoints(workdir / "checkpoints") as checkpoints:
    state = checkpoints.restore(state)
  step, params = int(state.train.step), state.train.params
  if best:
    step, params = int(state.best.step), state.best.params
    if not step:
      raise ValueError(
        f"{workdir} holds no best epoch yet: no epoch was complete at its checkpoint."
      )
  return TrainedAutoencoder(configuration, merge(model, params), step)


def _in_batches(function: Callable[[Array], T], rows: Array | np.ndarray) -> T:
  """Returns `function(rows)`, computed in batches of one size so that it compiles once.

  The last batch overlaps the one before it.
  """
  n, size = len(rows), _BATCH_SIZE
  if n <= size:
    return function(jnp.asarray(rows))
  results = [function(jnp.asarray(rows[i : i + size])) for i in range(0, n - size + 1, size)]
  if rest := n % size:
    last = function(jnp.asarray(rows[-size:]))
    results.append(jax.tree.map(lambda values: values[-rest:], last))
  return jax.tree.map(lambda *parts: jnp.concatenate(parts), *results)
