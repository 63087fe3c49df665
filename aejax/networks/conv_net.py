"""A convolutional network whose depth follows from the shape of the data.

It is the default for colour images, large images, signals and volumes.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import he_normal
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from aejax import _checks
from aejax.networks._conv_layers import Convolution, TransposedConvolution, downsampled
from aejax.networks._layers import Decoder, Encoder, ImageShape, LatentLayer, check_sizes, flat

__all__ = ["ConvolutionalDecoder", "ConvolutionalEncoder"]


def _default_channels(image_shape: ImageShape) -> tuple[int, ...]:
  """Returns 32, 64, 128, 256, 256, …, one for each halving until both sides are at most 7."""
  channels = [32]
  while max(downsampled(image_shape[:-1], 2 ** len(channels))) > 7:
    channels.append(min(2 * channels[-1], 256))
  return tuple(channels)


def _all_channels(image_shape: ImageShape, channels: Sequence[int] | None) -> list[int]:
  """Returns the channels of the image and of all convolutions."""
  if len(image_shape) == 1:
    raise ValueError(
      f"convolutional networks are for signals, images and volumes, but image_shape {image_shape} "
      "is that of vectors: use mlp or linear."
    )
  if channels is None:
    channels = _default_channels(image_shape)
  sizes = check_sizes("channels", channels)
  if not sizes:
    raise ValueError("channels must be whole numbers from 1 up, but there are none.")
  return [image_shape[-1], *sizes]


class ConvolutionalEncoder(Encoder):
  """Convolutions of side 4 and stride 2, a fully connected layer, and the latents, with ReLU.

  The convolutions have one axis for signals, two for images and three for volumes.

  The channels default to 32, 64, 128, 256, 256, …, with one convolution for each halving until
  the feature map is at most 7×7: two convolutions for 28×28, three for 32×32, four for 64×64.
  """

  def __init__(
    self,
    image_shape: ImageShape,
    latent_dim: int,
    *,
    channels: Sequence[int] | None = None,
    hidden_size: int = 256,
    gaussian: bool = False,
    dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
  ) -> None:
    super().__init__(image_shape, latent_dim, gaussian=gaussian, dtype=dtype, rngs=rngs)
    channels = _all_channels(image_shape, channels)
    _checks.integer("hidden_size", hidden_size)
    self.convolutions = nnx.List(
      Convolution(
        before,
        after,
        kernel_size=4,
        stride=2,
        axes=len(image_shape) - 1,
        dtype=dtype,
        rngs=rngs,
      )
      for before, after in pairwise(channels)
    )
    sides = downsampled(image_shape[:-1], 2 ** len(self.convolutions))
    features = math.prod(sides) * channels[-1]
    self.hidden = nnx.Linear(features, hidden_size, kernel_init=he_normal(), dtype=dtype, rngs=rngs)
    self.latents = LatentLayer(hidden_size, latent_dim, gaussian=gaussian, dtype=dtype, rngs=rngs)

  def features(self, images: Float[Array, "n ..."]) -> Float[Array, "n f"]:
    """Returns the input of the last layer."""
    x = images
    for convolution in self.convolutions:
      x = nnx.relu(convolution(x))
    return nnx.relu(self.hidden(flat(x)))


class ConvolutionalDecoder(Decoder):
  """The mirror image of `ConvolutionalEncoder`; `channels` has the encoder's order."""

  def __init__(
    self,
    image_shape: ImageShape,
    latent_dim: int,
    *,
    channels: Sequence[int] | None = None,
    hidden_size: int = 256,
    dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
  ) -> None:
    super().__init__(image_shape, latent_dim, dtype=dtype, rngs=rngs)
    channels = _all_channels(image_shape, channels)
    _checks.integer("hidden_size", hidden_size)
    depth = len(channels) - 1
    self.map_shape = (*downsampled(image_shape[:-1], 2**depth), channels[-1])
    self.hidden = nnx.Linear(
      latent_dim, hidden_size, kernel_init=he_normal(), dtype=dtype, rngs=rngs
    )
    self.project = nnx.Linear(
      hidden_size, math.prod(self.map_shape), kernel_init=he_normal(), dtype=dtype, rngs=rngs
    )
    self.convolutions = nnx.List(
      TransposedConvolution(
        channels[level + 1],
        channels[level],
        kernel_size=4,
        stride=2,
        size=downsampled(image_shape[:-1], 2**level),
        gain=2.0 if level else 1.0,
        dtype=dtype,
        rngs=rngs,
      )
      for level in reversed(range(depth))
    )

  def forward(self, latents: Float[Array, "n d"]) -> Float[Array, "n ..."]:
    """Returns images before the output activation."""
    x = self.project(nnx.relu(self.hidden(latents))).reshape(latents.shape[0], *self.map_shape)
    for convolution in self.convolutions:
      x = convolution(nnx.relu(x))
    return x
