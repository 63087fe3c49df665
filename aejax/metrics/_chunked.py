"""Checks of feature vectors, and computations over pairs of them in blocks of rows."""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from aejax import _checks

__all__ = [
  "Real",
  "check_features",
  "check_same_dimension",
  "features_in_float64",
  "row_blocks",
  "rows_in_float64",
  "squared_distances",
]

Real = np.ndarray | Array
"""A NumPy or JAX array, as the public functions accept them."""

# Entries of one temporary block, 16 MiB in float64: memory does not grow with the number of pairs.
_BLOCK_ENTRIES = 2**21


def check_features(name: str, features: Any, *, least: int = 1) -> Float[Real, "n d"]:
  """Returns the features if they are a floating-point [n, d] with n at least `least`.

  Raises:
    ValueError: naming the argument, its shape or dtype, and what was expected.
  """
  features = _checks.array(name, features)
  if features.ndim != 2 or features.shape[0] < least or features.shape[1] < 1:
    raise ValueError(
      f"{name} must have shape [n, d] with n at least {least}, but has shape "
      f"{list(features.shape)}."
    )
  # NumPy's own test does not recognise bfloat16.
  if not jnp.issubdtype(features.dtype, jnp.floating):
    raise ValueError(f"{name} must be floating-point, but is {features.dtype}.")
  return features


def check_same_dimension(
  first_name: str, first: Float[Real, "n d"], second_name: str, second: Float[Real, "m e"]
) -> None:
  """Checks that two sets of feature vectors have the same dimension.

  Raises:
    ValueError: if they do not, naming both arguments.
  """
  if first.shape[1] != second.shape[1]:
    raise ValueError(
      f"{first_name} and {second_name} must have one dimension, but have {first.shape[1]} and "
      f"{second.shape[1]}."
    )


def rows_in_float64(name: str, rows: Shaped[Real, "n *shape"]) -> Float[np.ndarray, "n *shape"]:
  """Returns a copy of the rows in float64.

  Raises:
    ValueError: if they hold NaN or infinity.
  """
  array = np.asarray(rows).astype(np.float64)
  if not np.isfinite(array).all():
    raise ValueError(f"{name} must be finite, but holds NaN or infinity.")
  return array


def features_in_float64(name: str, features: Any, *, least: int = 1) -> Float[np.ndarray, "n d"]:
  """Checks the features and returns a copy in float64.

  Raises:
    ValueError: as `check_features`, or if they hold NaN or infinity.
  """
  return rows_in_float64(name, check_features(name, features, least=least))


def row_blocks(count: int, *, entries_per_row: int) -> list[slice]:
  """Returns slices that cut `count` rows into blocks.

  Args:
    count: number of rows.
    entries_per_row: size of the temporary array that the caller makes for each row; a block's
      temporaries have at most `_BLOCK_ENTRIES` entries, unless one row alone has more.
  """
  step = max(1, _BLOCK_ENTRIES // entries_per_row)
  return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def squared_distances(
  x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]
) -> Iterator[tuple[slice, Float[np.ndarray, "b m"], Float[np.ndarray, "b m"]]]:
  """Computes |x_i − y_j|² from norms and products, a block of rows of x at a time.

  The rounding error grows with the norms, so centre the sets first.

  Args:
    x: float64 rows.
    y: float64 rows.

  Yields:
    A slice of the rows of x, their squared distances to all rows of y (never negative), and a bound
    on the rounding errors of these distances.
  """
  x_norms, y_norms = np.einsum("nd,nd->n", x, x), np.einsum("nd,nd->n", y, y)
  # Norms and product are sums of d terms, each off by at most d ε |x||y|, and
  # |x|² + |y|² + 2|x||y| ≤ 2 (|x|² + |y|²). Adding them rounds twice more, hence d + 2.
  relative = 2 * (x.shape[1] + 2) * np.finfo(np.float64).eps
  for rows in row_blocks(len(x), entries_per_row=len(y)):
    norms = x_norms[rows, None] + y_norms
    squares = norms - 2 * (x[rows] @ y.T)
    yield rows, np.maximum(squares, 0, out=squares), relative * norms
