"""Convolution and its adjoint, fast on each kind of device.

On a CPU, XLA runs the gradient of a convolution inside a compiled loop on one core. There a
convolution is computed as a matrix product: the kernel times the matrix of all windows. With the
batch along the last axis, windows are copied in long runs. Each operation is kept separate from
its neighbours: if XLA merged it with their reshapes and sums, copying the windows would take up to
eight times as long. On GPUs and TPUs, XLA's own convolutions are used.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jaxtyping import Array, Float

__all__ = ["convolve", "transposed_convolve"]

_LAYOUT = ("NHWC", "HWIO", "NHWC")

# Maximum number of entries of the windows that are copied at a time, on a CPU.
_MAX_WINDOWS = 2**25

Padding = tuple[tuple[int, int], ...]
Operation = Callable[[Array, Array, Array], Array]


def convolve(
  x: Float[Array, "n h w i"],
  kernel: Float[Array, "k k i o"],
  bias: Float[Array, " o"] | None = None,
  *,
  stride: int,
  padding: str,
) -> Float[Array, "n p q o"]:
  """Returns a convolution; "SAME" padding divides height and width by `stride`, rounded up."""
  pads = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], (stride, stride), padding)
  low = pads[0][0], pads[1][0]
  size = tuple(
    (length + sum(pad) - kernel.shape[0]) // stride + 1
    for length, pad in zip(x.shape[1:3], pads, strict=True)
  )

  def by_xla(x: Array, kernel: Array, bias: Array) -> Array:
    return _strided(x, kernel, stride, tuple(pads)) + bias

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
  """Returns the adjoint of a strided convolution from images of `size`.

  The result has exactly this height and width. `lax.conv_transpose` cannot return to an odd size:
  13 and 14 pixels both become 7. The kernel is that of the adjoint, flipped and transposed.
  """
  side = kernel.shape[0]
  low: list[int] = []
  for length, target in zip(x.shape[1:3], size, strict=True):
    dilated = stride * (length - 1) + 1
    # As for "SAME", both ends are cut equally, with an odd pixel at the far end.
    cut = (dilated + side - 1 - target) // 2
    low.append(cut)

  pads = tuple(
    (first, stride * (length - 1) + side - target - first)
    for first, length, target in zip(low, x.shape[1:3], size, strict=True)
  )

  def by_xla(x: Array, kernel: Array, bias: Array) -> Array:
    return _adjoint(stride, pads, size, x, kernel) + bias

  def by_products(x: Array, kernel: Array, bias: Array) -> Array:
    return _adjoint_products(x, _flipped(kernel), bias, stride=stride, low=tuple(low), size=size)

  return _by_platform(by_products, by_xla)(x, kernel, _filled(bias, kernel))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _adjoint(
  stride: int,
  pads: Padding,
  size: tuple[int, int],
  x: Float[Array, "n p q i"],
  kernel: Float[Array, "k k i o"],
) -> Float[Array, "n h w o"]:
  """Returns the adjoint of the strided convolution by the flipped kernel.

  Written as a convolution, it is one of `x` with zeros between its pixels: GPUs would store and
  multiply the zeros. Written as the transpose of the strided convolution, cuDNN computes it as the
  gradient of a convolution for its input.
  """
  # The barrier keeps XLA from cancelling the two reversals of the kernel, after which it no longer
  # recognises the gradient of a convolution.
  x, kernel = _varying_like(x, kernel), _varying_like(kernel, x)
  flipped = lax.optimization_barrier(_flipped(kernel))
  image = _varying_like(jnp.zeros((x.shape[0], *size, kernel.shape[3]), x.dtype), x)
  return jax.linear_transpose(lambda image: _strided(image, flipped, stride, pads), image)(x)[0]


@_adjoint.defjvp
def _(
  stride: int, pads: Padding, size: tuple[int, int], primals: Any, tangents: Any
) -> tuple[Array, Array]:
  (x, kernel), (dx, dkernel) = primals, tangents
  y = _adjoint(stride, pads, size, x, kernel)
  x, kernel, dkernel = (_varying_like(v, x, kernel, dkernel) for v in (x, kernel, dkernel))

  def kernel_gradient(image: Array) -> Array:
    flipped = _flipped(kernel)
    convolve = jax.linear_transpose(lambda k: _strided(image, k, stride, pads), flipped)
    return _flipped(convolve(x)[0])

  # Reverse mode transposes this back to `kernel_gradient`, which cuDNN has; the derivative that JAX
  # would derive convolves with windows as large as the images.
  by_kernel = jax.linear_transpose(kernel_gradient, y)
  return y, _adjoint(stride, pads, size, dx, kernel) + by_kernel(dkernel)[0]


def _varying_like(v: Array, *others: Array) -> Array:
  """Returns an array with the mapped axes of others added to its type.

  Under shard_map the type of an array includes the axes along which it varies, and a transpose
  needs the same axes for its inputs and outputs.
  """

  def axes_of(array: Array) -> frozenset[str]:
    return jax.typeof(array).manual_axis_type.varying

  axes = frozenset().union(*map(axes_of, others)) - axes_of(v)
  return lax.pcast(v, tuple(axes), to="varying") if axes else v


def _strided(
  image: Float[Array, "n h w i"], kernel: Float[Array, "k k i o"], stride: int, pads: Padding
) -> Float[Array, "n p q o"]:
  return lax.conv_general_dilated(image, kernel, (stride, stride), pads, dimension_numbers=_LAYOUT)


def _by_platform(on_cpu: Operation, elsewhere: Operation) -> Operation:
  """Returns the operation that suits the platform a program is lowered for."""

  def function(x: Array, kernel: Array, bias: Array) -> Array:
    return lax.platform_dependent(x, kernel, bias, cpu=on_cpu, default=elsewhere)

  return function


def _filled(bias: Array | None, kernel: Array) -> Array:
  return jnp.zeros(kernel.shape[3], kernel.dtype) if bias is None else bias.astype(kernel.dtype)


def _products(
  x: Array,
  kernel: Array,
  bias: Array,
  *,
  stride: int,
  low: tuple[int, ...],
  size: tuple[int, ...],
) -> Array:
  """Returns a convolution, computed by matrix products."""
  if stride == 1 and kernel.shape[3] < kernel.shape[2]:
    # The windows of the adjoint have fewer channels.
    back = kernel.shape[0] - 1 - low[0], kernel.shape[0] - 1 - low[1]
    return _adjoint_products(x, _flipped(kernel), bias, stride=1, low=back, size=size)
  matrix = _as_matrix(kernel, stride).T

  def convolve_chunk(x: Array) -> Array:
    windows = _windows(x, kernel.shape[0], stride, low, size)
    return (_matmul(matrix, windows) + bias[:, None]).reshape(-1, *size, x.shape[-1])

  return _in_chunks(convolve_chunk, x, size[0] * size[1] * matrix.size // matrix.shape[0])


def _adjoint_products(
  x: Array,
  kernel: Array,
  bias: Array,
  *,
  stride: int,
  low: tuple[int, ...],
  size: tuple[int, ...],
) -> Array:
  """Returns the adjoint of the convolution by `kernel` from images of `size`."""
  matrix = _as_matrix(kernel, stride)
  side, _, channels, _ = kernel.shape

  def convolve_chunk(x: Array) -> Array:
    _, p, q, n = x.shape
    rows = _matmul(matrix, x.reshape(-1, p * q * n))
    # The values are not used. It is derived from the rows because the type of an array under
    # shard_map includes its mapped axes.
    image = jnp.broadcast_to(jnp.sum(rows), (channels, *size, n))
    windows = functools.partial(_windows, side=side, stride=stride, low=low, size=(p, q))
    _, spread = jax.vjp(windows, image)
    return spread(rows)[0] + bias[:, None, None, None]

  return _in_chunks(convolve_chunk, x, x.shape[1] * x.shape[2] * matrix.shape[0])


def _windows(
  x: Float[Array, "i h w n"],
  side: int,
  stride: int,
  low: tuple[int, ...],
  size: tuple[int, ...],
) -> Float[Array, "windows pixels"]:
  """Returns the matrix of all windows, [side² i, p q n].

  The image is first split into its stride² phases, so that a window consists of long runs of each.
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

  def run(phases: Array, a: int, b: int) -> Array:
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


def _as_matrix(kernel: Float[Array, "k k i o"], stride: int) -> Float[Array, "rows o"]:
  """Returns the kernel as a matrix [k² i, o] in the order of `_windows`."""
  side, _, i, o = kernel.shape
  if side % stride == 0:
    reach = side // stride
    kernel = kernel.reshape(reach, stride, reach, stride, i, o).transpose(0, 2, 1, 3, 4, 5)
  return kernel.reshape(side * side * i, o)


def _flipped(kernel: Float[Array, "k k i o"]) -> Float[Array, "k k o i"]:
  """Returns the kernel of the adjoint."""
  return kernel[::-1, ::-1].swapaxes(2, 3)


def _in_chunks(
  function: Callable[[Array], Array], x: Float[Array, "n h w i"], windows: int
) -> Float[Array, "n p q o"]:
  """Applies a function from [i, h, w, n] to [o, p, q, n] to chunks of the images.

  Args:
    function: the function.
    x: the images.
    windows: number of entries of the windows of one image.
  """
  n = x.shape[0]
  chunks = max(-(-n * windows // _MAX_WINDOWS), 1)
  filled = jnp.pad(x, [(0, -n % chunks)] + [(0, 0)] * 3)
  # Each chunk takes rows from the whole batch, so that a batch spread over devices stays spread.
  cut = filled.reshape(-1, chunks, *x.shape[1:]).transpose(1, 4, 2, 3, 0)
  if chunks == 1:
    y = _not_inlined(function)(cut[0])[None]
  else:
    y = lax.map(jax.checkpoint(_not_inlined(function), prevent_cse=False), cut)
  y = y.transpose(4, 0, 2, 3, 1)
  return y.reshape(-1, *y.shape[2:])[:n]


def _not_inlined(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
  """Returns the function as one that XLA does not inline into its caller."""

  def call(*arguments: Array) -> Array:
    with set_xla_metadata(inlineable="false"):
      return jax.jit(function)(*arguments)

  return call


def _matmul(x: Array, y: Array) -> Array:
  accumulated = jnp.promote_types(x.dtype, jnp.float32)
  return jnp.matmul(x, y, preferred_element_type=accumulated).astype(x.dtype)
