"""Means of one-dimensional marginals between their quantiles, the exact side of a W₂ distance.

W₂² of n points to a distribution is mean (x_(i) − q_i)² + (variance − mean q_i²) with q_i the mean
of the distribution between its quantiles (i−1)/n and i/n: the sum of two small terms. In the
equivalent mean x² − 2 mean q x + variance large terms would cancel.
"""

import functools
import math

import numpy as np

from aejax.priors import Prior, StudentT, UniformBall, UniformSphere

__all__ = ["has_quantiles", "normal_quantiles", "prior_quantiles"]


def has_quantiles(name: str, prior: Prior) -> bool:
  """Whether `prior_quantiles` knows a prior.

  Raises:
    ValueError: if it does, but the distance is infinite.
  """
  if isinstance(prior, StudentT) and prior.df <= 2:
    raise ValueError(
      f"{name} to StudentT needs df > 2, because its variance is infinite, but df is "
      f"{prior.df:.6g}: use mmd or cramer_wold."
    )
  return isinstance(prior, StudentT | UniformBall | UniformSphere)


@functools.lru_cache(maxsize=16)
def normal_quantiles(n: int) -> tuple[np.ndarray, float]:
  """Returns the means q_i for N(0, 1), and 1 − mean q_i²."""
  from scipy import special  # a quarter of the import time of aejax.distances

  edges = special.ndtri(np.arange(n + 1) / n)
  density = np.exp(-(edges**2) / 2) / math.sqrt(2 * math.pi)
  return _between(-density, 1.0)


@functools.lru_cache(maxsize=16)
def prior_quantiles(
  prior: StudentT | UniformBall | UniformSphere, n: int
) -> tuple[np.ndarray, float]:
  """Returns the means q_i for the projection onto any direction, and variance − mean q_i².

  q_i = n (F(i/n) − F((i−1)/n)), with F(p) the integral of the quantile function from 0 to p.
  """
  from scipy import special  # a quarter of the import time of aejax.distances

  p = np.arange(n + 1) / n
  if isinstance(prior, StudentT):
    df = prior.df
    edges = special.stdtrit(df, p[1:-1])
    log_density = (
      math.lgamma((df + 1) / 2)
      - math.lgamma(df / 2)
      - math.log(df * math.pi) / 2
      - (df + 1) / 2 * np.log1p(edges**2 / df)
    )
    inner = -(df + edges**2) / (df - 1) * np.exp(log_density)
    return _between(np.concatenate([[0.0], inner, [0.0]]), df / (df - 2))
  # A ball in R^D is the projection of the sphere in R^(D+2).
  dim = prior.dim + (2 if isinstance(prior, UniformBall) else 0)
  if dim == 1:
    integral = -np.minimum(p, 1 - p)
  else:
    half = (dim - 1) / 2
    edges = special.betaincinv(half, half, p)  # (t + 1) / 2
    constant = math.exp(math.lgamma(dim / 2) - math.lgamma(half)) / math.sqrt(math.pi)
    integral = -constant / (dim - 1) * (4 * edges * (1 - edges)) ** half
  q, left = _between(integral, 1 / dim)
  return prior.radius * q, prior.radius**2 * left


def _between(integral: np.ndarray, variance: float) -> tuple[np.ndarray, float]:
  q = (integral.size - 1) * np.diff(integral)
  # Keep the symmetry of the prior, which rounding breaks.
  q = (q - q[::-1]) / 2
  return q, float(variance - np.mean(q**2))
