"""Convolution and transposed convolution, with a fast implementation for CPUs.

On a CPU, XLA runs the gradient of a convolution on one core when it is inside a compiled loop,
which is many times slower than necessary. There we write a convolution as a product of two
matrices: the kernel and the matrix of all windows. The batch is the last axis, so that windows
are copied in long runs. XLA must not fuse these operations with the reshapes and sums around
them, because the copies of the windows then take up to eight times as long. On every other
platform we call XLA's own convolution.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jaxtyping import Array, Float

__all__ = ["convolve", "transposed_convolve"]

_LAYOUT = ("NHWC", "HWIO", "NHWC")

# Entries in the window matrix that the CPU implementation makes at a time.
_MAX_WINDOW_ENTRIES = 2**25

Size = tuple[int, int]
Padding = tuple[tuple[int, int], tuple[int, int]]
Images = Float[Array, "n h w i"]
Kernel = Float[Array, "k k i o"]
Implementation = Callable[[Images, Kernel, Float[Array, " o"]], Float[Array, "n p q o"]]


def convolve(
  x: Float[Array, "n h w i"],
  kernel: Float[Array, "k k i o"],
  bias: Float[Array, " o"] | None = None,
  *,
  stride: int,
  padding: str,
) -> Float[Array, "n p q o"]:
  """Returns the convolution of `x` with `kernel`, plus `bias`.

  Args:
    x: images.
    kernel: square kernel.
    bias: constant added to each output channel.
    stride: pixels between two windows.
    padding: "VALID", or "SAME" for height and width divided by `stride`, rounded up.
  """
  first, second = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], (stride, stride), padding)
  pads = (first, second)
  low = first[0], second[0]
  height, width = (
    (length + sum(pad) - kernel.shape[0]) // stride + 1
    for length, pad in zip(x.shape[1:3], pads, strict=True)
  )

  def by_xla(
    x: Float[Array, "n h w i"], kernel: Float[Array, "k k i o"], bias: Float[Array, " o"]
  ) -> Float[Array, "n p q o"]:
    return _strided(x, kernel, stride, pads) + bias

  by_products = functools.partial(_products, stride=stride, low=low, size=(height, width))
  return _by_platform(by_products, by_xla)(x, kernel, _bias_or_zeros(bias, kernel))


def transposed_convolve(
  x: Float[Array, "n p q i"],
  kernel: Float[Array, "k k i o"],
  bias: Float[Array, " o"] | None = None,
  *,
  stride: int,
  size: Size,
) -> Float[Array, "n h w o"]:
  """Returns the adjoint of a strided "SAME" convolution, applied to `x`, plus `bias`.

  `lax.conv_transpose` cannot return every size: a stride of 2 takes both 13 and 14 pixels to 7,
  and only the caller knows which of them the result must have.

  Args:
    x: images.
    kernel: square kernel; the convolution's own kernel is this one, flipped and with its channels
      swapped.
    bias: constant added to each output channel.
    stride: pixels of the result for each pixel of `x`.
    size: height and width of the result.
  """
  side = kernel.shape[0]
  low, pads = [], []
  for length, target in zip(x.shape[1:3], size, strict=True):
    surplus = stride * (length - 1) + side - target
    # "SAME" shares the padding between the two ends, and puts an odd pixel at the far end.
    low.append(surplus // 2)
    pads.append((low[-1], surplus - low[-1]))

  def by_xla(
    x: Float[Array, "n p q i"], kernel: Float[Array, "k k i o"], bias: Float[Array, " o"]
  ) -> Float[Array, "n h w o"]:
    return _adjoint(stride, (pads[0], pads[1]), size, x, kernel) + bias

  def by_products(
    x: Float[Array, "n p q i"], kernel: Float[Array, "k k i o"], bias: Float[Array, " o"]
  ) -> Float[Array, "n h w o"]:
    adjoint = _adjoint_kernel(kernel)
    return _adjoint_products(x, adjoint, bias, stride=stride, low=(low[0], low[1]), size=size)

  return _by_platform(by_products, by_xla)(x, kernel, _bias_or_zeros(bias, kernel))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def _adjoint(
  stride: int,
  pads: Padding,
  size: Size,
  x: Float[Array, "n p q i"],
  kernel: Float[Array, "k k i o"],
) -> Float[Array, "n h w o"]:
  """Returns the adjoint of the strided convolution from `size` by the adjoint kernel.

  A convolution of images with zeros between their pixels has the same value. cuDNN would multiply
  by these zeros, but computes the gradient of a convolution without them.
  """
  # Without the barrier XLA cancels the two reversals of the kernel. It then no longer recognises
  # the gradient of a convolution.
  adjoint = lax.optimization_barrier(_adjoint_kernel(kernel))
  images = _like((x.shape[0], *size, kernel.shape[3]), x, kernel)
  transpose = jax.linear_transpose(lambda v: _strided(v, adjoint, stride, pads), images)
  return transpose(x)[0]


@_adjoint.defjvp
def _adjoint_jvp(
  stride: int,
  pads: Padding,
  size: Size,
  primals: tuple[Float[Array, "n p q i"], Float[Array, "k k i o"]],
  tangents: tuple[Float[Array, "n p q i"], Float[Array, "k k i o"]],
) -> tuple[Float[Array, "n h w o"], Float[Array, "n h w o"]]:
  """Writes both tangents as transposes, which reverse mode transposes back.

  The gradient for `x` is then the strided convolution, and the gradient for the kernel is that of
  the strided convolution for its kernel.
  """
  x, kernel = primals
  dx, dkernel = tangents
  y = _adjoint(stride, pads, size, x, kernel)

  def kernel_gradient(images: Float[Array, "n h w o"]) -> Float[Array, "k k i o"]:
    adjoint = _like(_adjoint_kernel(kernel).shape, kernel)
    transpose = jax.linear_transpose(lambda k: _strided(images, k, stride, pads), adjoint)
    return _adjoint_kernel(transpose(x)[0])

  (by_kernel,) = jax.linear_transpose(kernel_gradient, _like(y.shape, y))(dkernel)
  return y, _adjoint(stride, pads, size, dx, kernel) + by_kernel


def _like(shape: tuple[int, ...], *arrays: Array) -> Array:
  """Returns an array whose values nobody uses, so that XLA does not compute them.

  They depend on `arrays` because under `shard_map` the type of an array includes the mesh axes that
  it varies over.
  """
  return jnp.broadcast_to(sum(map(jnp.sum, arrays)), shape)


def _strided(
  x: Float[Array, "n h w i"], kernel: Float[Array, "k k i o"], stride: int, pads: Padding
) -> Float[Array, "n p q o"]:
  """Returns XLA's strided convolution."""
  return lax.conv_general_dilated(x, kernel, (stride, stride), pads, dimension_numbers=_LAYOUT)


def _by_platform(on_cpu: Implementation, elsewhere: Implementation) -> Implementation:
  """Returns a function that calls `on_cpu` when lowered for a CPU, and otherwise `elsewhere`."""

  def function(
    x: Float[Array, "n h w i"], kernel: Float[Array, "k k i o"], bias: Float[Array, " o"]
  ) -> Float[Array, "n p q o"]:
    return lax.platform_dependent(x, kernel, bias, cpu=on_cpu, default=elsewhere)

  return function


def _bias_or_zeros(
  bias: Float[Array, " o"] | None, kernel: Float[Array, "k k i o"]
) -> Float[Array, " o"]:
  """Returns the bias in the kernel's dtype, or zeros."""
  return jnp.zeros(kernel.shape[3], kernel.dtype) if bias is None else bias.astype(kernel.dtype)


def _products(
  x: Float[Array, "n h w i"],
  kernel: Float[Array, "k k i o"],
  bias: Float[Array, " o"],
  *,
  stride: int,
  low: Size,
  size: Size,
) -> Float[Array, "n p q o"]:
  """Returns a convolution to `size` as products of matrices, with padding `low` before pixel 0."""
  if stride == 1 and kernel.shape[3] < kernel.shape[2]:
    # The windows of the adjoint have fewer channels.
    back = kernel.shape[0] - 1 - low[0], kernel.shape[0] - 1 - low[1]
    return _adjoint_products(x, _adjoint_kernel(kernel), bias, stride=1, low=back, size=size)
  matrix = _as_matrix(kernel, stride).T

  def convolve_chunk(x: Float[Array, "i h w m"]) -> Float[Array, "o p q m"]:
    windows = _windows(x, kernel.shape[0], stride, low, size)
    return (_matmul(matrix, windows) + bias[:, None]).reshape(-1, *size, x.shape[-1])

  return _in_chunks(convolve_chunk, x, size[0] * size[1] * matrix.size // matrix.shape[0])


def _adjoint_products(
  x: Float[Array, "n p q i"],
  kernel: Float[Array, "k k o i"],
  bias: Float[Array, " o"],
  *,
  stride: int,
  low: Size,
  size: Size,
) -> Float[Array, "n h w o"]:
  """Returns the adjoint of the convolution by `kernel` from images of `size`."""
  matrix = _as_matrix(kernel, stride)
  side, _, channels, _ = kernel.shape

  def spread_chunk(x: Float[Array, "i p q m"]) -> Float[Array, "o h w m"]:
    _, p, q, m = x.shape
    rows = _matmul(matrix, x.reshape(-1, p * q * m))
    image = _like((channels, *size, m), rows)
    windows = functools.partial(_windows, side=side, stride=stride, low=low, size=(p, q))
    _, spread = jax.vjp(windows, image)
    return spread(rows)[0] + bias[:, None, None, None]

  return _in_chunks(spread_chunk, x, x.shape[1] * x.shape[2] * matrix.shape[0])


def _windows(
  x: Float[Array, "i h w m"], side: int, stride: int, low: Size, size: Size
) -> Float[Array, "k_k_i p_q_m"]:
  """Returns the matrix of all windows, [side² i, p q m].

  The image is first split into its stride² phases, so that a window takes whole runs of each
  phase.
  """
  channels, height, width, m = x.shape
  reach = -(-side // stride)
  rows, columns = (length + reach - 1 for length in size)
  pads = [
    (0, 0, 0),
    (low[0], rows * stride - height - low[0], 0),
    (low[1], columns * stride - width - low[1], 0),
    (0, 0, 0),
  ]
  phases = lax.pad(x, jnp.zeros((), x.dtype), pads)
  phases = phases.reshape(channels, rows, stride, columns, stride, m).transpose(2, 4, 0, 1, 3, 5)

  def run(phases: Float[Array, "*phases i r c m"], a: int, b: int) -> Float[Array, "..."]:
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


def _as_matrix(kernel: Float[Array, "k k i o"], stride: int) -> Float[Array, "k_k_i o"]:
  """Returns the kernel as a matrix [k² i, o], its rows in the order of `_windows`."""
  side, _, i, o = kernel.shape
  if side % stride == 0:
    reach = side // stride
    kernel = kernel.reshape(reach, stride, reach, stride, i, o).transpose(0, 2, 1, 3, 4, 5)
  return kernel.reshape(side * side * i, o)


def _adjoint_kernel(kernel: Float[Array, "k k i o"]) -> Float[Array, "k k o i"]:
  """Returns the kernel flipped, with its channels swapped."""
  return kernel[::-1, ::-1].swapaxes(2, 3)


def _in_chunks(
  function: Callable[[Float[Array, "i h w m"]], Float[Array, "o p q m"]],
  x: Float[Array, "n h w i"],
  windows: int,
) -> Float[Array, "n p q o"]:
  """Applies a function with the batch as its last axis to images [n, h, w, i], in chunks.

  Args:
    function: takes [i, h, w, m] to [o, p, q, m].
    x: images.
    windows: entries of one image's window matrix.
  """
  n = x.shape[0]
  chunks = max(-(-n * windows // _MAX_WINDOW_ENTRIES), 1)
  padded = jnp.pad(x, [(0, -n % chunks)] + [(0, 0)] * 3)
  # Each chunk takes rows from the entire batch, so that a batch split over devices stays split.
  split = padded.reshape(-1, chunks, *x.shape[1:]).transpose(1, 4, 2, 3, 0)
  if chunks == 1:
    result = _not_inlined(function)(split[0])[None]
  else:
    result = lax.map(jax.checkpoint(_not_inlined(function), prevent_cse=False), split)
  result = result.transpose(4, 0, 2, 3, 1)
  return result.reshape(-1, *result.shape[2:])[:n]


def _not_inlined(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
  """Returns `function` compiled so that XLA does not inline it into its caller."""

  def call(x: Array) -> Array:
    with set_xla_metadata(inlineable="false"):
      return jax.jit(function)(x)

  return call


def _matmul(x: Float[Array, "a b"], y: Float[Array, "b c"]) -> Float[Array, "a c"]:
  """Returns x·y in the dtype of `x`, with sums in float32 at least."""
  accumulated = jnp.promote_types(x.dtype, jnp.float32)
  return jnp.matmul(x, y, preferred_element_type=accumulated).astype(x.dtype)
