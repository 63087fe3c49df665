"""An affine encoder and decoder, whose best reconstruction is that of PCA."""

import math

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from aejax.networks._layers import Decoder, Encoder, ImageShape, LatentLayer, flat

__all__ = ["LinearDecoder", "LinearEncoder"]


class LinearEncoder(Encoder):
  """An affine map from pixels to latents."""

  def __init__(
    self,
    image_shape: ImageShape,
    latent_dim: int,
    *,
    gaussian: bool = False,
    dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
  ) -> None:
    super().__init__(image_shape, latent_dim, gaussian=gaussian, dtype=dtype, rngs=rngs)
    self.latents = LatentLayer(
      math.prod(image_shape), latent_dim, gaussian=gaussian, dtype=dtype, rngs=rngs
    )

  def features(self, images: Float[Array, "n ..."]) -> Float[Array, "n f"]:
    """Returns the input of the last layer."""
    return flat(images)


class LinearDecoder(Decoder):
  """An affine map from latents to pixels."""

  def __init__(
    self,
    image_shape: ImageShape,
    latent_dim: int,
    *,
    dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
  ) -> None:
    super().__init__(image_shape, latent_dim, dtype=dtype, rngs=rngs)
    self.to_pixels = nnx.Linear(latent_dim, math.prod(image_shape), dtype=dtype, rngs=rngs)

  def forward(self, latents: Float[Array, "n d"]) -> Float[Array, "n ..."]:
    """Returns images before the output activation."""
    return self.to_pixels(latents).reshape(latents.shape[0], *self.image_shape)
