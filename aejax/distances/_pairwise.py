"""Σ_ij f(|x_i − y_j|²): streamed in tiles, value and gradient in one pass.

The gradient of such a sum needs f′ at the very distances that the value needs, so one pass makes
both, and nothing of size n² is ever kept, forward or backward.

Of the n² pairs of a set with itself only half are computed. Its rows stand in a circle, cut into
blocks; each block meets itself and those of the half circle behind it, so all blocks have the same
work, and any number of devices can share it.

A kernel is a function `kernel(squared_distances, dim)`, elementwise and differentiable.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

from aejax.distances._sharding import SINGLE_DEVICE, Shard

__all__ = ["cross_mean", "self_mean", "self_sum"]

Kernel = Callable[[jax.Array, int], jax.Array]
PairFunction = Callable[..., jax.Array]

# Rows of a block, and columns of a tile: some MiB of distances, the fastest of those tried on a
# CPU. Up to so many rows a single tile of all pairs is faster than the half of them in several. A
# number for each row makes its function costlier, and the single tile pays up to a third of that.
_BLOCK, _WIDTH, _SINGLE = 256, 4096, 1536

# Up to this dimension distances come from the differences themselves: in so little room many pairs
# are so near that norms and products would leave nothing of them, and differences cost no more.
_DIRECT_DIMENSIONS = 3


def self_mean(
  kernel: Kernel, x: Float[Array, "n d"], *, unbiased: bool = False, share: Shard = SINGLE_DEVICE
) -> Float[Array, ""]:
  """Mean of k(|x_i − x_j|²) over all pairs, or over i ≠ j if `unbiased`.

  The diagonal is never computed from rounded distances: it is n k(0), exactly.
  """
  n, dim = x.shape
  total = self_sum(lambda d: kernel(d, dim), x, share=share)
  if unbiased:
    return total / (n - 1) / n
  return (total / n + kernel(jnp.zeros((), x.dtype), dim)) / n


def cross_mean(
  kernel: Kernel, x: Float[Array, "n d"], y: Float[Array, "m d"], *, share: Shard = SINGLE_DEVICE
) -> Float[Array, ""]:
  """Mean of k(|x_i − y_j|²) over all pairs."""
  dim = x.shape[1]
  # Distances do not see translations; norms cancel best around zero.
  centre = lax.stop_gradient(x.mean(0))
  total = share.sum(_cross_sum(lambda d: kernel(d, dim), share, x - centre, y - centre))
  return total / x.shape[0] / y.shape[0]


def self_sum(
  function: PairFunction,
  x: Float[Array, "n d"],
  r: Float[Array, " n"] | None = None,
  *,
  share: Shard = SINGLE_DEVICE,
) -> Float[Array, ""]:
  """Σ_{i≠j} f(|x_i − x_j|²), or of f(|x_i − x_j|², r_i + r_j) with a number r for each row.

  The function is elementwise. On each device `x` and `r` are whole.
  """
  centred = x - lax.stop_gradient(x.mean(0))
  return share.sum(_self_sum(function, share, (centred, () if r is None else (r,))))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _self_sum(function, share, rows):
  tiles = _self_tiles(rows[0], rows[1], share)
  return _accumulate(function, tiles, (False, False))[0]


@_self_sum.defjvp
def _(function, share, primals, tangents):
  (rows,), (tangent,) = primals, tangents
  tiles = _self_tiles(rows[0], rows[1], share)
  n, blocks = rows[0].shape[0], tiles.rows.x.shape[0] // tiles.block
  # Within a single tile the columns' gradient is that of the rows.
  total, of_rows, of_columns = _accumulate(function, tiles, (True, blocks > 1))
  gradient = 2 * of_rows if blocks == 1 else of_rows + _unrolled(of_columns, len(of_rows))
  return total, _inner(gradient[:n], _stacked(*tangent))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _cross_sum(function, share, x, y):
  return _accumulate(function, _cross_tiles(x, y, share), (False, False))[0]


def _cross_sum_jvp(function, share, primals, tangents):
  moves = tuple(not isinstance(t, SymbolicZero) for t in tangents)
  total, *gradients = _accumulate(function, _cross_tiles(primals[0], primals[1], share), moves)
  tangent = jnp.zeros_like(total)
  for gradient, primal, t, moved in zip(gradients, primals, tangents, moves, strict=True):
    if moved:
      tangent += _inner(gradient[: primal.shape[0]], t)
  return total, tangent


_cross_sum.defjvp(_cross_sum_jvp, symbolic_zeros=True)


class _Points(NamedTuple):
  """Rows or columns of the matrix of pairs."""

  x: jax.Array  # [length, d]
  norms: jax.Array  # [length], squared
  place: jax.Array  # [length], in the list
  r: tuple[jax.Array, ...]  # none, or one [length]
  weight: jax.Array  # [length], zero where there is no row

  def cut(self, start, size) -> "_Points":
    return jax.tree.map(lambda v: lax.dynamic_slice_in_dim(v, start, size), self)


class _Tiles(NamedTuple):
  """How the pairs are cut, and which of the tiles are this device's."""

  rows: _Points
  columns: _Points
  block: int  # rows of a tile
  width: int  # columns of a tile
  first: int | jax.Array  # of this device's blocks
  blocks: int  # this device's
  circular: bool  # whether a block's columns begin with the block itself
  weights: np.ndarray  # [tiles of a block, width], of the columns as seen from the block


def _self_tiles(x, r, share) -> _Tiles:
  n = x.shape[0]
  single = _SINGLE // 3 if r else _SINGLE
  blocks = 1 if n <= single and share.count == 1 else -(-n // _BLOCK)
  blocks = -(-blocks // share.count) * share.count
  block = -(-n // blocks)
  window = (blocks // 2 + 1) * block
  tiles = -(-window // (_WIDTH + block))
  width = -(-window // tiles)
  weights = np.zeros(tiles * width)
  weights[:window] = 2  # each pair stands in the sum twice
  weights[:block] = 1
  if blocks % 2 == 0:
    weights[window - block : window] = 1  # seen from both sides of the circle
  rows = _side(x, r, blocks * block)
  length = (blocks - 1) * block + tiles * width
  around = jax.tree.map(lambda v: _rolled(v, length), rows)
  return _Tiles(
    rows,
    around,
    block,
    width,
    share.index * (blocks // share.count),
    blocks // share.count,
    True,
    weights.reshape(tiles, width),
  )


def _cross_tiles(x, y, share) -> _Tiles:
  n, m = x.shape[0], y.shape[0]
  blocks = 1 if n * m <= _SINGLE**2 and share.count == 1 else -(-n // _BLOCK)
  blocks = -(-blocks // share.count) * share.count
  block = -(-n // blocks)
  tiles = -(-m // (_WIDTH + block))
  width = -(-m // tiles)
  return _Tiles(
    _side(x, (), blocks * block),
    _side(y, (), tiles * width),
    block,
    width,
    share.index * (blocks // share.count),
    blocks // share.count,
    False,
    np.ones((tiles, width)),
  )


def _side(x, r, length) -> _Points:
  # Indices as data: what does not change from tile to tile, XLA would make a matrix of, once for
  # all tiles, and every tile would read it.
  side = _Points(x, jnp.sum(x * x, 1), jnp.arange(len(x)), r, jnp.ones_like(x[:, 0]))
  return jax.tree.map(lambda v: jnp.pad(v, [(0, length - len(v))] + [(0, 0)] * (v.ndim - 1)), side)


def _rolled(v, length):
  """`length` entries along a circle, more than once around if need be."""
  return jnp.concatenate([v] * -(-length // len(v)))[:length]


def _unrolled(v, length):
  """The adjoint of `_rolled`."""
  turns = -(-len(v) // length)
  filled = jnp.pad(v, ((0, turns * length - len(v)), (0, 0)))
  return filled.reshape(turns, length, -1).sum(0)


def _accumulate(function, tiles: _Tiles, moves: tuple[bool, ...]) -> tuple[Any, Any, Any]:
  """The sum over this device's tiles, and its gradients with respect to rows and to columns."""
  rows, columns, weights = tiles.rows, tiles.columns, jnp.asarray(tiles.weights, tiles.rows.x.dtype)
  per_block = len(tiles.weights)

  def add(step, carry):
    total, *gradients = carry
    i, k = tiles.first + step // per_block, step % per_block
    at = i * tiles.block, i * tiles.block * tiles.circular + k * tiles.width
    a, b = rows.cut(at[0], tiles.block), columns.cut(at[1], tiles.width)
    b = b._replace(weight=b.weight * weights[k])
    part, *pulls = _tile(function, a, b, tiles.circular, moves)
    for side, pull in enumerate(pulls):
      if pull is not None:
        gradients[side] = _add(gradients[side], pull, at[side], axis=side)
    return total + part, *gradients

  of_rows = jnp.zeros_like(_stacked(rows.x, rows.r)) if moves[0] else None
  # Transposed, as a tile's product with its rows comes out.
  of_columns = jnp.zeros_like(_stacked(columns.x, columns.r).T) if moves[1] else None
  carry = jnp.zeros_like(rows.x[0, 0]), of_rows, of_columns
  steps = tiles.blocks * per_block
  total, of_rows, of_columns = add(0, carry) if steps == 1 else lax.fori_loop(0, steps, add, carry)
  return total, of_rows, None if of_columns is None else of_columns.T


def _add(whole, part, start, axis):
  there = lax.dynamic_slice_in_dim(whole, start, part.shape[axis], axis)
  return lax.dynamic_update_slice_in_dim(whole, there + part, start, axis)


def _stacked(x, r):
  return jnp.concatenate([x, *(v[:, None] for v in r)], 1) if r else x


def _tile(function, a: _Points, b: _Points, off_diagonal, moves):
  """A tile's weighted sum, and its gradients: [rows, d] and, transposed, [d, columns]."""
  d = _squared_distances(a, b)
  arguments = (d, *(v[:, None] + w for v, w in zip(a.r, b.r, strict=True)))

  def masked(values):
    return jnp.where(a.place[:, None] == b.place, 0, values) if off_diagonal else values

  def total(values):
    return jnp.sum(_matmul(masked(values), b.weight) * a.weight)

  if not any(moves):
    return total(function(*arguments)), None, None
  values, by_d = _along(function, arguments, 0)
  slopes = [masked(by_d), *(masked(_along(function, arguments, 1)[1]) for _ in a.r)]
  of_rows = _row_gradient(slopes, a, b) if moves[0] else None
  of_columns = _column_gradient(slopes, a, b) if moves[1] else None
  return total(values), of_rows, of_columns


def _along(function, arguments, which):
  """The function and its derivative with respect to one of its arguments."""
  tangents = [jnp.zeros_like(v) for v in arguments]
  tangents[which] = jnp.ones_like(arguments[which])
  return jax.jvp(function, arguments, tuple(tangents))


def _row_gradient(slopes, a: _Points, b: _Points):
  by_d, *by_r = slopes
  if a.x.shape[1] <= _DIRECT_DIMENSIONS:
    pull = [_matmul(by_d * difference, b.weight) for difference in _differences(a.x, b.x)]
    pull = jnp.stack(pull, 1)
  else:
    # The last column of the product sums the slopes.
    products = _matmul(by_d, _with_ones(b.x) * b.weight[:, None])
    pull = products[:, -1:] * a.x - products[:, :-1]
  of_r = [_matmul(s, b.weight) for s in by_r]
  return _stacked(2 * pull, of_r) * a.weight[:, None]


def _column_gradient(slopes, a: _Points, b: _Points):
  by_d, *by_r = slopes
  if a.x.shape[1] <= _DIRECT_DIMENSIONS:
    pull = [-_matmul(a.weight, by_d * difference) for difference in _differences(a.x, b.x)]
    pull = jnp.stack(pull)
  else:
    products = _matmul(lax.optimization_barrier((_with_ones(a.x) * a.weight[:, None]).T), by_d)
    pull = products[-1] * b.x.T - products[:-1]
  of_r = [_matmul(a.weight, s) for s in by_r]
  return _stacked(2 * pull.T, of_r).T * b.weight


def _with_ones(x):
  return jnp.concatenate([x, jnp.ones_like(x[:, :1])], 1)


def _squared_distances(a: _Points, b: _Points):
  if a.x.shape[1] <= _DIRECT_DIMENSIONS:
    return sum(difference**2 for difference in _differences(a.x, b.x))
  norms = a.norms[:, None] + b.norms
  squares = norms - 2 * _matmul(a.x, b.x.T)
  # Rounding leaves ±1e-7 of the norms where rows coincide: nothing there is a distance.
  # NaN is no small number: it passes.
  return jnp.where(squares <= 4 * jnp.finfo(norms.dtype).eps * norms, 0, squares)


def _differences(a, b):
  return [a[:, k, None] - b[:, k] for k in range(a.shape[1])]


def _inner(gradient, tangents):
  return jnp.vdot(gradient, tangents, precision=lax.Precision.HIGHEST)


def _matmul(x, y):
  # TF32 or bfloat16 products would leave nothing of a small distance between large norms.
  return jnp.matmul(x, y, precision=lax.Precision.HIGHEST)
