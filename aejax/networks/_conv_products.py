"""Convolutions as matrix products, the implementation for CPUs."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata
from jaxtyping import Array, Float

__all__ = ["adjoint_kernel", "adjoint_products", "like", "products"]

# Entries in the window matrix that are computed at a time.
_MAX_WINDOW_ENTRIES = 2**25

Size = tuple[int, int]


def products(
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
    return adjoint_products(x, adjoint_kernel(kernel), bias, stride=1, low=back, size=size)
  matrix = _as_matrix(kernel, stride).T

  def convolve_chunk(x: Float[Array, "i h w m"]) -> Float[Array, "o p q m"]:
    windows = _windows(x, kernel.shape[0], stride, low, size)
    return (_matmul(matrix, windows) + bias[:, None]).reshape(-1, *size, x.shape[-1])

  return _in_chunks(convolve_chunk, x, size[0] * size[1] * matrix.size // matrix.shape[0])


def adjoint_products(
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
    image = like((channels, *size, m), rows)
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
  # The batch size of an exported program is a symbol.
  chunks = max(-(-n * windows // _MAX_WINDOW_ENTRIES), 1) if isinstance(n, int) else 1
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


def adjoint_kernel(kernel: Float[Array, "*k i o"]) -> Float[Array, "*k o i"]:
  """Returns the kernel flipped, with its channels swapped."""
  return jnp.flip(kernel, tuple(range(kernel.ndim - 2))).swapaxes(-2, -1)


def like(shape: tuple[Any, ...], *arrays: Array) -> Array:
  """Returns an array whose values nobody uses, so that XLA does not compute them.

  They depend on `arrays` because under `shard_map` the type of an array includes the mesh axes that
  it varies over.
  """
  return jnp.broadcast_to(sum(map(jnp.sum, arrays)), shape)
