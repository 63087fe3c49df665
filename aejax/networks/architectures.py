"""Autoencoders by the name of their architecture."""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Key, PyTree

from aejax import _checks
from aejax._import_paths import is_import_path
from aejax._memory import check_fits
from aejax.autoencoder import Autoencoder
from aejax.networks._layers import ImageShape, check_dtype, check_image_shape
from aejax.networks.celeb_a import CelebADecoder, CelebAEncoder
from aejax.networks.cifar10 import CIFAR10Decoder, CIFAR10Encoder
from aejax.networks.conv_net import ConvolutionalDecoder, ConvolutionalEncoder
from aejax.networks.linear import LinearDecoder, LinearEncoder
from aejax.networks.mlp import MLPDecoder, MLPEncoder
from aejax.networks.own import build_own

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
  output: str | None = None,
  dtype: DTypeLike = jnp.float32,
  key: Key[Array, ""],
) -> Autoencoder:
  """Builds an autoencoder with initial parameters for data of any shape.

  Args:
    architecture: one of `ARCHITECTURES`, or the import path "package.module:function" of a function
      of yours. "linear" has one affine encoder and decoder. "mlp" is the papers' network for MNIST
      and Fashion-MNIST. "convolutional" has a depth that follows from the shape. "cifar10" and
      "celeb_a" are the papers' networks for those data sets. Your function returns an `Autoencoder`
      or a pair (encoder, decoder). It takes the shape of an example, and by name any of
      `latent_dim`, `gaussian`, `dtype` and `key`.
    image_shape: shape of one example: (height, width, channels) of images, (d,) of vectors,
      (steps, channels) of signals, (depth, height, width, channels) of volumes.
    latent_dim: number of latent dimensions.
    gaussian: whether the encoder returns a mean and a log-variance, as a VAE needs.
    output: activation after the decoder, see `Autoencoder`; "identity" for values outside [0, 1].
      By default, "identity" for "linear", "tanh" for "celeb_a" and "sigmoid" for the others. A
      function of yours chooses its own.
    dtype: dtype of the computation; the parameters are always float32.
    key: random key for the initial parameters.

  Raises:
    ValueError: if the architecture is unknown or not for data of this shape, a size is not
      positive, `dtype` is not a floating-point type, or the networks of your function have wrong
      shapes.

  Example:
    >>> import jax
    >>> model = build("mlp", (28, 28, 1), latent_dim=8, key=jax.random.key(0))
    >>> model.generate(jax.random.key(1), 16).shape
    (16, 28, 28, 1)
  """
  if is_import_path(architecture):
    sizes = {"latent_dim": latent_dim, "gaussian": gaussian, "dtype": check_dtype(dtype)}
    return build_own(architecture, check_image_shape(image_shape), **sizes, key=key)
  network = _Network(
    _checks.one_of("architecture", architecture, ARCHITECTURES),
    check_image_shape(image_shape),
    # A Gaussian encoder has twice as many outputs.
    _checks.integer("latent_dim", latent_dim, most=2**30 - 1),
    _checks.boolean("gaussian", gaussian),
    output,
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
  """Returns the default architecture for data of a shape.

  It is "mlp" for vectors, and for grey images up to 32×32 such as MNIST, where it is the papers'
  network and the fastest. It is "convolutional" for signals, volumes and all other images.
  """
  shape = check_image_shape(image_shape)
  small = len(shape) == 3 and shape[2] == 1 and max(shape) <= 32
  return "mlp" if small or len(shape) == 1 else "convolutional"


class _Network(NamedTuple):
  """The arguments of `build` except the key."""

  architecture: str
  image_shape: ImageShape
  latent_dim: int
  gaussian: bool
  output: str | None
  dtype: jnp.dtype

  def initial(self, key: Key[Array, ""]) -> Autoencoder:
    """Returns the autoencoder with initial parameters."""
    make_encoder, make_decoder, output = _NETWORKS[self.architecture]
    shape, latent_dim, dtype = self.image_shape, self.latent_dim, self.dtype
    rngs = nnx.Rngs(key)
    encoder = make_encoder(shape, latent_dim, gaussian=self.gaussian, dtype=dtype, rngs=rngs)
    decoder = make_decoder(shape, latent_dim, dtype=dtype, rngs=rngs)
    output = output if self.output is None else self.output
    return Autoencoder(encoder, decoder, latent_dim=latent_dim, output=output)


# Compile the initialisation once for all parameters and reuse it for the next seed. One
# compilation for each parameter takes almost twice as long.
@functools.partial(jax.jit, static_argnums=0)
def _initial_parameters(network: _Network, key: Key[Array, ""]) -> PyTree:
  """Returns the initial parameters."""
  return nnx.state(network.initial(key))
