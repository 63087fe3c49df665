"""Expectations under Student's t, a mixture of N(0, α I) with 1/α ~ Gamma(df/2, df/2)."""

import functools
import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from aejax.distances._distance_kernels import mean_norm
from aejax.distances._gaussian_nodes import static_nodes
from aejax.distances._radial import kummer
from aejax.priors import StudentT

__all__ = [
  "student_distance",
  "student_pair_distance",
  "student_pair_sum",
  "student_rule",
  "student_sum",
]

# Mixtures with more terms than this are resampled.
_MAX_TERMS = 300


@functools.lru_cache(maxsize=64)
def student_rule(df: float, double: bool) -> tuple[np.ndarray, np.ndarray]:
  """Returns variances α and weights: the trapezoidal rule in log α between far quantiles."""
  from scipy import special  # a quarter of the import time of aejax.distances

  step, tail = (0.17, 1e-15) if double else (0.35, 1e-9)
  # For many degrees of freedom log α has the standard deviation √(2 / df).
  step = min(step, math.sqrt(2 / df) * (0.7 if double else 1))
  half = df / 2
  first, last = (
    np.log(special.gammaincinv(half, tail) / half),
    np.log(special.gammainccinv(half, tail) / half),
  )
  log_precision = np.arange(first, last + step, step)
  log_weights = half * (log_precision - np.exp(log_precision))
  weights = np.exp(log_weights - log_weights.max())
  return np.exp(-log_precision), weights / weights.sum()


@functools.lru_cache(maxsize=64)
def _exponentials(
  kernel: Any, df: float, dim: int, double: bool
) -> tuple[np.ndarray, np.ndarray, float]:
  """Returns b, weights and a constant with E_y k(x, y) = constant + Σ w exp(−b |x|²)."""
  a, kernel_weights, constant = static_nodes(kernel, dim, double)
  variances, weights = student_rule(df, double)
  spread = 1 + variances[:, None] * a
  exponents = a / 2 / spread
  weights = weights[:, None] * kernel_weights * spread ** (-dim / 2)
  exponents, weights = exponents.ravel(), weights.ravel()
  if exponents.size > _MAX_TERMS and not double:
    exponents, weights = _resample(exponents, weights)
  return exponents, weights, constant


def _resample(exponents: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns the same sum of exponentials, to 1e-9, with exponents on a grid of their logarithms.

  exp(−e^u) as a function of u = log(b |x|²) has the spectrum Γ(iω), which falls like
  exp(−π ω / 2): interpolation by a sinc function under a Gaussian window is exact to rounding.
  """
  step, window = 0.2, 1.2
  u = np.log(exponents)
  grid = np.arange(u.min() - 6 * window, u.max() + 6 * window, step)
  resampled = np.zeros_like(grid)
  for part in np.array_split(np.arange(u.size), max(1, u.size // 1000)):
    offsets = grid[:, None] - u[part]
    resampled += (np.sinc(offsets / step) * np.exp(-((offsets / window) ** 2) / 2)) @ weights[part]
  kept = np.abs(resampled) > 1e-11 * np.abs(resampled).max()
  return np.exp(grid[kept]), resampled[kept]


def student_sum(kernel: Any, rows: Float[Array, "n d"], prior: StudentT) -> Float[Array, " n"]:
  """Returns E k(x, y) over y from the prior, for each row x and a static mixture of Gaussians."""
  double = rows.dtype == jnp.float64
  exponents, weights, constant = _exponentials(kernel, prior.df, prior.dim, double)
  squared_norms = jnp.sum(rows * rows, 1)
  terms = jnp.exp(-squared_norms[:, None] * jnp.asarray(exponents, rows.dtype))
  return jnp.sum(terms * jnp.asarray(weights, rows.dtype), 1) + constant


@functools.lru_cache(maxsize=64)
def student_pair_sum(kernel: Any, prior: StudentT) -> float:
  """Returns E k(y, y′) over independent y, y′ from the prior."""
  a, kernel_weights, constant = static_nodes(kernel, prior.dim, True)
  variances, weights = student_rule(prior.df, True)
  means = [
    weights @ ((1 + (v + variances)[:, None] * a) ** (-prior.dim / 2) @ kernel_weights)
    for v in variances
  ]
  return constant + float(weights @ np.array(means))


def student_distance(rows: Float[Array, "n d"], prior: StudentT) -> Float[Array, " n"]:
  """Returns E|x − y| over y from the prior with df > 1, for each row x.

  The rule integrates the difference from E|y|, which converges at every df > 1.
  """
  dim = prior.dim
  variances, weights = student_rule(prior.df, rows.dtype == jnp.float64)
  squared_norms = jnp.sum(rows * rows, 1)[:, None]
  scaled = squared_norms / jnp.asarray(2 * variances, rows.dtype)
  excess = kummer(-0.5, dim / 2, scaled) - 1
  difference = jnp.sum(excess * jnp.asarray(weights * np.sqrt(variances), rows.dtype), 1)
  return mean_norm(dim) * (difference + _mean_root(prior.df))


@functools.lru_cache(maxsize=64)
def student_pair_distance(prior: StudentT) -> float:
  """Returns E|y − y′| over independent y, y′ from the prior with df > 1."""
  variances, weights = student_rule(prior.df, True)
  roots = np.sqrt(variances)
  excess = roots[:, None] + roots - np.sqrt(variances[:, None] + variances)
  return mean_norm(prior.dim) * (2 * _mean_root(prior.df) - float(weights @ excess @ weights))


def _mean_root(df: float) -> float:
  """Returns E√α."""
  return math.sqrt(df / 2) * math.exp(math.lgamma((df - 1) / 2) - math.lgamma(df / 2))
