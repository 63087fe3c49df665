"""Do generated features lie where the real ones lie, and everywhere there? Four fractions."""

import numpy as np
from jaxtyping import Array, Float

from aejax import _checks
from aejax.metrics._chunked import check_same_dimension, features_in_float64, squared_distances

__all__ = ["prdc"]

Real = np.ndarray | Array


def prdc(
  real: Float[Real, "n d"],
  generated: Float[Real, "m d"],
  *,
  precision_neighbours: int = 3,
  coverage_neighbours: int = 5,
) -> dict[str, float]:
  """Precision and recall, density and coverage, from balls around features.

  The ball of a feature reaches to its k-th nearest neighbour in its own set, itself not counted.

  - `precision`: the fraction of generated features inside the ball of some real one;
  - `recall`: the fraction of real features inside the ball of some generated one;
  - `density`: the mean number of real balls that a generated feature is inside of, over k; 1 on
    average where the laws agree, and possibly more;
  - `coverage`: the fraction of real balls with a generated feature inside; where the laws agree it
    is on average 1 − Π_{i=1…k} (n − i) / (n + m − i), about 1 − 2^−k for n = m.

  The border is inside, as in eq. (1) of the first paper, and so is what lies on it but for
  rounding: copies of real features count as covered even where real features coincide. (The code
  of the second paper leaves the border out, which matters for such ties only.)

  In float64, in memory linear in n and m: 10,000 features never make a matrix of 10⁸.

  Args:
    real: features of real images, one a row.
    generated: features of generated images, one a row.
    precision_neighbours: k of precision and recall.
    coverage_neighbours: k of density and coverage.

  Returns:
    The four figures.

  Raises:
    ValueError: if dimensions differ, a k is not positive, a set has no k + 1 rows, or one is not
      finite.

  Reference: Kynkäänniemi et al., NeurIPS 2019, arXiv 1904.06991, eqs. (1) and (2), k = 3; Naeem et
    al., ICML 2020, arXiv 2002.09797, section 3 and Lemma 2, k = 5.
  """
  k, wide_k = precision_neighbours, coverage_neighbours
  for name, value in (("precision_neighbours", k), ("coverage_neighbours", wide_k)):
    _checks.integer(name, value)
  x = features_in_float64("real", real, least=max(k, wide_k) + 1)
  y = features_in_float64("generated", generated, least=k + 1)
  check_same_dimension("real", x, "generated", y)
  # Distances do not see translations; norms cancel best around zero.
  centre = x.mean(axis=0)
  x, y = x - centre, y - centre

  real_reach, wide_reach = _reaches(x, (k, wide_k))
  (generated_reach,) = _reaches(y, (k,))
  precise = np.zeros(len(y), bool)
  recalled, covered = np.zeros((2, len(x)), bool)
  inside_wide = 0
  for rows, squares, rounding in squared_distances(x, y):
    squares -= rounding
    precise |= (squares <= real_reach[rows, None]).any(axis=0)
    recalled[rows] = (squares <= generated_reach).any(axis=1)
    inside = squares <= wide_reach[rows, None]
    covered[rows] = inside.any(axis=1)
    inside_wide += int(np.count_nonzero(inside))
  return {
    "precision": float(precise.mean()),
    "recall": float(recalled.mean()),
    "density": inside_wide / (wide_k * len(y)),
    "coverage": float(covered.mean()),
  }


def _reaches(x: Float[np.ndarray, "n d"], ks: tuple[int, ...]) -> Float[np.ndarray, "k n"]:
  """For each k, the squared radius of each row's ball: rounding makes none of them too small."""
  reaches = np.empty((len(ks), len(x)))
  order = np.subtract(ks, 1)
  for rows, squares, rounding in squared_distances(x, x):
    squares += rounding
    own = np.arange(rows.start, rows.stop)
    # By number and not by value: a coinciding feature is a neighbour, at distance zero.
    squares[own - rows.start, own] = np.inf
    reaches[:, rows] = np.partition(squares, order, axis=1)[:, order].T
  return reaches
