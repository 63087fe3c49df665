"""The papers' network for CIFAR-10, for any image shape: one downsampling and small kernels.

The layers are those of gmum/cwae-pytorch. The encoder rounds odd sizes up. The transposed
convolutions of stride 1 are written as the equivalent convolutions, padded on the same side.

Reference: Knop et al., JMLR 21(164), 2020, arXiv 1805.09235.
"""

import math
from itertools import pairwise

import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import he_normal
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from aejax.networks._conv_layers import Convolution, TransposedConvolution, downsampled
from aejax.networks._layers import Decoder, Encoder, ImageShape, LatentLayer, flat, image_sides

__all__ = ["CIFAR10Decoder", "CIFAR10Encoder"]


class CIFAR10Encoder(Encoder):
  """2×2 convolutions C, 32 (stride 2), 32, 32, a linear layer of 128, the latents; with ReLU."""

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
    *sides, channels = image_sides(image_shape)
    height, width = downsampled(sides, 2)
    self.convolutions = nnx.List(
      Convolution(before, after, kernel_size=2, stride=stride, dtype=dtype, rngs=rngs)
      for before, after, stride in [(channels, channels, 1), (channels, 32, 2)] + 2 * [(32, 32, 1)]
    )
    # The first layer starts as the identity. With random weights, each of its C ReLU channels is
    # zero on most of a non-negative image with probability 1/2, and a grey image has only one.
    first = self.convolutions[0].kernel
    first[...] = jnp.zeros(first.shape).at[0, 0].set(jnp.eye(channels))
    self.hidden = nnx.Linear(
      height * width * 32, 128, kernel_init=he_normal(), dtype=dtype, rngs=rngs
    )
    self.latents = LatentLayer(128, latent_dim, gaussian=gaussian, dtype=dtype, rngs=rngs)

  def features(self, images: Float[Array, "n h w c"]) -> Float[Array, "n f"]:
    """Returns the input of the last layer."""
    x = images
    for convolution in self.convolutions:
      x = nnx.relu(convolution(x))
    return nnx.relu(self.hidden(flat(x)))


class CIFAR10Decoder(Decoder):
  """Two linear layers, three convolutions with ReLU, and a convolution to pixels.

  The linear layers have 128 and H/2·W/2·32 units. The convolutions are 2×2, 2×2 and 3×3
  transposed with stride 2. The last convolution is 2×2.
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
    height, width, channels = image_sides(image_shape)
    self.map_shape = (*downsampled((height, width), 2), 32)
    sizes = [latent_dim, 128, math.prod(self.map_shape)]
    self.hidden = nnx.List(
      nnx.Linear(before, after, kernel_init=he_normal(), dtype=dtype, rngs=rngs)
      for before, after in pairwise(sizes)
    )
    self.convolutions = nnx.List(
      [
        Convolution(32, 32, kernel_size=2, dtype=dtype, rngs=rngs),
        Convolution(32, 32, kernel_size=2, dtype=dtype, rngs=rngs),
        # The result has one more row and column than the image, which the last layer removes.
        TransposedConvolution(
          32, 32, kernel_size=3, stride=2, size=(height + 1, width + 1), dtype=dtype, rngs=rngs
        ),
      ]
    )
    self.to_pixels = Convolution(
      32, channels, kernel_size=2, padding="VALID", gain=1.0, dtype=dtype, rngs=rngs
    )

  def forward(self, latents: Float[Array, "n d"]) -> Float[Array, "n h w c"]:
    """Returns images before the output activation."""
    x = latents
    for layer in self.hidden:
      x = nnx.relu(layer(x))
    x = x.reshape(latents.shape[0], *self.map_shape)
    for convolution in self.convolutions:
      x = nnx.relu(convolution(x))
    return self.to_pixels(x)
