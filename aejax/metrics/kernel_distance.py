"""The kernel distance: squared MMD of features with a cubic kernel, unbiased."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Key

from aejax import _checks
from aejax.metrics._chunked import Real, check_same_dimension, features_in_float64, row_blocks

__all__ = ["KernelDistance", "kernel_distance", "kernel_distance_in_blocks"]

# With ten blocks, the standard error is itself known to 1 / sqrt(2 · 9) = 24 %.
_MIN_BLOCKS = 10


class KernelDistance(NamedTuple):
  """An estimate of the kernel distance with its standard error.

  Attributes:
    value: unbiased estimate; it may be negative near zero.
    standard_error: standard error of the value.
  """

  value: float
  standard_error: float


def kernel_distance(first: Float[Real, "n d"], second: Float[Real, "m d"]) -> float:
  """Computes the squared MMD with the kernel k(x, y) = (x·y / d + 1)³ from all pairs.

  Σ_{i≠j} k(x_i, x_j) / (n(n−1)) + Σ_{i≠j} k(y_i, y_j) / (m(m−1)) − 2 mean_ij k(x_i, y_j): the
  unbiased estimate of least variance. Computed in float64, in memory linear in n and m and in time
  n m d.

  Args:
    first: features, one a row.
    second: features to compare with, one a row; the number of rows may differ.

  Returns:
    The squared distance. It is unbiased, hence negative at times if the distributions agree.

  Raises:
    ValueError: if dimensions differ, or a set has fewer than two rows or one that is not finite.

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
  """Computes `kernel_distance` as the mean over blocks, with its standard error: the published KID.

  Both sets are shuffled and cut into blocks of `block_size` rows, at most `blocks` of them. No two
  blocks share a row. (The published code draws subsets of the same rows again and again; these are
  not independent, and the spread of their values over √blocks is not a standard error.) If the
  smaller set does not fill ten blocks, the blocks are made smaller, which adds no bias.

  Args:
    first: features, one a row.
    second: features to compare with, one a row; the number of rows may differ.
    key: random key that shuffles the rows.
    block_size: number of rows that a block takes from each set.
    blocks: largest number of blocks.

  Returns:
    The mean of the blocks' distances and its standard error.

  Raises:
    ValueError: if dimensions differ, a set has fewer than four rows (two blocks of two) or one that
      is not finite, or `block_size` or `blocks` is below two.

  Reference: Bińkowski et al., ICLR 2018, arXiv 1801.01401, section 4.
  """
  for name, value in (("block_size", block_size), ("blocks", blocks)):
    _checks.integer(name, value, least=2)
  _checks.key("key", key)
  x, y = _checked(first, second, least=4)
  smaller = min(len(x), len(y))
  size = min(block_size, max(2, smaller // min(blocks, _MIN_BLOCKS)))
  count = min(blocks, smaller // size)
  x, y = (
    rows[np.asarray(jax.random.permutation(set_key, len(rows)))[: count * size]]
    for set_key, rows in zip(jax.random.split(key), (x, y), strict=True)
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
  return _mean_over_pairs(x) + _mean_over_pairs(y) - 2 * cross / (len(x) * len(y))


def _mean_over_pairs(x: Float[np.ndarray, "n d"]) -> float:
  """Returns the mean of the kernel over the pairs i ≠ j."""
  n, d = x.shape
  total = 0.0
  for rows in row_blocks(n, entries_per_row=n):
    # The kernel is symmetric: pairs with earlier rows were counted twice in those rows' block.
    values = _kernel(x[rows] @ x[rows.start :].T, d)
    square = values[:, : len(values)]
    total += 2 * float(np.sum(values)) - float(np.sum(square)) - float(np.trace(square))
  return total / (n * (n - 1))


def _kernel(products: Float[np.ndarray, "n m"], d: int) -> Float[np.ndarray, "n m"]:
  shifted = products / d + 1
  # NumPy's general power is many times slower than two products.
  return shifted * shifted * shifted
