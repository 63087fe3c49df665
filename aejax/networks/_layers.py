"""Bases of all encoders and decoders: their checks, and the last layer of an encoder."""

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
]

ImageShape = tuple[int, int, int]
Latents = Float[Array, "n d"] | tuple[Float[Array, "n d"], Float[Array, "n d"]]


def check_image_shape(image_shape: Any) -> ImageShape:
  """Returns (height, width, channels), or raises a ValueError."""
  try:
    height, width, channels = (_checks.integer("side", side) for side in image_shape)
  except (TypeError, ValueError):
    raise ValueError(
      "image_shape must be (height, width, channels), whole numbers from 1 up, but is "
      f"{_checks.short_repr(image_shape)}."
    ) from None
  return height, width, channels


def check_dtype(dtype: DTypeLike) -> jnp.dtype:
  """Returns a floating-point dtype, or raises a ValueError."""
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
  """Returns the sizes of layers, or raises a ValueError if one is not a whole number from 1 up."""
  try:
    return tuple(_checks.integer(name, size) for size in sizes)
  except (TypeError, ValueError):
    raise ValueError(
      f"{name} must be whole numbers from 1 up, but are {_checks.short_repr(sizes)}."
    ) from None


def check_images(images: Float[Array, "n h w c"], image_shape: ImageShape) -> Array:
  """Returns images, or raises a ValueError if their shape is not that of the network."""
  images = _checks.array("images", images)
  if images.shape[1:] != image_shape:
    raise ValueError(
      f"images must have shape (n, {', '.join(map(str, image_shape))}), as the network "
      f"expects, not {images.shape}."
    )
  return images


def flat(x: Float[Array, "n h w c"]) -> Float[Array, "n f"]:
  """Returns one row for each image; unlike −1, the explicit size works for an empty batch."""
  return x.reshape(x.shape[0], math.prod(x.shape[1:]))


class LatentLayer(nnx.Module):
  """The last layer of an encoder: latents, or the mean and log-variance of a Gaussian.

  A Gaussian encoder starts with the mean of the deterministic encoder of the same key and with
  log-variance 0, that of the prior. So neither noise nor the KL divergence dominates the first
  steps. The log-variance is never clipped.
  """

  def __init__(
    self,
    in_features: int,
    latent_dim: int,
    *,
    gaussian: bool,
    dtype: DTypeLike,
    rngs: nnx.Rngs,
  ):
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
  """Maps images to latents: `features` of a subclass, then its layer `latents`."""

  latents: LatentLayer

  def __init__(
    self,
    image_shape: ImageShape,
    latent_dim: int,
    *,
    gaussian: bool,
    dtype: DTypeLike,
    rngs: nnx.Rngs,
  ):
    self.image_shape = check_image_shape(image_shape)
    _checks.integer("latent_dim", latent_dim)
    _checks.boolean("gaussian", gaussian)
    check_dtype(dtype)
    _checks.instance("rngs", rngs, nnx.Rngs, "an nnx.Rngs")

  def features(self, images: Float[Array, "n h w c"]) -> Float[Array, "n f"]:
    """Returns the inputs of the last layer for images."""
    raise NotImplementedError

  def __call__(self, images: Float[Array, "n h w c"]) -> Latents:
    """Returns latents, or (mean, log_variance) of a Gaussian encoder."""
    return self.latents(self.features(check_images(images, self.image_shape)))


class Decoder(nnx.Module):
  """Maps latents to images by `forward` of a subclass."""

  def __init__(self, image_shape: ImageShape, latent_dim: int, *, dtype: DTypeLike, rngs: nnx.Rngs):
    self.image_shape = check_image_shape(image_shape)
    self.latent_dim = _checks.integer("latent_dim", latent_dim)
    check_dtype(dtype)
    _checks.instance("rngs", rngs, nnx.Rngs, "an nnx.Rngs")

  def forward(self, latents: Float[Array, "n d"]) -> Float[Array, "n h w c"]:
    """Returns images before the output activation."""
    raise NotImplementedError

  def __call__(self, latents: Float[Array, "n d"]) -> Float[Array, "n h w c"]:
    """Returns images before the output activation."""
    latents = _checks.array("latents", latents)
    if latents.ndim != 2 or latents.shape[1] != self.latent_dim:
      raise ValueError(f"latents must have shape (n, {self.latent_dim}), not {latents.shape}.")
    return self.forward(latents)
