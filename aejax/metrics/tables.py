"""Metrics of generated vectors: their features one by one, and their correlations."""

import numpy as np
from jaxtyping import Float

from aejax.metrics._chunked import Real, check_same_dimension, features_in_float64

__all__ = ["correlation_difference", "marginal_distance"]

# Quantiles that the distance between two samples of different sizes is computed from.
_QUANTILES = 1000


def marginal_distance(generated: Float[Real, "n d"], real: Float[Real, "m d"]) -> float:
  """Returns the 1-Wasserstein distance between each feature's values, averaged over the features.

  The distance of a feature is in units of the standard deviation of its real values, so it does not
  depend on the units of the data. Two independent samples of 1000 from one distribution have about
  0.05. A feature that is constant in the real vectors counts in its own units.

  Args:
    generated: generated vectors.
    real: real vectors.

  Raises:
    ValueError: if the arguments are not finite and of one dimension.
  """
  generated, real = _pair(generated, real)
  levels = (np.arange(_QUANTILES) + 0.5) / _QUANTILES
  gaps = np.abs(np.quantile(generated, levels, axis=0) - np.quantile(real, levels, axis=0))
  scale = real.std(axis=0)
  return float(np.mean(gaps.mean(axis=0) / np.where(scale > 0, scale, 1.0)))


def correlation_difference(generated: Float[Real, "n d"], real: Float[Real, "m d"]) -> float:
  """Returns the mean absolute difference between the correlations of all pairs of features.

  A feature that is constant has correlation 0 with the others. For a single feature the result is
  zero.

  Args:
    generated: generated vectors.
    real: real vectors.

  Raises:
    ValueError: if the arguments are not finite and of one dimension.
  """
  generated, real = _pair(generated, real)
  d = real.shape[1]
  if d == 1:
    return 0.0
  pairs = np.triu_indices(d, 1)
  return float(np.abs(_correlations(generated)[pairs] - _correlations(real)[pairs]).mean())


def _pair(
  generated: Float[Real, "n d"], real: Float[Real, "m d"]
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "m d"]]:
  first = features_in_float64("generated", generated, least=2)
  second = features_in_float64("real", real, least=2)
  check_same_dimension("generated", first, "real", second)
  return first, second


def _correlations(values: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "d d"]:
  centred = values - values.mean(axis=0)
  scale = np.sqrt(np.square(centred).sum(axis=0))
  # A constant feature is zero only up to the rounding of its mean.
  constant = scale <= 1e-12 * np.abs(values).max(axis=0) * np.sqrt(len(values))
  unit = np.where(constant, 0.0, centred / np.where(constant, 1.0, scale))
  return unit.T @ unit
