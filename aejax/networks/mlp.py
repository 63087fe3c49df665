"""The papers' fully connected network for MNIST and Fashion-MNIST, for any image shape."""

import math
from collections.abc import Sequence
from itertools import pairwise

import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import he_normal
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from aejax.networks._layers import Decoder, Encoder, ImageShape, LatentLayer, check_sizes, flat

__all__ = ["MLPDecoder", "MLPEncoder"]


class MLPEncoder(Encoder):
  """Fully connected ReLU layers, then the latents: 784–200–200–200–D on MNIST.

  Reference: Knop et al., JMLR 21(164), 2020, arXiv 1805.09235.
  """

  def __init__(
    self,
    image_shape: ImageShape,
    latent_dim: int,
    *,
    hidden_sizes: Sequence[int] = (200, 200, 200),
    gaussian: bool = False,
    dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
  ) -> None:
    super().__init__(image_shape, latent_dim, gaussian=gaussian, dtype=dtype, rngs=rngs)
    hidden_sizes = check_sizes("hidden_sizes", hidden_sizes)
    sizes = [math.prod(image_shape), *hidden_sizes]
    self.hidden = nnx.List(_relu_layers(sizes, dtype=dtype, rngs=rngs))
    self.latents = LatentLayer(sizes[-1], latent_dim, gaussian=gaussian, dtype=dtype, rngs=rngs)

  def features(self, images: Float[Array, "n ..."]) -> Float[Array, "n f"]:
    """Returns the input of the last layer."""
    x = flat(images)
    for layer in self.hidden:
      x = nnx.relu(layer(x))
    return x


class MLPDecoder(Decoder):
  """The mirror image of `MLPEncoder`; `hidden_sizes` has the encoder's order."""

  def __init__(
    self,
    image_shape: ImageShape,
    latent_dim: int,
    *,
    hidden_sizes: Sequence[int] = (200, 200, 200),
    dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
  ) -> None:
    super().__init__(image_shape, latent_dim, dtype=dtype, rngs=rngs)
    hidden_sizes = check_sizes("hidden_sizes", hidden_sizes)
    sizes = [latent_dim, *reversed(hidden_sizes)]
    self.hidden = nnx.List(_relu_layers(sizes, dtype=dtype, rngs=rngs))
    self.to_pixels = nnx.Linear(sizes[-1], math.prod(image_shape), dtype=dtype, rngs=rngs)

  def forward(self, latents: Float[Array, "n d"]) -> Float[Array, "n ..."]:
    """Returns images before the output activation."""
    x = latents
    for layer in self.hidden:
      x = nnx.relu(layer(x))
    return self.to_pixels(x).reshape(latents.shape[0], *self.image_shape)


def _relu_layers(sizes: Sequence[int], *, dtype: DTypeLike, rngs: nnx.Rngs) -> list[nnx.Linear]:
  """Returns the linear layers between consecutive sizes, initialised for ReLU."""
  return [
    nnx.Linear(before, after, kernel_init=he_normal(), dtype=dtype, rngs=rngs)
    for before, after in pairwise(sizes)
  ]
