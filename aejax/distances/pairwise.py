"""Σ_ij k(|x_i − y_j|²): streamed in blocks of rows, value and gradient in one pass.

The gradient of such a sum needs k′ at the very distances that the value needs, so one pass makes
both; nothing of size n² is ever kept, forward or backward. A block is recomputed, not stored, when
the sum is differentiated twice.

A kernel is a hashable function `kernel(squared_distances, dim)`, elementwise and differentiable.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

__all__ = ["cross_mean", "self_mean"]

Kernel = Callable[[jax.Array, int], jax.Array]

# Elements of a block of distances: 1 MiB in float32, which stays in a core's cache.
_BLOCK_ELEMENTS = 2**18


def self_mean(
  kernel: Kernel, x: Float[Array, "n d"], *, unbiased: bool = False
) -> Float[Array, ""]:
  """Mean of k(|x_i − x_j|²) over all pairs, or over i ≠ j if `unbiased`.

  The diagonal is never computed from rounded distances: it is n k(0), exactly.
  """
  n, dim = x.shape
  # Distances do not see translations; norms cancel best around zero.
  off_diagonal = _self_sum(kernel, x - lax.stop_gradient(x.mean(0)))
  if unbiased:
    return off_diagonal / (n * (n - 1))
  return (off_diagonal / n + kernel(jnp.zeros((), x.dtype), dim)) / n


def cross_mean(kernel: Kernel, x: Float[Array, "n d"], y: Float[Array, "m d"]) -> Float[Array, ""]:
  """Mean of k(|x_i − y_j|²) over all pairs."""
  centre = lax.stop_gradient(x.mean(0))
  return _cross_sum(kernel, x - centre, y - centre) / (x.shape[0] * y.shape[0])


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _self_sum(kernel, x):
  """Σ_{i≠j} k(|x_i − x_j|²)."""

  def block(total, rows, start):
    distances = _squared_distances(rows, x)
    return total + jnp.sum(_off_diagonal(kernel(distances, x.shape[1]), start)), None

  return _over_row_blocks(block, jnp.zeros((), x.dtype), x, x.shape[0])[0]


@_self_sum.defjvp
def _(kernel, primals, tangents):
  (x,), (dx,) = primals, tangents

  def block(total, rows, start):
    value, slope = _value_and_slope(kernel, _squared_distances(rows, x), x.shape[1])
    slope = _off_diagonal(slope, start)
    # Each pair stands twice in the sum, and |x_i − x_j|² brings another factor of two.
    gradient = 4 * (slope.sum(1, keepdims=True) * rows - _matmul(slope, x))
    return total + jnp.sum(_off_diagonal(value, start)), gradient

  total, gradient = _over_row_blocks(block, jnp.zeros((), x.dtype), x, x.shape[0])
  return total, jnp.vdot(gradient, dx, precision=lax.Precision.HIGHEST)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _cross_sum(kernel, x, y):
  """Σ_ij k(|x_i − y_j|²)."""

  def block(total, rows, _):
    return total + jnp.sum(kernel(_squared_distances(rows, y), x.shape[1])), None

  return _over_row_blocks(block, jnp.zeros((), x.dtype), x, y.shape[0])[0]


def _cross_sum_jvp(kernel, primals, tangents):
  x, y = primals
  dx, dy = tangents
  y_moves = not isinstance(dy, SymbolicZero)

  def block(carry, rows, _):
    total, gradient_y = carry
    value, slope = _value_and_slope(kernel, _squared_distances(rows, y), x.shape[1])
    gradient_x = 2 * (slope.sum(1, keepdims=True) * rows - _matmul(slope, y))
    if y_moves:
      gradient_y += 2 * (slope.sum(0)[:, None] * y - _matmul(slope.T, rows))
    return (total + jnp.sum(value), gradient_y), gradient_x

  zero = jnp.zeros((), x.dtype), jnp.zeros_like(y) if y_moves else None
  (total, gradient_y), gradient_x = _over_row_blocks(block, zero, x, y.shape[0])
  tangent = jnp.zeros_like(total)
  if not isinstance(dx, SymbolicZero):
    tangent += jnp.vdot(gradient_x, dx, precision=lax.Precision.HIGHEST)
  if y_moves:
    tangent += jnp.vdot(gradient_y, dy, precision=lax.Precision.HIGHEST)
  return total, tangent


_cross_sum.defjvp(_cross_sum_jvp, symbolic_zeros=True)


def _over_row_blocks(block: Callable, carry: Any, x: jax.Array, columns: int) -> tuple[Any, Any]:
  """Runs `block(carry, rows, start)` over blocks of rows of x; stacks its second results.

  The blocks are as equal as they can be, so at most a short remainder runs outside the loop.
  """
  n = x.shape[0]
  count = -(-n // max(1, _BLOCK_ELEMENTS // columns))
  if count == 1:
    return block(carry, x, 0)
  size = n // count
  starts = jnp.arange(count) * size
  step = jax.checkpoint(lambda carry, xs: block(carry, *xs), prevent_cse=False)
  whole = count * size
  carry, stacked = lax.scan(step, carry, (x[:whole].reshape(count, size, -1), starts))
  if stacked is not None:
    stacked = stacked.reshape(whole, -1)
  if whole < n:
    carry, last = block(carry, x[whole:], whole)
    stacked = None if stacked is None else jnp.concatenate([stacked, last])
  return carry, stacked


def _squared_distances(x, y):
  squares = jnp.sum(x * x, 1)[:, None] + jnp.sum(y * y, 1)[None, :] - 2 * _matmul(x, y.T)
  # Rounding can leave a tiny negative distance, where kernels are undefined.
  return jnp.maximum(squares, 0)


def _value_and_slope(kernel, distances, dim):
  return jax.jvp(lambda d: kernel(d, dim), (distances,), (jnp.ones_like(distances),))


def _off_diagonal(values, start):
  rows = start + lax.broadcasted_iota(jnp.int32, values.shape, 0)
  return jnp.where(rows == lax.broadcasted_iota(jnp.int32, values.shape, 1), 0, values)


def _matmul(x, y):
  # TF32 or bfloat16 products would leave nothing of a small distance between large norms.
  return jnp.matmul(x, y, precision=lax.Precision.HIGHEST)
