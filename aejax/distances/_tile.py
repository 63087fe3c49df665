"""One tile of a sum over pairs of a function of their squared distances, and its gradients."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from aejax.distances._tiling import Points, Tiles

__all__ = ["PairFunction", "Tile", "inner", "matmul", "radial_tile", "stacked"]

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
  d = squared_distances(a, b, tiles.coincident)
  arguments = (d, *(v[:, None] + w for v, w in zip(a.row_term, b.row_term, strict=True)))

  def masked(values: Matrix) -> Matrix:
    return jnp.where(a.position[:, None] == b.position, 0, values) if tiles.circular else values

  def total(values: Matrix) -> Float[Array, ""]:
    return jnp.sum(matmul(masked(values), b.weight) * a.weight)

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
    columns = [matmul(by_d * difference, b.weight) for difference in _differences(a.x, b.x)]
    pull = jnp.stack(columns, 1)
  else:
    # The last column of the product is the sum of the slopes.
    products = matmul(by_d, _with_ones(b.x) * b.weight[:, None])
    pull = products[:, -1:] * a.x - products[:, :-1]
  of_term = tuple(matmul(slope, b.weight) for slope in by_term)
  return stacked(2 * pull, of_term) * a.weight[:, None]


def _column_gradient(slopes: list[Matrix], a: Points, b: Points) -> Matrix:
  by_d, *by_term = slopes
  if a.x.shape[1] <= _MAX_DIRECT_DIMENSIONS:
    rows = [-matmul(a.weight, by_d * difference) for difference in _differences(a.x, b.x)]
    pull = jnp.stack(rows)
  else:
    weighted = (_with_ones(a.x) * a.weight[:, None]).T
    products = matmul(lax.optimization_barrier(weighted), by_d)
    pull = products[-1] * b.x.T - products[:-1]
  of_term = tuple(matmul(a.weight, slope) for slope in by_term)
  return stacked(2 * pull.T, of_term).T * b.weight


def _with_ones(x: Float[Array, "n d"]) -> Float[Array, "n e"]:
  return jnp.concatenate([x, jnp.ones_like(x[:, :1])], 1)


def squared_distances(a: Points, b: Points, coincident: Array) -> Matrix:
  """Returns squared distances, which are exactly zero where points coincide.

  Args:
    a: points along the rows.
    b: points along the columns.
    coincident: in up to three dimensions, points whose squared distance is below this coincide.
  """
  if a.x.shape[1] <= _MAX_DIRECT_DIMENSIONS:
    squares = functools.reduce(jnp.add, [v**2 for v in _differences(a.x, b.x)])
    # XLA may compute the rows and the columns of a tile separately, with different rounding.
    return squares if a.x.shape[1] == 1 else jnp.where(squares < coincident, 0, squares)
  norms = a.norms[:, None] + b.norms
  squares = norms - 2 * matmul(a.x, b.x.T)
  # Where rows coincide, rounding leaves about 1e-7 of the norms, which is not a distance. The
  # comparison lets NaN pass.
  return jnp.where(squares <= 4 * jnp.finfo(norms.dtype).eps * norms, 0, squares)


def _differences(a: Float[Array, "n d"], b: Float[Array, "m d"]) -> list[Matrix]:
  return [a[:, k, None] - b[:, k] for k in range(a.shape[1])]


def inner(gradient: Array, tangents: Array) -> Float[Array, ""]:
  return jnp.vdot(gradient, tangents, precision=lax.Precision.HIGHEST)


def matmul(x: Array, y: Array) -> Array:
  # TF32 or bfloat16 products would lose a small distance between large norms.
  return jnp.matmul(x, y, precision=lax.Precision.HIGHEST)
