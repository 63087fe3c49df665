"""The Fréchet distance of two sets of features, from their means and covariances."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Float

from aejax import _checks
from aejax.metrics._chunked import Real, check_features, row_blocks, rows_in_float64

__all__ = ["Moments", "frechet_distance"]


@dataclasses.dataclass(frozen=True, eq=False)
class Moments:
  """Mean and covariance of a set of vectors; moments of parts of the set add up.

  Kept in float64. Only deviations from the mean of a part are multiplied, so that means much larger
  than the deviations lose no precision.

  Attributes:
    count: number of vectors.
    mean: mean of the vectors.
    scatter: Σ (x − mean)(x − mean)ᵀ.

  Example:
    >>> both = Moments.of(jnp.eye(3)) + Moments.of(jnp.ones((1, 3)))
    >>> both.count, both.mean.tolist()
    (4, [0.5, 0.5, 0.5])

  Reference: Chan, Golub & LeVeque, 1979, Updating formulae and a pairwise algorithm for computing
    sample variances.
  """

  count: int
  mean: Float[np.ndarray, " d"]
  scatter: Float[np.ndarray, "d d"]

  @classmethod
  def of(cls, features: Float[Real, "n d"]) -> "Moments":
    """Computes the moments of features, one a row, in blocks of rows.

    Raises:
      ValueError: if `features` is not a finite floating-point [n, d] with n at least 1.
    """
    return _moments("features", features)

  def __add__(self, other: "Moments") -> "Moments":
    """Returns the moments of the union of both sets.

    Raises:
      ValueError: if the sets have different dimensions.
    """
    _checks.instance("What is added to Moments", other, Moments, "Moments")
    if self.mean.shape != other.mean.shape:
      raise ValueError(
        f"Moments must be of one dimension to be added, but are of {len(self.mean)} and "
        f"{len(other.mean)}."
      )
    count = self.count + other.count
    step = other.mean - self.mean
    weight = other.count / count
    scatter = self.scatter + other.scatter
    scatter += self.count * weight * np.outer(step, step)
    return Moments(count, self.mean + weight * step, scatter)

  @property
  def covariance(self) -> Float[np.ndarray, "d d"]:
    """The unbiased covariance (with n − 1), as in the published code of the FID.

    Raises:
      ValueError: if the moments are of a single vector.
    """
    if self.count < 2:
      raise ValueError("A covariance needs at least 2 vectors, but the moments are of 1.")
    return self.scatter / (self.count - 1)


def frechet_distance(
  first: Moments | Float[Real, "n d"], second: Moments | Float[Real, "m d"]
) -> float:
  """Computes the squared Fréchet distance: squared 2-Wasserstein distance of two Gaussians.

  |m₁ − m₂|² + tr(C₁ + C₂ − 2 (C₁ C₂)^½), with the means and covariances of the two sets. With
  F Fᵀ = C, the trace of the root is the sum of the singular values of F₁ᵀ F₂. It is real and
  accurate for covariances of any rank, hence also for fewer vectors than dimensions. As an estimate
  it is biased upwards by about 1/n, so compare values with the same n only. Call it FID only if the
  features are those of Inception.

  Args:
    first: features, one a row, or their moments.
    second: features to compare with, or their moments.

  Returns:
    The squared distance, zero or more.

  Raises:
    ValueError: if dimensions differ, or a set has fewer than two rows or one that is not finite.

  Reference: Dowson & Landau, 1982; Heusel et al., NeurIPS 2017, arXiv 1706.08500.
  """
  a, b = (
    features if isinstance(features, Moments) else _moments(name, features, least=2)
    for name, features in (("first", first), ("second", second))
  )
  if a.mean.shape != b.mean.shape:
    raise ValueError(
      f"first and second must have one dimension, but have {len(a.mean)} and {len(b.mean)}."
    )
  covariances = a.covariance, b.covariance
  cross = covariance_factor(covariances[0]).T @ covariance_factor(covariances[1])
  root_trace = np.sum(np.linalg.svd(cross, compute_uv=False))
  step = a.mean - b.mean
  value = step @ step + sum(np.trace(c) for c in covariances) - 2 * root_trace
  # Rounding may leave a negative value of about 1e-15 of the traces.
  return max(0.0, float(value))


def covariance_factor(covariance: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d r"]:
  """Returns F with F Fᵀ = C; the number of columns of F is the rank of C."""
  values, vectors = np.linalg.eigh(covariance)
  # Rounding turns a zero eigenvalue into about ε |C|, whose root of about 1e-8 is not negligible.
  kept = values > len(values) * np.finfo(np.float64).eps * max(values[-1], 0)
  return vectors[:, kept] * np.sqrt(values[kept])


def _moments(name: str, features: Any, *, least: int = 1) -> Moments:
  features = check_features(name, features, least=least)
  n, d = features.shape
  total: Moments | None = None
  for rows in row_blocks(n, entries_per_row=d):
    block = rows_in_float64(name, features[rows])
    mean = block.mean(axis=0)
    block -= mean
    part = Moments(len(block), mean, block.T @ block)
    total = part if total is None else total + part
  assert total is not None
  return total
