"""Networks by name."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Key, PyTree

from aejax import _checks
from aejax._memory import check_fits
from aejax.autoencoder import Autoencoder
from aejax.networks._layers import ImageShape, check_dtype, check_image_shape
from aejax.networks.celeb_a import CelebADecoder, CelebAEncoder
from aejax.networks.cifar10 import CIFAR10Decoder, CIFAR10Encoder
from aejax.networks.conv_net import ConvolutionalDecoder, ConvolutionalEncoder
from aejax.networks.linear import LinearDecoder, LinearEncoder
from aejax.networks.mlp import MLPDecoder, MLPEncoder

__all__ = ["ARCHITECTURES", "build", "default_architecture"]

_NETWORKS = {
  "linear": (LinearEncoder, LinearDecoder, "identity"),
  "mlp": (MLPEncoder, MLPDecoder, "sigmoid"),
  "convolutional": (ConvolutionalEncoder, ConvolutionalDecoder, "sigmoid"),
  "cifar10": (CIFAR10Encoder, CIFAR10Decoder, "sigmoid"),
  "celeb_a": (CelebAEncoder, CelebADecoder, "tanh"),
}

ARCHITECTURES = tuple(_NETWORKS)


def build(
  architecture: str,
  image_shape: tuple[int, ...],
  *,
  latent_dim: int,
  gaussian: bool = False,
  dtype: DTypeLike = jnp.float32,
  key: Key[Array, ""],
) -> Autoencoder:
  """Returns a new autoencoder with sizes that follow from the image shape.

  Args:
    architecture: one of `ARCHITECTURES`. "linear" is one affine map each way; "mlp" is the
      network of the papers for MNIST and Fashion-MNIST; the depth of "convolutional" follows from
      the image size; "cifar10" and "celeb_a" are the networks of the papers for these data sets.
      Each takes any image shape.
    image_shape: height, width, channels.
    latent_dim: number of latent dimensions.
    gaussian: whether the encoder returns a mean and a log-variance, as a VAE needs.
    dtype: dtype of the computation; parameters are always float32.
    key: random key of the initial parameters.

  Raises:
    ValueError: if the architecture is unknown, a size is not positive, or `dtype` is not a float.

  Example:
    >>> import jax
    >>> model = build("mlp", (28, 28, 1), latent_dim=8, key=jax.random.key(0))
    >>> model.generate(jax.random.key(1), 16).shape
    (16, 28, 28, 1)
  """
  network = _Network(
    _checks.one_of("architecture", architecture, ARCHITECTURES),
    check_image_shape(image_shape),
    # A Gaussian encoder has twice as many outputs.
    _checks.integer("latent_dim", latent_dim, most=2**30 - 1),
    _checks.boolean("gaussian", gaussian),
    check_dtype(dtype),
  )
  key = _checks.new_key("key", key)
  shapes = nnx.eval_shape(network.initial, key)
  parameters = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(shapes)))
  sizes = f"latent_dim {latent_dim} of images {list(image_shape)}"
  check_fits("The size of the network", sizes, 4 * parameters)
  graphdef = nnx.graphdef(shapes)
  return nnx.merge(graphdef, _initial_parameters(network, key))


def default_architecture(image_shape: tuple[int, ...]) -> str:
  """Returns the default architecture for images of a shape.

  "mlp" for grey images with no side over 32 (the digits, MNIST, Fashion-MNIST), where it is the
  network of the papers and the fastest; "convolutional" for all others.
  """
  height, width, channels = check_image_shape(image_shape)
  return "mlp" if channels == 1 and max(height, width) <= 32 else "convolutional"


class _Network(NamedTuple):
  """The arguments of `build` without the key."""

  architecture: str
  image_shape: ImageShape
  latent_dim: int
  gaussian: bool
  dtype: jnp.dtype

  def initial(self, key: Key[Array, ""]) -> Autoencoder:
    make_encoder, make_decoder, output = _NETWORKS[self.architecture]
    shape, latent_dim, dtype = self.image_shape, self.latent_dim, self.dtype
    rngs = nnx.Rngs(key)
    encoder = make_encoder(shape, latent_dim, gaussian=self.gaussian, dtype=dtype, rngs=rngs)
    decoder = make_decoder(shape, latent_dim, dtype=dtype, rngs=rngs)
    return Autoencoder(encoder, decoder, latent_dim=latent_dim, output=output)


# Compile all initial values as one program, which the next seed reuses. One program for each
# parameter would take almost twice as long.
@functools.partial(jax.jit, static_argnums=0)
def _initial_parameters(network: _Network, key: Key[Array, ""]) -> PyTree:
  return nnx.state(network.initial(key))
