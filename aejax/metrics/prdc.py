"""Precision, recall, density and coverage of generated features."""

import numpy as np
from jaxtyping import Float

from aejax import _checks
from aejax.metrics._chunked import (
  Real,
  check_same_dimension,
  features_in_float64,
  squared_distances,
)

__all__ = ["prdc"]


def prdc(
  real: Float[Real, "n d"],
  generated: Float[Real, "m d"],
  *,
  precision_neighbours: int = 3,
  coverage_neighbours: int = 5,
) -> dict[str, float]:
  """Computes precision, recall, density and coverage from balls around features.

  The ball of a feature reaches to its k-th nearest neighbour in its own set, without the feature
  itself.

  - `precision`: fraction of generated features inside the ball of a real one;
  - `recall`: fraction of real features inside the ball of a generated one;
  - `density`: mean number of real balls that contain a generated feature, divided by k; 1 on
    average if the distributions agree, and possibly more than 1;
  - `coverage`: fraction of real balls that contain a generated feature; if the distributions agree,
    1 − Π_{i=1…k} (n − i) / (n + m − i) on average, about 1 − 2^−k for n = m.

  A ball includes its border, as in eq. (1) of the first paper, and features that lie on the border
  up to rounding: copies of real features count as covered even where real features coincide. (The
  code of the second paper excludes the border, which matters for such ties only.)

  Computed in float64. Memory is linear in n and m: the matrix of all distances is never formed.

  Args:
    real: features of real images, one a row.
    generated: features of generated images, one a row.
    precision_neighbours: k of precision and recall.
    coverage_neighbours: k of density and coverage.

  Returns:
    The four metrics by name.

  Raises:
    ValueError: if dimensions differ, a k is not positive, a set has fewer than k + 1 rows, or a
      feature is not finite.

  Reference: Kynkäänniemi et al., NeurIPS 2019, arXiv 1904.06991, eqs. (1) and (2), k = 3; Naeem et
    al., ICML 2020, arXiv 2002.09797, section 3 and Lemma 2, k = 5.
  """
  k, wide_k = precision_neighbours, coverage_neighbours
  for name, value in (("precision_neighbours", k), ("coverage_neighbours", wide_k)):
    _checks.integer(name, value)
  x = features_in_float64("real", real, least=max(k, wide_k) + 1)
  y = features_in_float64("generated", generated, least=k + 1)
  check_same_dimension("real", x, "generated", y)
  # Centring leaves distances unchanged and makes their rounding errors small.
  centre = x.mean(axis=0)
  x, y = x - centre, y - centre

  real_radii, wide_radii = _squared_radii(x, (k, wide_k))
  (generated_radii,) = _squared_radii(y, (k,))
  precise = np.zeros(len(y), bool)
  recalled, covered = np.zeros((2, len(x)), bool)
  inside_wide = 0
  for rows, squares, rounding in squared_distances(x, y):
    squares -= rounding
    precise |= (squares <= real_radii[rows, None]).any(axis=0)
    recalled[rows] = (squares <= generated_radii).any(axis=1)
    inside = squares <= wide_radii[rows, None]
    covered[rows] = inside.any(axis=1)
    inside_wide += int(np.count_nonzero(inside))
  return {
    "precision": float(precise.mean()),
    "recall": float(recalled.mean()),
    "density": inside_wide / (wide_k * len(y)),
    "coverage": float(covered.mean()),
  }


def _squared_radii(x: Float[np.ndarray, "n d"], ks: tuple[int, ...]) -> Float[np.ndarray, "k n"]:
  """Returns the squared radius of each row's ball for each k, never too small by rounding."""
  radii = np.empty((len(ks), len(x)))
  order = np.subtract(ks, 1)
  for rows, squares, rounding in squared_distances(x, x):
    squares += rounding
    # Exclude the feature by its index, not by its distance: a coinciding feature is a neighbour.
    indices = np.arange(rows.start, rows.stop)
    squares[indices - rows.start, indices] = np.inf
    radii[:, rows] = np.partition(squares, order, axis=1)[:, order].T
  return radii
