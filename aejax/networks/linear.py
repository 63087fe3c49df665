"""One affine map each way: the autoencoder whose best reconstruction is that of PCA."""

import math

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from aejax.networks.layers import (
  ImageShape,
  LatentLayer,
  Latents,
  check_images,
  check_latents,
  check_network,
  flat,
)

__all__ = ["LinearDecoder", "LinearEncoder"]


class LinearEncoder(nnx.Module):
  """Pixels to latents by one affine map."""

  def __init__(
    self,
    image_shape: ImageShape,
    latent_dim: int,
    *,
    gaussian: bool = False,
    dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
  ):
    check_network(image_shape, latent_dim, dtype=dtype, rngs=rngs, gaussian=gaussian)
    self.image_shape = image_shape
    self.latents = LatentLayer(
      math.prod(image_shape), latent_dim, gaussian=gaussian, dtype=dtype, rngs=rngs
    )

  def __call__(self, images: Float[Array, "n h w c"]) -> Latents:
    """Latents, or a Gaussian encoder's (mean, log_variance)."""
    images = check_images(images, self.image_shape)
    return self.latents(flat(images))


class LinearDecoder(nnx.Module):
  """Latents to pixels by one affine map."""

  def __init__(
    self,
    image_shape: ImageShape,
    latent_dim: int,
    *,
    dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
  ):
    check_network(image_shape, latent_dim, dtype=dtype, rngs=rngs)
    self.latent_dim = latent_dim
    self.image_shape = image_shape
    self.pixels = nnx.Linear(latent_dim, math.prod(image_shape), dtype=dtype, rngs=rngs)

  def __call__(self, latents: Float[Array, "n d"]) -> Float[Array, "n h w c"]:
    """Images before the output's nonlinearity."""
    latents = check_latents(latents, self.latent_dim)
    return self.pixels(latents).reshape(len(latents), *self.image_shape)
