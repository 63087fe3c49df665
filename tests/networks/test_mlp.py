import jax.numpy as jnp
import numpy as np
from flax import nnx

from aejax.networks import MLPDecoder, MLPEncoder


def test_mlp_has_the_published_number_of_parameters(num_parameters):
  def pair():
    rngs = nnx.Rngs(0)
    return MLPEncoder((28, 28, 1), 8, rngs=rngs), MLPDecoder((28, 28, 1), 8, rngs=rngs)

  encoder, decoder = nnx.eval_shape(pair)
  # 784·200 + 200, twice 200·200 + 200, 200·8 + 8.
  assert num_parameters(encoder) == 157_000 + 2 * 40_200 + 1_608
  # 8·200 + 200, twice 200·200 + 200, 200·784 + 784.
  assert num_parameters(decoder) == 1_800 + 2 * 40_200 + 157_584


def test_mlp_decoder_reverses_hidden_sizes():
  def pair():
    kwargs = {"hidden_sizes": (7, 5), "rngs": nnx.Rngs(0)}
    return MLPEncoder((4, 4, 1), 2, **kwargs), MLPDecoder((4, 4, 1), 2, **kwargs)

  encoder, decoder = nnx.eval_shape(pair)
  assert [layer.kernel.shape for layer in encoder.hidden] == [(16, 7), (7, 5)]
  assert [layer.kernel.shape for layer in decoder.hidden] == [(2, 5), (5, 7)]
  assert decoder.to_pixels.kernel.shape == (7, 16)


def test_mlp_encoder_applies_relu_layers():
  encoder = MLPEncoder((2, 2, 1), 2, hidden_sizes=(3,), rngs=nnx.Rngs(0))
  images = np.random.default_rng(1).uniform(size=(5, 2, 2, 1)).astype(np.float32)
  hidden, latents = encoder.hidden[0], encoder.latents.linear
  x = np.maximum(images.reshape(5, 4) @ np.asarray(hidden.kernel[...]), 0)
  # The sums have four products of unit size.
  np.testing.assert_allclose(
    encoder(jnp.asarray(images)), x @ np.asarray(latents.kernel[...]), atol=1e-6
  )
