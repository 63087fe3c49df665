"""What all encoders and decoders share: their first check and their last layer."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import lecun_normal
from jax.typing import DTypeLike
from jaxtyping import Array, Float

__all__ = ["ImageShape", "LatentLayer", "Latents", "check_image_shape", "check_images", "flat"]

ImageShape = tuple[int, int, int]
Latents = Float[Array, "n d"] | tuple[Float[Array, "n d"], Float[Array, "n d"]]


def check_image_shape(image_shape: tuple[int, ...]) -> None:
  """Raises a ValueError unless `image_shape` is (height, width, channels), all positive."""
  if len(image_shape) != 3 or min(image_shape) < 1:
    raise ValueError(
      f"image_shape must be (height, width, channels), each at least 1, not {tuple(image_shape)}."
    )


def check_images(images: Float[Array, "n h w c"], image_shape: ImageShape) -> None:
  """Raises a ValueError unless each image has the shape that the network was made for."""
  if images.shape[1:] != image_shape:
    raise ValueError(
      f"images must have shape (n, {', '.join(map(str, image_shape))}), as the network was "
      f"made for, not {images.shape}."
    )


def flat(x: Float[Array, "n h w c"]) -> Float[Array, "n f"]:
  """One row an image. The size is spelled out because −1 fails on an empty batch."""
  return x.reshape(x.shape[0], math.prod(x.shape[1:]))


class LatentLayer(nnx.Module):
  """The last layer of an encoder: latents, or the mean and log-variance of a Gaussian.

  A Gaussian one starts with the mean of its deterministic twin and with log-variance 0, the
  prior's own: neither noise that drowns the mean nor a variance whose KL swamps the first steps.
  The log-variance is never clipped.
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
      return jnp.zeros(shape, dtype).at[:, :latent_dim].set(mean)

    units = 2 * latent_dim if gaussian else latent_dim
    self.dense = nnx.Linear(in_features, units, kernel_init=init, dtype=dtype, rngs=rngs)
    self.gaussian = gaussian

  def __call__(self, features: Float[Array, "n f"]) -> Latents:
    """Latents, or (mean, log_variance)."""
    latents = self.dense(features)
    if not self.gaussian:
      return latents
    mean, log_variance = jnp.split(latents, 2, axis=1)
    return mean, log_variance
