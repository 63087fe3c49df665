"""Convolution and its adjoint, fast on each kind of device.

XLA runs the gradient of a convolution inside a compiled loop on one core of a CPU, many times
slower than need be. There a convolution becomes a product of matrices: the kernel's with that of
all windows. With the batch along the last axis windows are copied in long runs. Each operation is
kept apart from what is around it: merged with its neighbours' reshapes and sums, as XLA would,
the copies of the windows take up to eight times as long. Everywhere else XLA's own stand.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jaxtyping import Array, Float

__all__ = ["convolve", "transposed_convolve"]

_LAYOUT = ("NHWC", "HWIO", "NHWC")

# Numbers in the windows of all images that are copied at a time, on a CPU.
_MOST_WINDOWS = 2**25

Padding = tuple[tuple[int, int], tuple[int, int]]


def convolve(
  x: Float[Array, "n h w i"],
  kernel: Float[Array, "k k i o"],
  bias: Float[Array, " o"] | None = None,
  *,
  stride: int,
  padding: str,
) -> Float[Array, "n p q o"]:
  """Convolution; "SAME" padding gives height and width divided by `stride`, rounded up."""
  pads = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], (stride, stride), padding)
  low = pads[0][0], pads[1][0]
  size = tuple(
    (length + sum(pad) - kernel.shape[0]) // stride + 1
    for length, pad in zip(x.shape[1:3], pads, strict=True)
  )

  def by_xla(x, kernel, bias):
    y = lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=_LAYOUT)
    return y + bias

  by_products = functools.partial(_products, stride=stride, low=low, size=size)
  return _by_platform(by_products, by_xla)(x, kernel, _filled(bias, kernel))


def transposed_convolve(
  x: Float[Array, "n p q i"],
  kernel: Float[Array, "k k i o"],
  bias: Float[Array, " o"] | None = None,
  *,
  stride: int,
  size: tuple[int, int],
) -> Float[Array, "n h w o"]:
  """The adjoint of a convolution from `size`, so the result has exactly that height and width.

  An odd size is why this is not `lax.conv_transpose`: 13 and 14 pixels both become 7, and only
  the caller knows which to return to. The kernel is that of the adjoint, flipped and transposed.
  """
  side = kernel.shape[0]
  pads, low = [], []
  for length, target in zip(x.shape[1:3], size, strict=True):
    dilated = stride * (length - 1) + 1
    # As "SAME" does: what is cut is shared between the two ends, the odd pixel at the far one.
    cut = (dilated + side - 1 - target) // 2
    pads.append((side - 1 - cut, target - dilated + cut))
    low.append(cut)

  def by_xla(x, kernel, bias):
    y = lax.conv_general_dilated(
      x, kernel, (1, 1), pads, lhs_dilation=(stride, stride), dimension_numbers=_LAYOUT
    )
    return y + bias

  def by_products(x, kernel, bias):
    return _adjoint_products(x, _turned(kernel), bias, stride=stride, low=tuple(low), size=size)

  return _by_platform(by_products, by_xla)(x, kernel, _filled(bias, kernel))


def _by_platform(on_cpu, elsewhere):
  """One function of two."""

  def function(x, kernel, bias):
    return lax.platform_dependent(x, kernel, bias, cpu=on_cpu, default=elsewhere)

  return function


def _filled(bias, kernel):
  return jnp.zeros(kernel.shape[3], kernel.dtype) if bias is None else bias.astype(kernel.dtype)


def _products(x, kernel, bias, *, stride, low, size):
  """A convolution as products of matrices."""
  if stride == 1 and kernel.shape[3] < kernel.shape[2]:
    # The windows would be of more channels than those of the adjoint.
    back = kernel.shape[0] - 1 - low[0], kernel.shape[0] - 1 - low[1]
    return _adjoint_products(x, _turned(kernel), bias, stride=1, low=back, size=size)
  matrix = _as_matrix(kernel, stride).T

  def some(x):
    windows = _windows(x, kernel.shape[0], stride, low, size)
    return (_matmul(matrix, windows) + bias[:, None]).reshape(-1, *size, x.shape[-1])

  return _in_chunks(some, x, size[0] * size[1] * matrix.size // matrix.shape[0])


def _adjoint_products(x, kernel, bias, *, stride, low, size):
  """The adjoint of the convolution by `kernel`, from images of `size`."""
  matrix = _as_matrix(kernel, stride)
  side, _, channels, _ = kernel.shape

  def some(x):
    _, p, q, n = x.shape
    rows = _matmul(matrix, x.reshape(-1, p * q * n))
    # Its values are not used; made of the rows, since shard_map has axes in an array's type.
    image = jnp.broadcast_to(jnp.sum(rows), (channels, *size, n))
    windows = functools.partial(_windows, side=side, stride=stride, low=low, size=(p, q))
    _, spread = jax.vjp(windows, image)
    return spread(rows)[0] + bias[:, None, None, None]

  return _in_chunks(some, x, x.shape[1] * x.shape[2] * matrix.shape[0])


def _windows(x, side, stride, low, size):
  """[i, h, w, n] to the matrix of all windows, [side² i, p q n].

  The image is first cut into its stride² phases: a window then takes whole runs of each.
  """
  channels, height, width, n = x.shape
  reach = -(-side // stride)
  rows, columns = (length + reach - 1 for length in size)
  pads = [
    (0, 0, 0),
    (low[0], rows * stride - height - low[0], 0),
    (low[1], columns * stride - width - low[1], 0),
    (0, 0, 0),
  ]
  phases = lax.pad(x, jnp.zeros((), x.dtype), pads)
  phases = phases.reshape(channels, rows, stride, columns, stride, n).transpose(2, 4, 0, 1, 3, 5)

  def run(phases, a, b):
    return phases[..., a : a + size[0], b : b + size[1], :]

  if side % stride == 0:
    runs = [run(phases, a, b) for a in range(reach) for b in range(reach)]
  else:
    runs = [
      run(phases[a % stride, b % stride], a // stride, b // stride)
      for a in range(side)
      for b in range(side)
    ]
  return jnp.stack(runs).reshape(side * side * channels, -1)


def _as_matrix(kernel, stride):
  """[k, k, i, o] to [k² i, o], in the order of `_windows`."""
  side, _, i, o = kernel.shape
  if side % stride == 0:
    reach = side // stride
    kernel = kernel.reshape(reach, stride, reach, stride, i, o).transpose(0, 2, 1, 3, 4, 5)
  return kernel.reshape(side * side * i, o)


def _turned(kernel):
  """The kernel of the adjoint."""
  return kernel[::-1, ::-1].swapaxes(2, 3)


def _in_chunks(function, x, windows):
  """A function of [i, h, w, n] to [o, p, q, n], of the images [n, h, w, i], some at a time."""
  n = x.shape[0]
  chunks = max(-(-n * windows // _MOST_WINDOWS), 1)
  filled = jnp.pad(x, [(0, -n % chunks)] + [(0, 0)] * 3)
  # Each chunk takes rows from all over the batch, so that a batch cut over devices stays so.
  cut = filled.reshape(-1, chunks, *x.shape[1:]).transpose(1, 4, 2, 3, 0)
  if chunks == 1:
    whole = _apart(function)(cut[0])[None]
  else:
    whole = lax.map(jax.checkpoint(_apart(function), prevent_cse=False), cut)
  whole = whole.transpose(4, 0, 2, 3, 1)
  return whole.reshape(-1, *whole.shape[2:])[:n]


def _apart(function):
  """`function`, which XLA does not inline into its caller."""

  def call(*arguments):
    with set_xla_metadata(inlineable="false"):
      return jax.jit(function)(*arguments)

  return call


def _matmul(x, y):
  accumulated = jnp.promote_types(x.dtype, jnp.float32)
  return jnp.matmul(x, y, preferred_element_type=accumulated).astype(x.dtype)
