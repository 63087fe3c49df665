"""The kernel distance: squared MMD of features under a cubic kernel, unbiased."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from aejax import _checks
from aejax.metrics._chunked import check_same_dimension, features_in_float64, row_blocks

__all__ = ["KernelDistance", "kernel_distance", "kernel_distance_in_blocks"]

Real = np.ndarray | Array

# Ten blocks know their own standard error to 1 / sqrt(2 · 9) = 24 %.
_FEWEST_BLOCKS = 10


class KernelDistance(NamedTuple):
  """An estimate of the kernel distance.

  Attributes:
    value: the estimate, without bias; near zero it may be negative.
    standard_error: of the value.
  """

  value: float
  standard_error: float


def kernel_distance(first: Float[Real, "n d"], second: Float[Real, "m d"]) -> float:
  """Squared MMD of the kernel k(x, y) = (x·y / d + 1)³, from all pairs.

  Σ_{i≠j} k(x_i, x_j) / (n(n−1)) + Σ_{i≠j} k(y_i, y_j) / (m(m−1)) − 2 mean_ij k(x_i, y_j): the
  unbiased estimate of least variance. In float64, in memory linear in n and m, in time n m d.

  Args:
    first: features, one a row.
    second: likewise; as many or not.

  Returns:
    The squared distance; without bias, hence negative at times where the laws agree.

  Raises:
    ValueError: if dimensions differ, or a set has no two finite rows.

  Reference: Bińkowski et al., ICLR 2018, arXiv 1801.01401, section 4, with the estimator of
    Gretton et al., JMLR 13, 2012, eq. (3).
  """
  return _squared_mmd(*_checked(first, second, least=2))


def kernel_distance_in_blocks(
  first: Float[Real, "n d"],
  second: Float[Real, "m d"],
  *,
  key: Key[Array, ""],
  block_size: int = 1000,
  blocks: int = 100,
) -> KernelDistance:
  """`kernel_distance` as the mean over blocks, with its standard error: the published KID.

  Both sets are shuffled and cut into blocks of `block_size` rows, at most `blocks` of them. No two
  blocks share a row: subsets drawn anew from the same rows, as in the published code, are not
  independent, and the spread of their values over √blocks is no standard error. If the smaller set
  does not fill ten blocks, they are made smaller, which costs no bias.

  Args:
    first: features, one a row.
    second: likewise; as many or not.
    key: shuffles the rows.
    block_size: rows of a block from each set.
    blocks: how many at most.

  Returns:
    The mean of the blocks' distances and its standard error.

  Raises:
    ValueError: if dimensions differ, a set has no four finite rows (two blocks of two), or
      `block_size` or `blocks` is below two.

  Reference: Bińkowski et al., ICLR 2018, arXiv 1801.01401, section 4.
  """
  for name, value in (("block_size", block_size), ("blocks", blocks)):
    _checks.integer(name, value, least=2)
  _checks.key("key", key)
  x, y = _checked(first, second, least=4)
  fewest = min(len(x), len(y))
  size = min(block_size, max(2, fewest // min(blocks, _FEWEST_BLOCKS)))
  count = min(blocks, fewest // size)
  x, y = (
    rows[np.asarray(jax.random.permutation(own, len(rows)))[: count * size]]
    for own, rows in zip(jax.random.split(key), (x, y), strict=True)
  )
  values = [
    _squared_mmd(x[start : start + size], y[start : start + size])
    for start in range(0, count * size, size)
  ]
  return KernelDistance(float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(count)))


def _checked(
  first: Float[Real, "n d"], second: Float[Real, "m d"], *, least: int
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "m d"]]:
  x = features_in_float64("first", first, least=least)
  y = features_in_float64("second", second, least=least)
  check_same_dimension("first", x, "second", y)
  return x, y


def _squared_mmd(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> float:
  cross = sum(
    float(np.sum(_kernel(x[rows] @ y.T, x.shape[1])))
    for rows in row_blocks(len(x), entries_per_row=len(y))
  )
  return _mean_of_pairs(x) + _mean_of_pairs(y) - 2 * cross / (len(x) * len(y))


def _mean_of_pairs(x: Float[np.ndarray, "n d"]) -> float:
  """Mean of k over the pairs i ≠ j."""
  n, d = x.shape
  total = 0.0
  for rows in row_blocks(n, entries_per_row=n):
    # Symmetric: pairs with earlier rows were counted, twice, when those rows were the block.
    values = _kernel(x[rows] @ x[rows.start :].T, d)
    own = values[:, : len(values)]
    total += 2 * float(np.sum(values)) - float(np.sum(own)) - float(np.trace(own))
  return total / (n * (n - 1))


def _kernel(products: Float[np.ndarray, "n m"], d: int) -> Float[np.ndarray, "n m"]:
  shifted = products / d + 1
  # Two products: numpy's general power is many times slower.
  return shifted * shifted * shifted
