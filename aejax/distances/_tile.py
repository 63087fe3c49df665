"""One tile of a sum over pairs of a function of their squared distances, and its gradients."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from aejax.distances._tiling import Points, Tiles

__all__ = [
  "Matrix",
  "Needs",
  "PairFunction",
  "Tile",
  "column_gradient",
  "inner",
  "masked",
  "matmul",
  "partial_derivative",
  "radial_tile",
  "recomputed",
  "row_gradient",
  "squared_distances",
  "stacked",
  "with_ones",
]

PairFunction = Callable[..., Array]
Matrix = Float[Array, "_ _"]  # of any size: a tile has several
Needs = tuple[bool, ...]
Tile = Callable[
  [Points, Points, Tiles, Needs], tuple[Float[Array, ""], Matrix | None, Matrix | None]
]

# Up to this dimension, distances come from coordinate differences. With so few dimensions many
# pairs are close, norms and products lose their distance, and differences cost no more.
_MAX_DIRECT_DIMENSIONS = 3


def stacked(x: Float[Array, "n d"], row_term: tuple[Array, ...]) -> Matrix:
  """Returns the points and their terms as columns of one matrix."""
  return jnp.concatenate([x, *(v.reshape(len(v), -1) for v in row_term)], 1) if row_term else x


def radial_tile(
  function: PairFunction, a: Points, b: Points, tiles: Tiles, needs_grad: Needs
) -> tuple[Float[Array, ""], Matrix | None, Matrix | None]:
  """Returns a tile's weighted sum and its gradients, [rows, d] and transposed [d, columns].

  Args:
    function: elementwise function of the squared distance and of the sums of row terms.
    a: points along the rows.
    b: points along the columns.
    tiles: the tiles that this one belongs to.
    needs_grad: whether the gradients for rows and for columns are needed.
  """
  d = squared_distances(a, b, tiles)
  terms = [v[:, None] + w for v, w in zip(a.row_term, b.row_term, strict=True)]

  def total(values: Matrix) -> Float[Array, ""]:
    return jnp.sum(matmul(masked(values, d, a, b, tiles), b.weight) * a.weight)

  if not any(needs_grad):
    return total(function(d, *terms)), None, None
  if terms:
    value = total(function(recomputed(d, a, tiles, 1), *terms))
    if tiles.recompute and tiles.is_single:
      # Computed after the value, the slopes of a large tile take the place of its products.
      norms, value = lax.optimization_barrier((a.norms, value))
      d = squared_distances(a._replace(norms=norms), b, tiles)
    by_d = partial_derivative(function, (d, *terms), 0)[1]
    by_term = partial_derivative(function, (recomputed(d, a, tiles, 2), *terms), 1)[1]
    slopes = [by_d, by_term]
  else:
    values, by_d = partial_derivative(function, (d,), 0)
    value, slopes = total(values), [by_d]
  slopes = [masked(slope, d, a, b, tiles) for slope in slopes]
  of_rows = row_gradient(slopes, a, b) if needs_grad[0] else None
  of_columns = column_gradient(slopes, a, b) if needs_grad[1] else None
  return value, of_rows, of_columns


def masked(values: Matrix, d: Matrix, a: Points, b: Points, tiles: Tiles) -> Matrix:
  """Returns the values with zeros where a point meets itself, or outside of the band."""
  if tiles.band:
    offset = b.position - a.position[:, None]
    inside = (offset >= 0) & (offset < tiles.band)
    return jnp.where(inside, values, _zeros(d, tiles))
  if not tiles.circular:
    return values
  return jnp.where(a.position[:, None] == b.position, _zeros(d, tiles), values)


def _zeros(not_negative: Matrix, tiles: Tiles) -> Matrix | int:
  """Returns zeros made from data; XLA would hoist constants out of the loop as an entire tile."""
  return jnp.minimum(not_negative, 0) if tiles.recompute else 0


def recomputed(d: Matrix, a: Points, tiles: Tiles, copy: int) -> Matrix:
  """Returns the same distances, but XLA does not know it and computes functions of them again.

  Otherwise it would store a matrix of each function that several results share.
  """
  if not tiles.recompute:
    return d
  # In a loop, the norms of a block would be one more kernel.
  not_negative = a.norms[:, None] if tiles.is_single else tiles.coincident
  return d + copy * jnp.minimum(not_negative, 0)


def partial_derivative(
  function: PairFunction, arguments: tuple[Matrix, ...], which: int
) -> tuple[Matrix, Matrix]:
  """Returns the function and its derivative with respect to one of its arguments."""
  tangents = [jnp.zeros_like(v) for v in arguments]
  tangents[which] = jnp.ones_like(arguments[which])
  return jax.jvp(function, arguments, tuple(tangents))


def row_gradient(slopes: list[Matrix], a: Points, b: Points) -> Matrix:
  by_d, *by_term = slopes
  if a.x.shape[1] <= _MAX_DIRECT_DIMENSIONS:
    columns = [matmul(by_d * difference, b.weight) for difference in _differences(a.x, b.x)]
    pull = jnp.stack(columns, 1)
  else:
    # The last column of the product is the sum of the slopes.
    products = matmul(by_d, with_ones(b.x) * b.weight[:, None])
    pull = products[:, -1:] * a.x - products[:, :-1]
  # The barrier makes this sum part of the kernel that computes the slopes.
  of_term = tuple(lax.optimization_barrier(matmul(slope, b.weight)) for slope in by_term)
  return stacked(2 * pull, of_term) * a.weight[:, None]


def column_gradient(slopes: list[Matrix], a: Points, b: Points) -> Matrix:
  by_d, *by_term = slopes
  if a.x.shape[1] <= _MAX_DIRECT_DIMENSIONS:
    rows = [-matmul(a.weight, by_d * difference) for difference in _differences(a.x, b.x)]
    pull = jnp.stack(rows)
  else:
    weighted = (with_ones(a.x) * a.weight[:, None]).T
    products = matmul(lax.optimization_barrier(weighted), by_d)
    pull = products[-1] * b.x.T - products[:-1]
  of_term = tuple(matmul(a.weight, slope) for slope in by_term)
  return stacked(2 * pull.T, of_term).T * b.weight


def with_ones(x: Float[Array, "n d"]) -> Float[Array, "n e"]:
  return jnp.concatenate([x, jnp.ones_like(x[:, :1])], 1)


def squared_distances(a: Points, b: Points, tiles: Tiles) -> Matrix:
  """Returns squared distances, which are exactly zero where points coincide."""
  dim = a.x.shape[1]
  if dim <= _MAX_DIRECT_DIMENSIONS:
    squares = functools.reduce(jnp.add, [v**2 for v in _differences(a.x, b.x)])
    # XLA may compute rows and columns of a tile separately and round them differently.
    return squares if dim == 1 else jnp.where(squares < tiles.coincident, 0, squares)
  norms = a.norms[:, None] + b.norms
  squares = norms - 2 * matmul(a.x, b.x.T)
  # Where rows coincide, rounding leaves about 1e-7 of the norms, which is not a distance. The
  # comparison lets NaN pass.
  coincide = squares <= 4 * jnp.finfo(norms.dtype).eps * norms
  return jnp.where(coincide, _zeros(norms, tiles), squares)


def _differences(a: Float[Array, "n d"], b: Float[Array, "m d"]) -> list[Matrix]:
  return [a[:, k, None] - b[:, k] for k in range(a.shape[1])]


def inner(gradient: Array, tangents: Array) -> Float[Array, ""]:
  return jnp.vdot(gradient, tangents, precision=lax.Precision.HIGHEST)


def matmul(x: Array, y: Array) -> Array:
  # TF32 or bfloat16 products would lose a small distance between large norms.
  return jnp.matmul(x, y, precision=lax.Precision.HIGHEST)
