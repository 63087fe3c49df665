"""Σ_ij f(|x_i − y_j|²), computed tile by tile, with the gradient in the same pass.

The gradient of such a sum needs f′ at the distances that the value needs. One pass computes both,
and nothing of size n² is kept, forward or backward.

Only half of the n² pairs of a set with itself are computed. Its rows form a circle, cut into
blocks; each block meets itself and the blocks of the half circle behind it. All blocks then have
the same work, and any number of devices can share it.

With `pairs` the sums are estimates from some of the pairs, an incomplete U-statistic: each point
meets the next `pairs` points on the circle.

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

from aejax.distances._band import cross_band_tiling, self_band_tiling
from aejax.distances._circle import unrolled
from aejax.distances._sharding import SINGLE_DEVICE, Shard
from aejax.distances._tile import PairFunction, Tile, inner, radial_tile, stacked
from aejax.distances._tiling import (
  PointsAndTerms,
  Tiles,
  Tiling,
  by_platform,
  cross_tiling,
  self_tiling,
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
  pairs: int | None = None,
  shard: Shard = SINGLE_DEVICE,
) -> Float[Array, ""]:
  """Returns the mean of k(|x_i − x_j|²) over all pairs, or over i ≠ j if `unbiased`.

  The diagonal is not computed from rounded distances: it is exactly n k(0).
  """
  n, dim = x.shape
  if dim == 1 and isinstance(kernel, _LineKernel):
    return kernel.mean_on_line(x, unbiased=unbiased, shard=shard)
  total = self_sum(lambda d: kernel(d, dim), x, pairs=pairs, shard=shard)
  if unbiased:
    return total / (n - 1) / n
  return (total / n + kernel(jnp.zeros((), x.dtype), dim)) / n


def cross_mean(
  kernel: RadialKernel,
  x: Float[Array, "n d"],
  y: Float[Array, "m d"],
  *,
  pairs: int | None = None,
  shard: Shard = SINGLE_DEVICE,
) -> Float[Array, ""]:
  """Returns the mean of k(|x_i − y_j|²) over all pairs.

  With `pairs`, each point of the larger set meets 2 · pairs of the other.
  """
  dim = x.shape[1]
  if dim == 1 and isinstance(kernel, _LineKernel):
    return kernel.mean_on_line(x, y, shard=shard)
  (n, m), coincident = (len(x), len(y)), _coincident(x, y)
  # Distances do not change under translation; norms near zero lose the fewest digits.
  centre = lax.stop_gradient(x.mean(0))
  x, y = x - centre, y - centre
  tile = functools.partial(radial_tile, lambda d: kernel(d, dim))
  if pairs is None or 2 * pairs >= min(n, m):
    total = _cross_sum(tile, cross_tiling(n, m, shard=shard), (x, ()), (y, ()), coincident)
    return shard.sum(total) / n / m
  if n < m:
    (x, n), (y, m) = (y, m), (x, n)
  tiling = cross_band_tiling(n, m, 2 * pairs, shard=shard)
  total = _cross_sum(tile, tiling, (x, ()), (y, ()), coincident)
  return shard.sum(total) / n / (2 * pairs)


def self_sum(
  function: PairFunction,
  x: Float[Array, "n d"],
  row_term: Float[Array, " n"] | None = None,
  *,
  pairs: int | None = None,
  shard: Shard = SINGLE_DEVICE,
) -> Float[Array, ""]:
  """Returns Σ_{i≠j} f(|x_i − x_j|²), or of f(|x_i − x_j|², r_i + r_j) with a row term r.

  The function is elementwise. Each device holds all of `x` and `row_term`.
  """
  terms = () if row_term is None else (row_term,)
  tile = functools.partial(radial_tile, function)
  return sum_over_tiles(tile, x, lambda centred: terms, pairs=pairs, shard=shard)


def sum_over_tiles(
  tile: Tile,
  x: Float[Array, "n d"],
  terms: Callable[[Float[Array, "n d"]], tuple[Array, ...]],
  *,
  pairs: int | None,
  shard: Shard,
) -> Float[Array, ""]:
  """Returns a sum over i ≠ j that is computed tile by tile.

  Args:
    tile: returns the sum over one tile, which does not change under translation of `x`, and its
      gradients for x and the terms of rows and columns.
    x: points.
    terms: returns other arrays that have an entry for each of the points, which are then centred.
    pairs: number of points that each point meets to estimate the sum, or None for all.
    shard: this device's part of the work.
  """
  n, coincident = len(x), _coincident(x)
  centred = x - lax.stop_gradient(x.mean(0))
  points = centred, terms(centred)
  if pairs is None or 2 * pairs >= n - 1:
    tiling = self_tiling(n, bool(points[1]), shard=shard)
    return shard.sum(_self_sum(tile, tiling, points, coincident))
  tiling = self_band_tiling(n, pairs, shard=shard)
  return shard.sum(_self_sum(tile, tiling, points, coincident)) / pairs * (n - 1)


def _coincident(*sets: Float[Array, "_ d"]) -> Float[Array, ""]:
  """Returns the squared distance below which two points differ by rounding errors only."""
  largest = jnp.max(jnp.stack([jnp.max(jnp.sum(x * x, 1)) for x in sets]))
  return lax.stop_gradient(largest * (8 * jnp.finfo(largest.dtype).eps) ** 2)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _self_sum(tile: Tile, tiling: Tiling, x: PointsAndTerms, coincident: Array) -> Float[Array, ""]:
  return by_platform(
    lambda sizes, x, coincident: _accumulate(
      tile, tiling.tiles(x, x, coincident, sizes), (False, False)
    )[0],
    x,
    coincident,
    is_single=tiling.is_single,
  )


@_self_sum.defjvp
def _(tile: Tile, tiling: Tiling, primals: Any, tangents: Any) -> tuple[Any, Any]:
  n = primals[0][0].shape[0]

  def value_and_gradient(sizes: Any, x: PointsAndTerms, coincident: Array) -> tuple[Array, Array]:
    tiles = tiling.tiles(x, x, coincident, sizes)
    if tiles.band:
      total, of_both, _ = _accumulate(tile, tiles, (True, True))
      return total, unrolled(of_both, n)
    several = tiles.rows.x.shape[0] > tiles.block
    total, of_rows, of_columns = _accumulate(tile, tiles, (True, several))
    # In a single tile, the columns' gradient equals the rows' gradient.
    gradient = of_rows + unrolled(of_columns, len(of_rows)) if several else 2 * of_rows
    return total, gradient[:n]

  total, gradient = by_platform(value_and_gradient, *primals, is_single=tiling.is_single)
  return total, inner(gradient, stacked(*tangents[0]))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _cross_sum(
  tile: Tile, tiling: Tiling, x: PointsAndTerms, y: PointsAndTerms, coincident: Array
) -> Float[Array, ""]:
  return by_platform(
    lambda sizes, x, y, coincident: _accumulate(
      tile, tiling.tiles(x, y, coincident, sizes), (False, False)
    )[0],
    x,
    y,
    coincident,
    is_single=tiling.is_single,
  )


def _cross_sum_jvp(tile: Tile, tiling: Tiling, primals: Any, tangents: Any) -> tuple[Any, Any]:
  sets = primals[:2]
  moving = [_instantiated(*pair) for pair in zip(sets, tangents[:2], strict=True)]
  needs_grad = tuple(tangent is not None for tangent in moving)

  def value_and_gradients(sizes: Any, x: Any, y: Any, coincident: Any) -> tuple[Array, list[Array]]:
    tiles = tiling.tiles(x, y, coincident, sizes)
    total, of_x, of_y = _accumulate(tile, tiles, needs_grad)
    gradients = []
    if of_x is not None:
      gradients.append(of_x[: len(x[0])])
    if of_y is not None:
      gradients.append(unrolled(of_y, len(y[0])) if tiles.band else of_y[: len(y[0])])
    return total, gradients

  total, gradients = by_platform(value_and_gradients, *primals, is_single=tiling.is_single)
  moving = [tangent for tangent in moving if tangent is not None]
  parts = [inner(g, stacked(*tangent)) for g, tangent in zip(gradients, moving, strict=True)]
  return total, functools.reduce(jnp.add, parts, jnp.zeros_like(total))


def _instantiated(points: PointsAndTerms, tangents: Any) -> Any:
  """Returns the tangents of points and terms, or None if all of them are zero."""
  leaves = jax.tree.leaves(tangents, is_leaf=lambda v: isinstance(v, SymbolicZero))
  if all(isinstance(v, SymbolicZero) for v in leaves):
    return None
  return jax.tree.map(
    lambda p, t: jnp.zeros_like(p) if isinstance(t, SymbolicZero) else t, points, tangents
  )


_cross_sum.defjvp(_cross_sum_jvp, symbolic_zeros=True)


class _Carry(NamedTuple):
  """What the loop over tiles accumulates; a gradient that is not needed is None.

  `lost` is what the last addition to the total rounded away (Kahan): thousands of tiles of n = 10⁶
  latents would lose two digits.
  """

  total: Array
  lost: Array
  of_rows: Array | None
  of_columns: Array | None


def _accumulate(tile: Tile, tiles: Tiles, needs_grad: tuple[bool, ...]) -> tuple[Any, Any, Any]:
  """Returns the sum over this device's tiles, and its gradients for the rows and the columns.

  In a band of a set with itself, the first gradient is that for the columns too.
  """
  rows, columns = tiles.rows, tiles.columns
  weights = jnp.asarray(tiles.weights, rows.x.dtype)
  per_block = len(tiles.weights)
  is_joint = bool(tiles.band) and tiles.circular

  def add(step: Any, carry: _Carry) -> _Carry:
    block, k = tiles.first + step // per_block, step % per_block
    row = block * tiles.block
    column = tiles.first_column(block) + k * tiles.width
    a, b = rows.cut(row, tiles.block), columns.cut(column, tiles.width)
    b = b._replace(weight=b.weight * weights[k])
    part, of_rows, of_columns = tile(a, b, tiles, needs_grad)
    part = part - carry.lost
    total = carry.total + part
    lost = (total - carry.total) - part
    sum_of_rows, sum_of_columns = carry.of_rows, carry.of_columns
    if sum_of_rows is not None and of_rows is not None:
      sum_of_rows = _add(sum_of_rows, of_rows, row, axis=0)
      if is_joint and of_columns is not None:
        sum_of_rows = _add(sum_of_rows, of_columns.T, column, axis=0)
    if sum_of_columns is not None and of_columns is not None:
      sum_of_columns = _add(sum_of_columns, of_columns, column, axis=1)
    return _Carry(total, lost, sum_of_rows, sum_of_columns)

  needs_rows, needs_columns = needs_grad
  filled = columns if is_joint else rows
  zero = jnp.zeros_like(rows.x[0, 0])
  carry = _Carry(
    zero,
    zero,
    jnp.zeros_like(stacked(filled.x, filled.row_term)) if needs_rows else None,
    # Transposed, as the product of a tile with its rows comes out.
    jnp.zeros_like(stacked(columns.x, columns.row_term).T)
    if needs_columns and not is_joint
    else None,
  )
  steps = tiles.blocks * per_block
  carry = add(0, carry) if tiles.is_single else lax.fori_loop(0, steps, add, carry)
  total, _, of_rows, of_columns = carry
  return total, of_rows, None if of_columns is None else of_columns.T


def _add(total: Any, part: Matrix, start: Any, *, axis: int) -> Matrix:
  before = lax.dynamic_slice_in_dim(total, start, part.shape[axis], axis)
  return lax.dynamic_update_slice_in_dim(total, before + part, start, axis)
