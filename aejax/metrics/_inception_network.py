"""Inception-v3 as published on 2015-12-05, up to its last pooling.

This is the TensorFlow graph that the first FID used, after its port to PyTorch. It differs from the
network of the same name in current collections: it has other weights, its average pools do not
count the padding, its last block has a maximum in place of an average, and it resizes as
TensorFlow 1 does.
"""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

__all__ = ["SIDE", "features", "resize_tf1"]

SIDE = 299
"""Height and width of the images that the network takes."""

Weights = Mapping[str, Mapping[str, Array]]


def resize_tf1(images: Float[Array, "n h w c"], side: int = SIDE) -> Float[Array, "n side side c"]:
  """Resizes images bilinearly as in TensorFlow 1: pixel i is taken at i · h / side of the original.

  The first pixels coincide and the last do not, pixels are points and not squares, and shrinking
  skips pixels. The FID is sensitive to this and is defined with it.
  """
  for axis in (2, 1):
    length = images.shape[axis]
    position = np.arange(side, dtype=np.float32) * np.float32(length / side)
    low = position.astype(np.int32)
    high = np.minimum(low + 1, length - 1)
    fraction = (position - low.astype(np.float32)).reshape(-1, *[1] * (3 - axis))
    first, second = (jnp.take(images, indices, axis=axis) for indices in (low, high))
    images = first + (second - first) * fraction
  return images


def features(weights: Weights, images: Float[Array, "n h w c"]) -> Float[Array, "n 2048"]:
  """Computes the features: spatial means of Inception's last activations.

  Args:
    weights: kernel and bias of each layer, as `inception.fold_batch_norm` returns them.
    images: images in [0, 1] with one or three channels.

  Raises:
    ValueError: if the images have another number of channels, or the weights do not fit Inception.
  """
  channels = images.shape[-1]
  if channels not in (1, 3):
    raise ValueError(f"Inception takes images of 1 or 3 channels, but these have {channels}.")
  conv = functools.partial(_convolution, weights)
  pool = functools.partial(nnx.max_pool, window_shape=(3, 3), strides=(2, 2))
  x = resize_tf1(images.astype(jnp.float32) * 255)
  x = (jnp.repeat(x, 3 // channels, axis=3) - 128) / 128
  x = conv("Conv2d_1a_3x3", x, 32, 3, stride=2)
  x = conv("Conv2d_2a_3x3", x, 32, 3, padding="VALID")
  x = pool(conv("Conv2d_2b_3x3", x, 64, 3))
  x = conv("Conv2d_3b_1x1", x, 80, 1)
  x = pool(conv("Conv2d_4a_3x3", x, 192, 3, padding="VALID"))
  for block, width in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
    x = _block_35(functools.partial(_chain, weights, block), x, width)
  chain = functools.partial(_chain, weights, "Mixed_6a")
  branches = chain(x, ("branch3x3", 384, 3), stride=2), _double(chain, x, stride=2), pool(x)
  x = jnp.concatenate(branches, axis=3)
  for block, width in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
    x = _block_17(functools.partial(_chain, weights, block), x, width)
  chain = functools.partial(_chain, weights, "Mixed_7a")
  wide = ("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3)
  cross = [("1", 1), ("2", (1, 7)), ("3", (7, 1)), ("4", 3)]
  long = [(f"branch7x7x3_{number}", 192, size) for number, size in cross]
  x = jnp.concatenate((chain(x, *wide, stride=2), chain(x, *long, stride=2), pool(x)), axis=3)
  x = _block_8(functools.partial(_chain, weights, "Mixed_7b"), x, _mean)
  x = _block_8(functools.partial(_chain, weights, "Mixed_7c"), x, _maximum)
  return x.mean((1, 2))


def _block_35(chain, x, width):
  """The block at 35 by 35 pixels, used three times."""
  branches = (
    chain(x, ("branch1x1", 64, 1)),
    chain(x, ("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)),
    _double(chain, x),
    chain(_mean(x), ("branch_pool", width, 1)),
  )
  return jnp.concatenate(branches, axis=3)


def _double(chain, x, stride=1):
  """The branch with two 3 by 3 convolutions in place of one 5 by 5."""
  layers = ("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)
  return chain(x, *layers, stride=stride)


def _block_17(chain, x, width):
  """The block at 17 by 17 pixels, used four times; 7 by 7 kernels are split into 1 by 7, 7 by 1."""
  row, column = (1, 7), (7, 1)
  single = [(width, 1), (width, row), (192, column)]
  double = [(width, 1), (width, column), (width, row), (width, column), (192, row)]
  branches = (
    chain(x, ("branch1x1", 192, 1)),
    chain(x, *[(f"branch7x7_{k}", *layer) for k, layer in enumerate(single, start=1)]),
    chain(x, *[(f"branch7x7dbl_{k}", *layer) for k, layer in enumerate(double, start=1)]),
    chain(_mean(x), ("branch_pool", 192, 1)),
  )
  return jnp.concatenate(branches, axis=3)


def _block_8(chain, x, pool):
  """The block at 8 by 8 pixels, used twice with different pooling."""
  row, column = (1, 3), (3, 1)
  single = chain(x, ("branch3x3_1", 384, 1))
  double = chain(x, ("branch3x3dbl_1", 448, 1), ("branch3x3dbl_2", 384, 3))
  branches = (
    chain(x, ("branch1x1", 320, 1)),
    chain(single, ("branch3x3_2a", 384, row)),
    chain(single, ("branch3x3_2b", 384, column)),
    chain(double, ("branch3x3dbl_3a", 384, row)),
    chain(double, ("branch3x3dbl_3b", 384, column)),
    chain(pool(x), ("branch_pool", 192, 1)),
  )
  return jnp.concatenate(branches, axis=3)


def _mean(x):
  """Averages 3 by 3 neighbours; the average at the border has fewer terms, without padding."""
  y = nnx.avg_pool(x, (3, 3), (1, 1), "SAME", count_include_pad=False)
  return y.astype(x.dtype)  # the count may have made it float64


def _maximum(x):
  return nnx.max_pool(x, (3, 3), (1, 1), "SAME")


def _chain(weights, block, x, *layers, stride=1):
  """Applies convolutions in sequence; only the last has the stride."""
  for k, (name, channels, size) in enumerate(layers, start=1):
    last = k == len(layers)
    x = _convolution(weights, f"{block}.{name}", x, channels, size, stride=stride if last else 1)
  return x


def _convolution(weights, name, x, channels, size, *, stride=1, padding="SAME"):
  """Applies a convolution, its normalisation and ReLU; layers with a stride have no padding."""
  height, width = (size, size) if isinstance(size, int) else size
  if name not in weights:
    raise ValueError(f"it has no tensor {name}.conv.weight.")
  kernel, bias = weights[name]["kernel"], weights[name]["bias"]
  expected = (height, width, x.shape[3], channels)
  if kernel.shape != expected:
    raise ValueError(
      f"its layer {name} has a kernel of shape {list(kernel.shape)}, not {list(expected)}."
    )
  y = lax.conv_general_dilated(
    x,
    kernel,
    (stride, stride),
    padding if stride == 1 else "VALID",
    dimension_numbers=("NHWC", "HWIO", "NHWC"),
    precision=lax.Precision.HIGHEST,
  )
  return jax.nn.relu(y + bias)
