"""One tile of a sum over pairs of points that have scores, and its gradients for both.

With scores s, a function of the pair may depend on d = |x − y|², on p = s(x)·s(y) and on
q = (s(x) − s(y))·(x − y). All three are matrix products of points and scores.
"""

import functools
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from aejax.distances._pairwise import sum_over_tiles
from aejax.distances._sharding import Shard
from aejax.distances._tile import (
  Matrix,
  Needs,
  PairFunction,
  column_gradient,
  masked,
  matmul,
  partial_derivative,
  recomputed,
  row_gradient,
  squared_distances,
  with_ones,
)
from aejax.distances._tiling import Points, Tiles

__all__ = ["score_sum"]


def score_sum(
  function: PairFunction,
  x: Float[Array, "n d"],
  scores: Float[Array, "n d"],
  *,
  pairs: int | None,
  shard: Shard,
) -> Float[Array, ""]:
  """Returns Σ_{i≠j} f(d, p, q) of an elementwise function that is linear in p and q."""

  def terms(centred: Array) -> tuple[Array, Array]:
    return scores, jnp.sum(scores * centred, 1)

  tile = functools.partial(_score_tile, function)
  return sum_over_tiles(tile, x, terms, pairs=pairs, shard=shard)


class _Slopes(NamedTuple):
  """Derivatives of the function at each pair of a tile."""

  by_d: Matrix
  by_p: Matrix
  by_q: Matrix


def _score_tile(
  function: PairFunction, a: Points, b: Points, tiles: Tiles, needs_grad: Needs
) -> tuple[Float[Array, ""], Matrix | None, Matrix | None]:
  """Returns a tile's weighted sum and its gradients for points, scores and s·x."""
  (a_scores, a_inner), (b_scores, b_inner) = a.row_term, b.row_term
  d = squared_distances(a, b, tiles)
  p = matmul(a_scores, b_scores.T)
  across = matmul(jnp.concatenate([a_scores, a.x], 1), jnp.concatenate([b.x, b_scores], 1).T)
  q = a_inner[:, None] + b_inner - across
  values = function(recomputed(d, a, tiles, 1), p, q)
  total = jnp.sum(matmul(masked(values, d, a, b, tiles), b.weight) * a.weight)
  if not any(needs_grad):
    return total, None, None
  slopes = _Slopes(
    *(
      masked(
        partial_derivative(function, (recomputed(d, a, tiles, copy), p, q), k)[1], d, a, b, tiles
      )
      for k, copy in enumerate((0, 2, 3))
    )
  )
  of_rows = _of_rows(slopes, a, b) if needs_grad[0] else None
  of_columns = _of_columns(slopes, a, b) if needs_grad[1] else None
  return total, of_rows, of_columns


def _of_rows(slopes: _Slopes, a: Points, b: Points) -> Matrix:
  dim = a.x.shape[1]
  scores = b.row_term[0]
  of_x = row_gradient([slopes.by_d], a, b)
  weight = b.weight[:, None]
  by_p = matmul(slopes.by_p, scores * weight)
  by_q = matmul(slopes.by_q, with_ones(jnp.concatenate([scores, b.x], 1)) * weight)
  of_others = jnp.concatenate([by_p - by_q[:, dim:-1], by_q[:, -1:]], 1) * a.weight[:, None]
  return jnp.concatenate([of_x - by_q[:, :dim] * a.weight[:, None], of_others], 1)


def _of_columns(slopes: _Slopes, a: Points, b: Points) -> Matrix:
  dim = a.x.shape[1]
  scores = a.row_term[0]
  of_x = column_gradient([slopes.by_d], a, b)
  weight = a.weight[:, None]
  by_p = matmul((scores * weight).T, slopes.by_p)
  by_q = matmul((with_ones(jnp.concatenate([scores, a.x], 1)) * weight).T, slopes.by_q)
  of_others = jnp.concatenate([by_p - by_q[dim:-1], by_q[-1:]]) * b.weight
  return jnp.concatenate([of_x - by_q[:dim] * b.weight, of_others])
