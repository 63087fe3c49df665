import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aejax import networks
from aejax.networks import CIFAR10Decoder, CIFAR10Encoder


def test_cifar10_has_the_published_number_of_parameters(num_parameters):
  def pair():
    rngs = nnx.Rngs(0)
    return CIFAR10Encoder((32, 32, 3), 64, rngs=rngs), CIFAR10Decoder((32, 32, 3), 64, rngs=rngs)

  encoder, decoder = nnx.eval_shape(pair)
  # 2·2·3·3 + 3, 2·2·3·32 + 32, twice 2·2·32·32 + 32, 8192·128 + 128, 128·64 + 64.
  assert num_parameters(encoder) == 39 + 416 + 2 * 4_128 + 1_048_704 + 8_256
  # 64·128 + 128, 128·8192 + 8192, twice 2·2·32·32 + 32, 3·3·32·32 + 32, 2·2·32·3 + 3.
  assert num_parameters(decoder) == 8_320 + 1_056_768 + 2 * 4_128 + 9_248 + 387


@pytest.mark.parametrize("channels", [1, 3])
def test_cifar10_encoder_starts_with_the_identity(channels):
  images = np.random.default_rng(0).uniform(size=(2, 4, 5, channels)).astype(np.float32)

  @jax.jit
  def first_layer(images):
    encoder = CIFAR10Encoder((4, 5, channels), 2, rngs=nnx.Rngs(0))
    return nnx.relu(encoder.convolutions[0](images))

  np.testing.assert_array_equal(first_layer(images), images)


def _scattered(x, kernel):
  """Computes a transposed convolution of stride 2: every pixel adds its multiple of the kernel."""
  n, height, width, _ = x.shape
  side, _, _, channels = kernel.shape
  y = np.zeros((n, 2 * height - 2 + side, 2 * width - 2 + side, channels))
  for i in range(height):
    for j in range(width):
      y[:, 2 * i : 2 * i + side, 2 * j : 2 * j + side] += np.einsum(
        "ni,abio->nabo", x[:, i, j], kernel
      )
  return y


def _convolved(x, kernel):
  """Computes a convolution without padding from its definition."""
  side = kernel.shape[0]
  height, width = x.shape[1] - side + 1, x.shape[2] - side + 1
  return sum(
    x[:, a : a + height, b : b + width] @ kernel[a, b] for a in range(side) for b in range(side)
  )


def test_cifar10_decoder_equals_the_published_layers():
  """The reference pads 2×2 layers at the far ends; its 3×3 layer takes H/2 pixels to H + 1."""
  decoder = networks.build("cifar10", (6, 8, 3), latent_dim=2, key=jax.random.key(0)).decoder
  x = np.random.default_rng(0).normal(size=(3, 2))
  latents = jnp.asarray(x, jnp.float32)
  for layer in decoder.hidden:
    x = np.maximum(x @ np.asarray(layer.kernel[...]), 0)
  x = x.reshape(3, 3, 4, 32)
  first, second, third = (np.asarray(layer.kernel[...]) for layer in decoder.convolutions)
  for kernel in (first, second):
    x = np.maximum(_convolved(np.pad(x, [(0, 0), (0, 1), (0, 1), (0, 0)]), kernel), 0)
  # Our kernel is that of the dilated convolution, which is flipped.
  x = np.maximum(_scattered(x, third[::-1, ::-1]), 0)
  x = _convolved(x, np.asarray(decoder.to_pixels.kernel[...]))
  # Six layers sum at most 288 products of unit size: a few times 6 · √288 · 6e-8.
  np.testing.assert_allclose(decoder(latents), x, atol=3e-5)
