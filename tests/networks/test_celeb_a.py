import jax
import numpy as np
import pytest
from flax import nnx

from aejax import networks
from aejax.networks import CelebADecoder, CelebAEncoder


def test_celeb_a_has_the_published_number_of_parameters(num_parameters):
  def pair():
    rngs = nnx.Rngs(0)
    return CelebAEncoder((64, 64, 3), 64, rngs=rngs), CelebADecoder((64, 64, 3), 64, rngs=rngs)

  encoder, decoder = nnx.eval_shape(pair)
  # 4·4·3·128, 4·4·128·256, 4·4·256·512, 4·4·512·1024 without biases; scale and bias of each
  # normalisation; 4·4·1024·64 + 64.
  kernels = 524_288 + 2_097_152 + 8_388_608
  assert num_parameters(encoder) == 6_144 + kernels + 2 * (128 + 256 + 512 + 1024) + 1_048_640
  # 64·8·8·1024 + 8·8·1024, the same three kernels, the normalisations, 3·3·128·3 + 3.
  assert num_parameters(decoder) == 4_259_840 + kernels + 2 * (512 + 256 + 128) + 3_459


@pytest.fixture(scope="module")
def split():
  model = networks.build("celeb_a", (8, 8, 3), latent_dim=4, key=jax.random.key(0))
  return nnx.split(model, nnx.Param)


def test_celeb_a_reconstructs_each_image_independently(split):
  graphdef, params = split
  reconstruct = jax.jit(lambda params, x: nnx.merge(graphdef, params).reconstruct(x))
  images = np.random.default_rng(1).uniform(size=(3, 8, 8, 3)).astype(np.float32)
  among_others = np.concatenate([images[:1], images[1:] ** 3])
  # The same compiled function gives the same bits. BatchNorm would depend on the other images.
  np.testing.assert_array_equal(
    reconstruct(params, images)[0], reconstruct(params, among_others)[0]
  )


def test_celeb_a_gradients_are_finite_and_reach_every_parameter(split):
  """A black image leaves every group without variance."""
  graphdef, params = split
  images = np.random.default_rng(2).uniform(size=(2, 8, 8, 3)).astype(np.float32)
  images[0] = 0

  def error(params, images):
    return ((nnx.merge(graphdef, params).reconstruct(images) - images) ** 2).sum()

  gradients = jax.jit(jax.grad(error))(params, images)
  for path, gradient in nnx.to_flat_state(gradients):
    assert np.isfinite(gradient[...]).all(), path
    assert np.any(gradient[...] != 0), path
