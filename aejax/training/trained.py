"""A trained autoencoder, loaded from the work directory of its run."""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key, Num

from aejax._batches import in_batches
from aejax.autoencoder import Autoencoder, Posterior
from aejax.training import configuration as configurations
from aejax.training.checkpoints import Checkpoints
from aejax.training.configuration import Configuration
from aejax.training.state import build, fresh
from aejax.training.step import merge

__all__ = ["TrainedAutoencoder", "load"]


class TrainedAutoencoder:
  """Encodes, decodes, reconstructs and generates any number of images with trained parameters.

  Attributes:
    configuration: settings of the run.
    model: the trained model.
    step: number of steps that it was trained for.
    scaling: how values of the data reach the networks, and back.
  """

  def __init__(self, configuration: Configuration, model: Autoencoder, step: int):
    self.configuration = configuration
    self.model = model
    self.step = step
    self.scaling = configuration.make_scaling()
    self._posterior = jax.jit(lambda images: model.posterior(self.scaling.apply(images)))
    self._decode = jax.jit(lambda latents: self.scaling.undo(model.decode(latents)))

  def encode(
    self, images: Num[Array | np.ndarray, "n ..."], *, key: Key[Array, ""] | None = None
  ) -> Float[Array, "n d"]:
    """Returns the latents of images.

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

  def posterior(self, images: Num[Array | np.ndarray, "n ..."]) -> Posterior:
    """Computes the posteriors of images, uint8 or floats in [0, 1], or of other examples.

    Raises:
      ValueError: if the images have another shape or range than the training images.
    """
    images = self.scaling.check(images, self.configuration.image_shape)
    return in_batches(self._posterior, images)

  def decode(self, latents: Float[Array | np.ndarray, "n d"]) -> Float[Array, "n ..."]:
    """Returns the images of latents, in [0, 1], or other examples in the units of the data."""
    return in_batches(self._decode, jnp.asarray(latents))

  def reconstruct(self, images: Num[Array | np.ndarray, "n ..."]) -> Float[Array, "n ..."]:
    """Returns D(E(x)) for each image x."""
    return self.decode(self.encode(images))

  def generate(self, key: Key[Array, ""], num: int = 64) -> Float[Array, "{num} ..."]:
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
