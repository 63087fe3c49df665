"""Σ_ij f(|x_i − y_j|²), computed tile by tile, with the gradient in the same pass.

The gradient of such a sum needs f′ at the distances that the value needs. One pass computes both,
and nothing of size n² is kept, forward or backward.

Only half of the n² pairs of a set with itself are computed. Its rows form a circle, cut into
blocks; each block meets itself and the blocks of the half circle behind it. All blocks then have
the same work, and any number of devices can share it.

A kernel is a function `kernel(squared_distances, dim)`, elementwise and differentiable.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from aejax.distances._sharding import SINGLE_DEVICE, Shard
from aejax.distances._tile import PairFunction, Tile, inner, radial_tile, stacked
from aejax.distances._tiling import (
  Tiles,
  by_platform,
  cross_tiles,
  is_single_cross,
  is_single_self,
  self_tiles,
  unrolled,
)

__all__ = ["cross_mean", "self_mean", "self_sum", "sum_over_tiles"]

RadialKernel = Callable[[Array, int], Array]
Matrix = Float[Array, "_ _"]


@runtime_checkable
class _LineKernel(Protocol):
  """A kernel that computes its means in one dimension itself."""

  def mean_on_line(self, x: Array, y: Array | None = None, **options: Any) -> Array: ...


def self_mean(
  kernel: RadialKernel,
  x: Float[Array, "n d"],
  *,
  unbiased: bool = False,
  shard: Shard = SINGLE_DEVICE,
) -> Float[Array, ""]:
  """Returns the mean of k(|x_i − x_j|²) over all pairs, or over i ≠ j if `unbiased`.

  The diagonal is not computed from rounded distances: it is exactly n k(0).
  """
  n, dim = x.shape
  if dim == 1 and isinstance(kernel, _LineKernel):
    return kernel.mean_on_line(x, unbiased=unbiased, shard=shard)
  total = self_sum(lambda d: kernel(d, dim), x, shard=shard)
  if unbiased:
    return total / (n - 1) / n
  return (total / n + kernel(jnp.zeros((), x.dtype), dim)) / n


def cross_mean(
  kernel: RadialKernel,
  x: Float[Array, "n d"],
  y: Float[Array, "m d"],
  *,
  shard: Shard = SINGLE_DEVICE,
) -> Float[Array, ""]:
  """Returns the mean of k(|x_i − y_j|²) over all pairs."""
  dim = x.shape[1]
  if dim == 1 and isinstance(kernel, _LineKernel):
    return kernel.mean_on_line(x, y, shard=shard)
  # Distances do not change under translation; norms near zero lose the fewest digits.
  centre = lax.stop_gradient(x.mean(0))
  tile = functools.partial(radial_tile, lambda d: kernel(d, dim))
  total = _cross_sum(tile, shard, x - centre, y - centre, _coincident(x, y))
  return shard.sum(total) / x.shape[0] / y.shape[0]


def self_sum(
  function: PairFunction,
  x: Float[Array, "n d"],
  row_term: Float[Array, " n"] | None = None,
  *,
  shard: Shard = SINGLE_DEVICE,
) -> Float[Array, ""]:
  """Returns Σ_{i≠j} f(|x_i − x_j|²), or of f(|x_i − x_j|², r_i + r_j) with a row term r.

  The function is elementwise. Each device holds all of `x` and `row_term`.
  """
  terms = () if row_term is None else (row_term,)
  tile = functools.partial(radial_tile, function)
  return sum_over_tiles(tile, x, lambda centred: terms, shard=shard)


def sum_over_tiles(
  tile: Tile,
  x: Float[Array, "n d"],
  terms: Callable[[Float[Array, "n d"]], tuple[Array, ...]],
  *,
  shard: Shard,
) -> Float[Array, ""]:
  """Returns a sum over i ≠ j that is computed tile by tile.

  Args:
    tile: returns the sum over one tile, which does not change under translation of `x`, and its
      gradients for x and the terms of rows and columns.
    x: points.
    terms: returns other arrays that have an entry for each of the points, which are then centred.
    shard: this device's part of the work.
  """
  centred = x - lax.stop_gradient(x.mean(0))
  return shard.sum(_self_sum(tile, shard, (centred, terms(centred)), _coincident(x)))


def _coincident(*sets: Float[Array, "_ d"]) -> Float[Array, ""]:
  """Returns the squared distance below which two points differ by rounding errors only."""
  largest = jnp.max(jnp.stack([jnp.max(jnp.sum(x * x, 1)) for x in sets]))
  return lax.stop_gradient(largest * (8 * jnp.finfo(largest.dtype).eps) ** 2)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _self_sum(tile: Tile, shard: Shard, rows: Any, coincident: Array) -> Float[Array, ""]:
  return by_platform(
    lambda sizes, rows, coincident: _accumulate(
      tile, self_tiles(rows[0], rows[1], coincident, shard, sizes), (False, False)
    )[0],
    rows,
    coincident,
    is_single=functools.partial(is_single_self, len(rows[0]), bool(rows[1]), shard),
  )


@_self_sum.defjvp
def _(tile: Tile, shard: Shard, primals: Any, tangents: Any) -> tuple[Any, Any]:
  rows, coincident = primals
  n = rows[0].shape[0]

  def value_and_gradient(sizes: Any, rows: Any, coincident: Array) -> tuple[Array, Array]:
    tiles = self_tiles(rows[0], rows[1], coincident, shard, sizes)
    several = tiles.rows.x.shape[0] > tiles.block
    total, of_rows, of_columns = _accumulate(tile, tiles, (True, several))
    # In a single tile, the columns' gradient equals the rows' gradient.
    gradient = of_rows + unrolled(of_columns, len(of_rows)) if several else 2 * of_rows
    return total, gradient[:n]

  is_single = functools.partial(is_single_self, n, bool(rows[1]), shard)
  total, gradient = by_platform(value_and_gradient, rows, coincident, is_single=is_single)
  return total, inner(gradient, stacked(*tangents[0]))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _cross_sum(
  tile: Tile, shard: Shard, x: Float[Array, "n d"], y: Float[Array, "m d"], coincident: Array
) -> Float[Array, ""]:
  return by_platform(
    lambda sizes, x, y, coincident: _accumulate(
      tile, cross_tiles(x, y, coincident, shard, sizes), (False, False)
    )[0],
    x,
    y,
    coincident,
    is_single=functools.partial(is_single_cross, len(x), len(y), shard),
  )


def _cross_sum_jvp(tile: Tile, shard: Shard, primals: Any, tangents: Any) -> tuple[Any, Any]:
  tangents = tangents[:2]
  needs_grad = tuple(not isinstance(tangent, SymbolicZero) for tangent in tangents)

  def value_and_gradients(
    sizes: Any, x: Array, y: Array, coincident: Array
  ) -> tuple[Array, list[Array]]:
    tiles = cross_tiles(x, y, coincident, shard, sizes)
    total, *gradients = _accumulate(tile, tiles, needs_grad)
    lengths = len(x), len(y)
    return total, [g[:n] for g, n in zip(gradients, lengths, strict=True) if g is not None]

  is_single = functools.partial(is_single_cross, len(primals[0]), len(primals[1]), shard)
  total, gradients = by_platform(value_and_gradients, *primals, is_single=is_single)
  moving = [tangent for tangent, needed in zip(tangents, needs_grad, strict=True) if needed]
  parts = [inner(g, tangent) for g, tangent in zip(gradients, moving, strict=True)]
  return total, functools.reduce(jnp.add, parts, jnp.zeros_like(total))


_cross_sum.defjvp(_cross_sum_jvp, symbolic_zeros=True)


class _Carry(NamedTuple):
  """What the loop over tiles accumulates; a gradient that is not needed is None."""

  total: Array
  of_rows: Array | None
  of_columns: Array | None


def _accumulate(tile: Tile, tiles: Tiles, needs_grad: tuple[bool, ...]) -> tuple[Any, Any, Any]:
  """Returns the sum over this device's tiles, and its gradients for the rows and the columns."""
  rows, columns = tiles.rows, tiles.columns
  weights = jnp.asarray(tiles.weights, rows.x.dtype)
  per_block = len(tiles.weights)

  def add(step: Any, carry: _Carry) -> _Carry:
    block, k = tiles.first + step // per_block, step % per_block
    row = block * tiles.block
    column = row * tiles.circular + k * tiles.width
    a, b = rows.cut(row, tiles.block), columns.cut(column, tiles.width)
    b = b._replace(weight=b.weight * weights[k])
    part, of_rows, of_columns = tile(a, b, tiles, needs_grad)
    return _Carry(
      carry.total + part,
      carry.of_rows if of_rows is None else _add(carry.of_rows, of_rows, row, axis=0),
      carry.of_columns
      if of_columns is None
      else _add(carry.of_columns, of_columns, column, axis=1),
    )

  carry = _Carry(
    jnp.zeros_like(rows.x[0, 0]),
    jnp.zeros_like(stacked(rows.x, rows.row_term)) if needs_grad[0] else None,
    # Transposed, as the product of a tile with its rows comes out.
    jnp.zeros_like(stacked(columns.x, columns.row_term).T) if needs_grad[1] else None,
  )
  steps = tiles.blocks * per_block
  total, of_rows, of_columns = (
    add(0, carry) if tiles.is_single else lax.fori_loop(0, steps, add, carry)
  )
  return total, of_rows, None if of_columns is None else of_columns.T


def _add(total: Any, part: Matrix, start: Any, *, axis: int) -> Matrix:
  before = lax.dynamic_slice_in_dim(total, start, part.shape[axis], axis)
  return lax.dynamic_update_slice_in_dim(total, before + part, start, axis)
