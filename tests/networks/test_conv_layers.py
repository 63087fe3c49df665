import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aejax.networks._conv_layers import Convolution, TransposedConvolution, downsampled
from aejax.networks._conv_ops import transposed_convolve

# Sums of at most 4·4·3 products of unit size in two orders differ by 48 · 6e-8 · 3, about 1e-5.
TOLERANCE = 1e-5


@pytest.mark.parametrize(
  ("kernel_size", "stride", "size", "padding"),
  [
    (4, 2, (8, 8), "SAME"),
    (4, 2, (7, 5), "SAME"),
    (4, 2, (14, 13), "SAME"),
    (4, 2, (1, 1), "SAME"),
    (3, 2, (9, 6), "SAME"),
    (2, 2, (5, 4), "SAME"),
    (2, 1, (6, 5), "SAME"),
    # The papers' CIFAR-10 network takes 16 pixels to 33.
    (3, 2, (33, 33), "VALID"),
  ],
)
def test_transposed_convolution_is_the_adjoint_of_convolution(kernel_size, stride, size, padding):
  random = np.random.default_rng(0)
  kernel = random.normal(size=(kernel_size, kernel_size, 2, 3)).astype(np.float32)

  def down(images):
    layout = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
      images, kernel, (stride, stride), padding, dimension_numbers=layout
    )

  small, adjoint = jax.vjp(down, jnp.zeros((2, *size, 2)))
  x = random.normal(size=small.shape).astype(np.float32)
  flipped = kernel[::-1, ::-1].swapaxes(2, 3)
  got = transposed_convolve(jnp.asarray(x), jnp.asarray(flipped), stride=stride, size=size)
  np.testing.assert_allclose(got, adjoint(x)[0], atol=TOLERANCE)


def test_transposed_convolution_cuts_the_odd_pixel_at_the_far_end():
  random = np.random.default_rng(0)
  x = jnp.asarray(random.normal(size=(1, 4, 4, 1)), jnp.float32)
  kernel = jnp.asarray(random.normal(size=(3, 3, 1, 1)), jnp.float32)
  full = transposed_convolve(x, kernel, stride=2, size=(9, 9))
  cut = transposed_convolve(x, kernel, stride=2, size=(8, 8))
  np.testing.assert_allclose(cut, full[:, :8, :8], atol=TOLERANCE)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (33, 47), (64, 64)])
def test_downsampled_is_the_size_after_convolution(size):
  def halved(images):
    return Convolution(1, 1, kernel_size=4, stride=2, rngs=nnx.Rngs(0))(images)

  images = jax.ShapeDtypeStruct((1, *size, 1), jnp.float32)
  for halvings in range(1, 4):
    images = jax.eval_shape(halved, images)
    assert images.shape[1:3] == downsampled(size, 2**halvings)


def test_convolution_adds_bias_to_each_channel():
  for layer in (
    Convolution(2, 3, kernel_size=2, rngs=nnx.Rngs(0)),
    TransposedConvolution(2, 3, kernel_size=2, stride=2, size=(4, 4), rngs=nnx.Rngs(0)),
  ):
    layer.bias[...] = jnp.array([1.0, 2.0, 3.0])
    x = jnp.zeros((1, 2, 2, 2))
    np.testing.assert_array_equal(layer(x)[0, 0, 0], [1.0, 2.0, 3.0])
  bare = Convolution(2, 3, kernel_size=2, use_bias=False, rngs=nnx.Rngs(0))
  assert len(jax.tree.leaves(nnx.state(bare))) == 1


def test_convolution_initialises_to_variance_times_gain():
  x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 16, 16, 32)), jnp.float32)
  down = Convolution(32, 256, kernel_size=4, stride=2, gain=1.0, rngs=nnx.Rngs(1))
  up = TransposedConvolution(
    32, 256, kernel_size=4, stride=2, size=(32, 32), gain=2.0, rngs=nnx.Rngs(1)
  )
  # Borders are left out because they see fewer pixels. The variance of a channel with K = 128 or
  # 512 weights is gain · (1 ± √(2/K)), and the mean over 256 channels is within 1%. A tolerance
  # of 10% still detects a fan-in without the stride, which is wrong by a factor of 4.
  np.testing.assert_allclose(jnp.var(down(x)[:, 1:-1, 1:-1]), 1.0, rtol=0.1)
  np.testing.assert_allclose(jnp.var(up(x)[:, 1:-1, 1:-1]), 2.0, rtol=0.1)


def test_convolution_computes_in_its_dtype():
  x = jnp.ones((1, 4, 4, 1))
  down = Convolution(1, 2, kernel_size=2, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
  up = TransposedConvolution(
    1, 2, kernel_size=2, stride=2, size=(8, 8), dtype=jnp.bfloat16, rngs=nnx.Rngs(0)
  )
  for layer in (down, up):
    assert layer(x).dtype == jnp.bfloat16
    assert layer.kernel.dtype == jnp.float32
