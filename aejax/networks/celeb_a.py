"""The papers' network for CelebA, for any image shape: wide 4×4 convolutions with normalisation.

The layers are those of gmum/cwae-pytorch, which took them from the WAE paper, with GroupNorm
instead of BatchNorm. BatchNorm keeps running statistics, which are hidden state in addition to
the parameters. It also makes an image's latents depend on the other images of the batch, so the
batch size and the number of devices would change the result. GroupNorm uses only one image.

References: Tolstikhin et al., 2018, arXiv 1711.01558; Knop et al., JMLR 21(164), 2020, arXiv
1805.09235; Wu & He, 2018, arXiv 1803.08494.
"""

import math
from itertools import pairwise

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from aejax.networks._conv_layers import Convolution, TransposedConvolution, downsampled
from aejax.networks._layers import Decoder, Encoder, ImageShape, LatentLayer, flat, image_sides

__all__ = ["CelebADecoder", "CelebAEncoder"]


class CelebAEncoder(Encoder):
  """4×4 convolutions of stride 2 (128, 256, 512, 1024), GroupNorm and ReLU, then the latents."""

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
    channels = [image_sides(image_shape)[2], 128, 256, 512, 1024]
    self.convolutions = nnx.List(
      Convolution(before, after, kernel_size=4, stride=2, use_bias=False, dtype=dtype, rngs=rngs)
      for before, after in pairwise(channels)
    )
    self.norms = nnx.List(_norms(channels[1:], dtype=dtype, rngs=rngs))
    height, width = downsampled(image_shape[:2], 16)
    self.latents = LatentLayer(
      height * width * 1024, latent_dim, gaussian=gaussian, dtype=dtype, rngs=rngs
    )

  def features(self, images: Float[Array, "n h w c"]) -> Float[Array, "n f"]:
    """Returns the input of the last layer."""
    x = images
    for convolution, norm in zip(self.convolutions, self.norms, strict=True):
      x = nnx.relu(norm(convolution(x)))
    return flat(x)


class CelebADecoder(Decoder):
  """A linear layer, transposed convolutions, and a convolution to pixels.

  The linear layer has H/8·W/8·1024 units. The 4×4 transposed convolutions of stride 2 have 512,
  256 and 128 channels, each with GroupNorm and ReLU. The last convolution is 3×3.
  """

  def __init__(
    self,
    image_shape: ImageShape,
    latent_dim: int,
    *,
    dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
  ) -> None:
    super().__init__(image_shape, latent_dim, dtype=dtype, rngs=rngs)
    channels = [1024, 512, 256, 128]
    image_sides(image_shape)
    self.map_shape = (*downsampled(image_shape[:2], 8), 1024)
    self.project = nnx.Linear(latent_dim, math.prod(self.map_shape), dtype=dtype, rngs=rngs)
    self.convolutions = nnx.List(
      TransposedConvolution(
        before,
        after,
        kernel_size=4,
        stride=2,
        size=downsampled(image_shape[:2], factor),
        use_bias=False,
        dtype=dtype,
        rngs=rngs,
      )
      for before, after, factor in zip(channels[:-1], channels[1:], (4, 2, 1), strict=True)
    )
    self.norms = nnx.List(_norms(channels[1:], dtype=dtype, rngs=rngs))
    self.to_pixels = Convolution(
      128, image_shape[2], kernel_size=3, gain=1.0, dtype=dtype, rngs=rngs
    )

  def forward(self, latents: Float[Array, "n d"]) -> Float[Array, "n h w c"]:
    """Returns images before the output activation."""
    x = self.project(latents).reshape(latents.shape[0], *self.map_shape)
    for convolution, norm in zip(self.convolutions, self.norms, strict=True):
      x = nnx.relu(norm(convolution(x)))
    return self.to_pixels(x)


def _norms(channels: list[int], *, dtype: DTypeLike, rngs: nnx.Rngs) -> list[nnx.GroupNorm]:
  """Returns a GroupNorm layer for each number of channels."""
  return [
    nnx.GroupNorm(num, num_groups=32, epsilon=1e-5, dtype=dtype, rngs=rngs) for num in channels
  ]
