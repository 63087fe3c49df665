"""The base classes of encoders and decoders, an encoder's last layer, and argument checks."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import lecun_normal
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from aejax import _checks

__all__ = [
  "Decoder",
  "Encoder",
  "ImageShape",
  "LatentLayer",
  "Latents",
  "check_dtype",
  "check_image_shape",
  "check_images",
  "check_sizes",
  "flat",
  "image_sides",
]

ImageShape = tuple[int, ...]
Latents = Float[Array, "n d"] | tuple[Float[Array, "n d"], Float[Array, "n d"]]


def check_image_shape(image_shape: Any) -> ImageShape:
  """Returns the shape of one example, or raises a ValueError for anything else.

  It is (height, width, channels) of images, (d,) of vectors, (steps, channels) of signals, and
  (depth, height, width, channels) of volumes.
  """
  try:
    shape = tuple(_checks.integer("side", side) for side in image_shape)
    if not 1 <= len(shape) <= 4 or isinstance(image_shape, str | dict):
      raise ValueError
  except (TypeError, ValueError):
    raise ValueError(
      "image_shape must be (height, width, channels), or the shape of one vector, signal or "
      f"volume, whole numbers from 1 up, but is {_checks.short_repr(image_shape)}."
    ) from None
  return shape


def image_sides(image_shape: ImageShape) -> tuple[int, int, int]:
  """Returns (height, width, channels), or raises a ValueError for the shape of other data."""
  if len(image_shape) != 3:
    raise ValueError(
      f"the network is for images, but image_shape is {image_shape}, not (height, width, channels)."
    )
  height, width, channels = image_shape
  return height, width, channels


def check_dtype(dtype: DTypeLike) -> jnp.dtype:
  """Returns a floating-point dtype, or raises a ValueError for anything else."""
  try:
    found = jnp.dtype(dtype)
  except TypeError:
    found = None
  if found is None or not jnp.issubdtype(found, jnp.floating):
    raise ValueError(
      f"dtype must be a floating-point type, but is {found or _checks.short_repr(dtype)}."
    )
  return found


def check_sizes(name: str, sizes: Sequence[int]) -> tuple[int, ...]:
  """Returns layer sizes, or raises a ValueError if one is not a whole number from 1 up."""
  try:
    return tuple(_checks.integer(name, size) for size in sizes)
  except (TypeError, ValueError):
    raise ValueError(
      f"{name} must be whole numbers from 1 up, but are {_checks.short_repr(sizes)}."
    ) from None


def check_images(images: Float[Array, "n ..."], image_shape: ImageShape) -> Array:
  """Returns images, or raises a ValueError if their shape is not the network's."""
  images = _checks.array("images", images)
  if images.shape[1:] != image_shape:
    raise ValueError(
      f"images must have shape (n, {', '.join(map(str, image_shape))}), for which the "
      f"network was built, not {images.shape}."
    )
  return images


def flat(x: Float[Array, "n ..."]) -> Float[Array, "n f"]:
  """Reshapes each image to a row. The size is explicit because −1 fails on an empty batch."""
  return x.reshape(x.shape[0], math.prod(x.shape[1:]))


class LatentLayer(nnx.Module):
  """The last layer of an encoder, which returns latents or a Gaussian's mean and log-variance.

  With the same key, a Gaussian layer starts with the mean of the deterministic layer. It starts
  with log-variance 0, which is that of the prior: large noise would hide the mean, and the KL
  divergence of another variance would dominate the first steps. The log-variance is never clipped.
  """

  def __init__(
    self,
    in_features: int,
    latent_dim: int,
    *,
    gaussian: bool,
    dtype: DTypeLike,
    rngs: nnx.Rngs,
  ) -> None:
    def init(key: jax.Array, shape: tuple[int, int], dtype: DTypeLike) -> jax.Array:
      mean = lecun_normal()(key, (shape[0], latent_dim), dtype)
      return jnp.pad(mean, ((0, 0), (0, shape[1] - latent_dim)))

    units = 2 * latent_dim if gaussian else latent_dim
    self.linear = nnx.Linear(in_features, units, kernel_init=init, dtype=dtype, rngs=rngs)
    self.gaussian = gaussian

  def __call__(self, features: Float[Array, "n f"]) -> Latents:
    """Returns latents, or (mean, log_variance)."""
    latents = self.linear(features)
    if not self.gaussian:
      return latents
    mean, log_variance = jnp.split(latents, 2, axis=1)
    return mean, log_variance


class Encoder(nnx.Module):
  """The base class of encoders: a subclass defines `features` and the last layer `latents`."""

  latents: LatentLayer

  def __init__(
    self,
    image_shape: ImageShape,
    latent_dim: int,
    *,
    gaussian: bool,
    dtype: DTypeLike,
    rngs: nnx.Rngs,
  ) -> None:
    self.image_shape = check_image_shape(image_shape)
    _checks.integer("latent_dim", latent_dim)
    _checks.boolean("gaussian", gaussian)
    check_dtype(dtype)
    _checks.instance("rngs", rngs, nnx.Rngs, "an nnx.Rngs")

  def features(self, images: Float[Array, "n ..."]) -> Float[Array, "n f"]:
    """Returns the input of the last layer."""
    raise NotImplementedError

  def __call__(self, images: Float[Array, "n ..."]) -> Latents:
    """Returns latents; a Gaussian encoder returns (mean, log_variance)."""
    return self.latents(self.features(check_images(images, self.image_shape)))


class Decoder(nnx.Module):
  """The base class of decoders: a subclass defines `forward`."""

  def __init__(
    self, image_shape: ImageShape, latent_dim: int, *, dtype: DTypeLike, rngs: nnx.Rngs
  ) -> None:
    self.image_shape = check_image_shape(image_shape)
    self.latent_dim = _checks.integer("latent_dim", latent_dim)
    check_dtype(dtype)
    _checks.instance("rngs", rngs, nnx.Rngs, "an nnx.Rngs")

  def forward(self, latents: Float[Array, "n d"]) -> Float[Array, "n ..."]:
    """Returns images before the output activation."""
    raise NotImplementedError

  def __call__(self, latents: Float[Array, "n d"]) -> Float[Array, "n ..."]:
    """Returns images before the output activation."""
    latents = _checks.array("latents", latents)
    if latents.ndim != 2 or latents.shape[1] != self.latent_dim:
      raise ValueError(f"latents must have shape (n, {self.latent_dim}), not {latents.shape}.")
    return self.forward(latents)
