"""Sets of feature vectors: what they must be, and their pairs, a block of rows at a time."""

from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from aejax import _checks

__all__ = [
  "check_features",
  "check_same_dimension",
  "features_in_float64",
  "row_blocks",
  "rows_in_float64",
  "squared_distances",
]

Real = np.ndarray | Array

# Entries of one temporary block: 16 MiB in float64, so memory never grows faster than the data.
_BLOCK_ENTRIES = 2**21


def check_features(name: str, features: Any, *, least: int = 1) -> Float[Real, "n d"]:
  """Returns a floating-point [n, d] with n at least `least`.

  Raises:
    ValueError: naming the argument, its shape or dtype, and what was expected.
  """
  features = _checks.array(name, features)
  if features.ndim != 2 or features.shape[0] < least or features.shape[1] < 1:
    raise ValueError(
      f"{name} must have shape [n, d] with n at least {least}, but has shape "
      f"{list(features.shape)}."
    )
  # jax's test, as numpy's does not know bfloat16.
  if not jnp.issubdtype(features.dtype, jnp.floating):
    raise ValueError(f"{name} must be floating-point, but is {features.dtype}.")
  return features


def check_same_dimension(
  first_name: str, first: Float[Real, "n d"], second_name: str, second: Float[Real, "m e"]
) -> None:
  """Refuses two sets of feature vectors of different dimensions.

  Raises:
    ValueError: naming both.
  """
  if first.shape[1] != second.shape[1]:
    raise ValueError(
      f"{first_name} and {second_name} must have one dimension, but have {first.shape[1]} and "
      f"{second.shape[1]}."
    )


def rows_in_float64(name: str, rows: Shaped[Real, "n *shape"]) -> Float[np.ndarray, "n *shape"]:
  """The rows in float64.

  Raises:
    ValueError: if they hold NaN or infinity.
  """
  array = np.asarray(rows).astype(np.float64)
  if not np.isfinite(array).all():
    raise ValueError(f"{name} must be finite, but holds NaN or infinity.")
  return array


def features_in_float64(name: str, features: Any, *, least: int = 1) -> Float[np.ndarray, "n d"]:
  """The features in float64, once checked.

  Raises:
    ValueError: as `check_features`, or if they hold NaN or infinity.
  """
  return rows_in_float64(name, check_features(name, features, least=least))


def row_blocks(count: int, *, entries_per_row: int) -> list[slice]:
  """Slices of `count` rows, each small enough for a temporary of that many entries a row."""
  step = max(1, _BLOCK_ENTRIES // entries_per_row)
  return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def squared_distances(
  x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]
) -> Iterator[tuple[slice, Float[np.ndarray, "b m"], Float[np.ndarray, "b m"]]]:
  """|x_i − y_j|², a block of rows of x at a time, from norms and products.

  Norms and products cancel best near the origin: centre the sets before.

  Args:
    x: float64 rows.
    y: float64 rows.

  Yields:
    The rows of x, their squared distances to all of y (never negative), and a bound on the
    rounding errors of those.
  """
  x_norms, y_norms = np.einsum("nd,nd->n", x, x), np.einsum("nd,nd->n", y, y)
  # Norms and product are sums of d terms, each off by at most d ε |x||y|, and
  # |x|² + |y|² + 2|x||y| ≤ 2 (|x|² + |y|²). Two more roundings add them up: d + 2 in place of d.
  relative = 2 * (x.shape[1] + 2) * np.finfo(np.float64).eps
  for rows in row_blocks(len(x), entries_per_row=len(y)):
    norms = x_norms[rows, None] + y_norms
    squares = norms - 2 * (x[rows] @ y.T)
    yield rows, np.maximum(squares, 0, out=squares), relative * norms
