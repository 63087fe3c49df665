import jax.numpy as jnp
import pytest
from flax import nnx

from aejax.networks import ConvolutionalDecoder, ConvolutionalEncoder


def _abstract_pair(image_shape, latent_dim, **kwargs):
  def pair():
    rngs = nnx.Rngs(0)
    return (
      ConvolutionalEncoder(image_shape, latent_dim, rngs=rngs, **kwargs),
      ConvolutionalDecoder(image_shape, latent_dim, rngs=rngs, **kwargs),
    )

  return nnx.eval_shape(pair)


@pytest.mark.parametrize(
  ("image_shape", "channels"),
  [
    ((1, 1, 3), (32,)),
    ((8, 8, 1), (32,)),
    ((28, 28, 1), (32, 64)),
    ((32, 32, 3), (32, 64, 128)),
    ((16, 64, 3), (32, 64, 128, 256)),
    ((256, 256, 3), (32, 64, 128, 256, 256, 256)),
  ],
)
def test_convolutional_depth_follows_from_image_shape(image_shape, channels):
  encoder, decoder = _abstract_pair(image_shape, 4)
  assert tuple(layer.kernel.shape[3] for layer in encoder.convolutions) == channels
  assert tuple(layer.kernel.shape[2] for layer in decoder.convolutions) == channels[::-1]
  assert decoder.convolutions[-1].kernel.shape[3] == image_shape[2]


def test_convolutional_has_the_expected_number_of_parameters(num_parameters):
  encoder, decoder = _abstract_pair((28, 28, 1), 8)
  # 4·4·1·32 + 32, 4·4·32·64 + 64, 7·7·64·256 + 256, 256·8 + 8.
  assert num_parameters(encoder) == 544 + 32_832 + 803_072 + 2_056
  # 8·256 + 256, 256·7·7·64 + 7·7·64, 4·4·64·32 + 32, 4·4·32·1 + 1.
  assert num_parameters(decoder) == 2_304 + 805_952 + 32_800 + 513


def test_convolutional_accepts_channels_and_hidden_size():
  encoder, decoder = _abstract_pair((9, 6, 2), 3, channels=(5, 7), hidden_size=11)
  assert [layer.kernel.shape for layer in encoder.convolutions] == [(4, 4, 2, 5), (4, 4, 5, 7)]
  assert [layer.kernel.shape for layer in decoder.convolutions] == [(4, 4, 7, 5), (4, 4, 5, 2)]
  assert encoder.hidden.kernel.shape == (3 * 2 * 7, 11)
  assert decoder.hidden.kernel.shape == (3, 11)


def test_convolutional_decoder_ends_without_relu():
  decoder = ConvolutionalDecoder((8, 8, 1), 2, rngs=nnx.Rngs(0))
  logits = decoder(jnp.linspace(-3, 3, 20).reshape(10, 2))
  assert logits.min() < 0 < logits.max()
