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
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from aejax.distances._sharding import SINGLE_DEVICE, Shard
from aejax.distances._tiling import (
  Points,
  Tiles,
  by_platform,
  cross_tiles,
  is_single_cross,
  is_single_self,
  self_tiles,
  unrolled,
)

__all__ = ["cross_mean", "self_mean", "self_sum"]

RadialKernel = Callable[[Array, int], Array]
PairFunction = Callable[..., Array]
Matrix = Float[Array, "_ _"]  # of any size: a tile has several

# Up to this dimension, distances come from coordinate differences. With so few dimensions many
# pairs are close, norms and products lose their distance, and differences cost no more.
_MAX_DIRECT_DIMENSIONS = 3


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
  # Distances do not change under translation; norms near zero lose the fewest digits.
  centre = lax.stop_gradient(x.mean(0))
  total = shard.sum(_cross_sum(lambda d: kernel(d, dim), shard, x - centre, y - centre))
  return total / x.shape[0] / y.shape[0]


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
  centred = x - lax.stop_gradient(x.mean(0))
  terms = () if row_term is None else (row_term,)
  return shard.sum(_self_sum(function, shard, (centred, terms)))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _self_sum(function: PairFunction, shard: Shard, rows: Any) -> Float[Array, ""]:
  return by_platform(
    lambda sizes, rows: _accumulate(
      function, self_tiles(rows[0], rows[1], shard, sizes), (False, False)
    )[0],
    rows,
    is_single=functools.partial(is_single_self, len(rows[0]), bool(rows[1]), shard),
  )


@_self_sum.defjvp
def _(function: PairFunction, shard: Shard, primals: Any, tangents: Any) -> tuple[Any, Any]:
  (rows,), (tangent,) = primals, tangents
  n = rows[0].shape[0]

  def value_and_gradient(sizes: Any, rows: Any) -> tuple[Array, Array]:
    tiles = self_tiles(rows[0], rows[1], shard, sizes)
    several = tiles.rows.x.shape[0] > tiles.block
    total, of_rows, of_columns = _accumulate(function, tiles, (True, several))
    # In a single tile, the columns' gradient equals the rows' gradient.
    gradient = of_rows + unrolled(of_columns, len(of_rows)) if several else 2 * of_rows
    return total, gradient[:n]

  is_single = functools.partial(is_single_self, n, bool(rows[1]), shard)
  total, gradient = by_platform(value_and_gradient, rows, is_single=is_single)
  return total, _inner(gradient, _stacked(*tangent))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _cross_sum(
  function: PairFunction, shard: Shard, x: Float[Array, "n d"], y: Float[Array, "m d"]
) -> Float[Array, ""]:
  return by_platform(
    lambda sizes, x, y: _accumulate(function, cross_tiles(x, y, shard, sizes), (False, False))[0],
    x,
    y,
    is_single=functools.partial(is_single_cross, len(x), len(y), shard),
  )


def _cross_sum_jvp(
  function: PairFunction, shard: Shard, primals: Any, tangents: Any
) -> tuple[Any, Any]:
  needs_grad = tuple(not isinstance(tangent, SymbolicZero) for tangent in tangents)

  def value_and_gradients(sizes: Any, x: Array, y: Array) -> tuple[Array, list[Array]]:
    tiles = cross_tiles(x, y, shard, sizes)
    total, *gradients = _accumulate(function, tiles, needs_grad)
    lengths = len(x), len(y)
    return total, [g[:n] for g, n in zip(gradients, lengths, strict=True) if g is not None]

  is_single = functools.partial(is_single_cross, len(primals[0]), len(primals[1]), shard)
  total, gradients = by_platform(value_and_gradients, *primals, is_single=is_single)
  moving = [tangent for tangent, needed in zip(tangents, needs_grad, strict=True) if needed]
  parts = [_inner(g, tangent) for g, tangent in zip(gradients, moving, strict=True)]
  return total, functools.reduce(jnp.add, parts, jnp.zeros_like(total))


_cross_sum.defjvp(_cross_sum_jvp, symbolic_zeros=True)


class _Carry(NamedTuple):
  """What the loop over tiles accumulates; a gradient that is not needed is None."""

  total: Array
  of_rows: Array | None
  of_columns: Array | None


def _accumulate(
  function: PairFunction, tiles: Tiles, needs_grad: tuple[bool, ...]
) -> tuple[Any, Any, Any]:
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
    part, of_rows, of_columns = _tile(function, a, b, tiles.circular, needs_grad)
    return _Carry(
      carry.total + part,
      carry.of_rows if of_rows is None else _add(carry.of_rows, of_rows, row, axis=0),
      carry.of_columns
      if of_columns is None
      else _add(carry.of_columns, of_columns, column, axis=1),
    )

  carry = _Carry(
    jnp.zeros_like(rows.x[0, 0]),
    jnp.zeros_like(_stacked(rows.x, rows.row_term)) if needs_grad[0] else None,
    # Transposed, as the product of a tile with its rows comes out.
    jnp.zeros_like(_stacked(columns.x, columns.row_term).T) if needs_grad[1] else None,
  )
  steps = tiles.blocks * per_block
  total, of_rows, of_columns = add(0, carry) if steps == 1 else lax.fori_loop(0, steps, add, carry)
  return total, of_rows, None if of_columns is None else of_columns.T


def _add(total: Any, part: Matrix, start: Any, *, axis: int) -> Matrix:
  before = lax.dynamic_slice_in_dim(total, start, part.shape[axis], axis)
  return lax.dynamic_update_slice_in_dim(total, before + part, start, axis)


def _stacked(x: Float[Array, "n d"], row_term: tuple[Array, ...]) -> Matrix:
  return jnp.concatenate([x, *(v[:, None] for v in row_term)], 1) if row_term else x


def _tile(
  function: PairFunction, a: Points, b: Points, exclude_equal: bool, needs_grad: tuple[bool, ...]
) -> tuple[Float[Array, ""], Matrix | None, Matrix | None]:
  """Returns a tile's weighted sum and its gradients, [rows, d] and transposed [d, columns]."""
  d = _squared_distances(a, b)
  arguments = (d, *(v[:, None] + w for v, w in zip(a.row_term, b.row_term, strict=True)))

  def masked(values: Matrix) -> Matrix:
    return jnp.where(a.position[:, None] == b.position, 0, values) if exclude_equal else values

  def total(values: Matrix) -> Float[Array, ""]:
    return jnp.sum(_matmul(masked(values), b.weight) * a.weight)

  if not any(needs_grad):
    return total(function(*arguments)), None, None
  values, by_d = _partial(function, arguments, 0)
  slopes = [masked(by_d), *(masked(_partial(function, arguments, 1)[1]) for _ in a.row_term)]
  of_rows = _row_gradient(slopes, a, b) if needs_grad[0] else None
  of_columns = _column_gradient(slopes, a, b) if needs_grad[1] else None
  return total(values), of_rows, of_columns


def _partial(
  function: PairFunction, arguments: tuple[Matrix, ...], which: int
) -> tuple[Matrix, Matrix]:
  """Returns the function and its derivative with respect to one of its arguments."""
  tangents = [jnp.zeros_like(v) for v in arguments]
  tangents[which] = jnp.ones_like(arguments[which])
  return jax.jvp(function, arguments, tuple(tangents))


def _row_gradient(slopes: list[Matrix], a: Points, b: Points) -> Matrix:
  by_d, *by_term = slopes
  if a.x.shape[1] <= _MAX_DIRECT_DIMENSIONS:
    columns = [_matmul(by_d * difference, b.weight) for difference in _differences(a.x, b.x)]
    pull = jnp.stack(columns, 1)
  else:
    # The last column of the product is the sum of the slopes.
    products = _matmul(by_d, _with_ones(b.x) * b.weight[:, None])
    pull = products[:, -1:] * a.x - products[:, :-1]
  of_term = tuple(_matmul(slope, b.weight) for slope in by_term)
  return _stacked(2 * pull, of_term) * a.weight[:, None]


def _column_gradient(slopes: list[Matrix], a: Points, b: Points) -> Matrix:
  by_d, *by_term = slopes
  if a.x.shape[1] <= _MAX_DIRECT_DIMENSIONS:
    rows = [-_matmul(a.weight, by_d * difference) for difference in _differences(a.x, b.x)]
    pull = jnp.stack(rows)
  else:
    weighted = (_with_ones(a.x) * a.weight[:, None]).T
    products = _matmul(lax.optimization_barrier(weighted), by_d)
    pull = products[-1] * b.x.T - products[:-1]
  of_term = tuple(_matmul(a.weight, slope) for slope in by_term)
  return _stacked(2 * pull.T, of_term).T * b.weight


def _with_ones(x: Float[Array, "n d"]) -> Float[Array, "n e"]:
  return jnp.concatenate([x, jnp.ones_like(x[:, :1])], 1)


def _squared_distances(a: Points, b: Points) -> Matrix:
  if a.x.shape[1] <= _MAX_DIRECT_DIMENSIONS:
    return functools.reduce(jnp.add, [difference**2 for difference in _differences(a.x, b.x)])
  norms = a.norms[:, None] + b.norms
  squares = norms - 2 * _matmul(a.x, b.x.T)
  # Where rows coincide, rounding leaves about 1e-7 of the norms, which is not a distance. The
  # comparison lets NaN pass.
  return jnp.where(squares <= 4 * jnp.finfo(norms.dtype).eps * norms, 0, squares)


def _differences(a: Float[Array, "n d"], b: Float[Array, "m d"]) -> list[Matrix]:
  return [a[:, k, None] - b[:, k] for k in range(a.shape[1])]


def _inner(gradient: Array, tangents: Array) -> Float[Array, ""]:
  return jnp.vdot(gradient, tangents, precision=lax.Precision.HIGHEST)


def _matmul(x: Array, y: Array) -> Array:
  # TF32 or bfloat16 products would lose a small distance between large norms.
  return jnp.matmul(x, y, precision=lax.Precision.HIGHEST)
