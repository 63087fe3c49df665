"""g(a, x) = E exp(−a (x − y)² / 2) for one coordinate y, Laplace or uniform on an interval."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial import chebyshev

from aejax.priors import Laplace, UniformCube

__all__ = ["Product", "erfcx", "log_transforms", "pair_nodes", "variance_of"]

Product = Laplace | UniformCube
"""A prior with independent coordinates."""


def variance_of(prior: Product) -> float:
  """Returns the variance of a coordinate."""
  return _cumulants(prior)[0]


def _cumulants(prior: Product) -> tuple[float, float, float, float]:
  """Returns the cumulants of a coordinate of orders 2, 4, 6 and 8; odd ones are zero."""
  if isinstance(prior, Laplace):
    s = prior.scale**2
    return 2 * s, 12 * s**2, 240 * s**3, 10080 * s**4
  s = prior.half_width**2
  return s / 3, -2 / 15 * s**2, 16 / 63 * s**3, -16 / 15 * s**4


def log_transforms(
  a: Float[Array, ""], x: Float[Array, "n d"], prior: Product
) -> tuple[Float[Array, "n d"], Float[Array, "n d"]]:
  """Returns log g(a, x) for the normal distribution of the same variance, and for the prior.

  Where a · variance is small the closed forms lose the small 1 − g, and the errors of all
  coordinates add up. There log g is that of the normal distribution and a series (Edgeworth's) in
  a · variance, whose next term is below 1e-7.
  """
  variance = variance_of(prior)
  double = x.dtype == jnp.float64
  scaled = a * variance
  log_normal = -jnp.log1p(scaled) / 2 - x * x * a / 2 / (1 + scaled)
  is_small = scaled < (3e-4 if double else 0.02)
  correction = _edgeworth(jnp.where(is_small, a, 0.0), x, prior)
  large = jnp.where(is_small, 1 / variance, a)
  exact = (
    _laplace(large, jnp.abs(x), prior.scale)
    if isinstance(prior, Laplace)
    else _interval(large, jnp.abs(x), prior.half_width)
  )
  # A factor that underflows makes the product zero, whatever its logarithm.
  log_exact = jnp.log(jnp.maximum(exact, jnp.finfo(x.dtype).tiny))
  return log_normal, jnp.where(is_small, log_normal + jnp.log1p(correction), log_exact)


def _edgeworth(a: Array, x: Array, prior: Product) -> Array:
  """Returns g over that of the normal distribution, minus one."""
  variance, fourth, sixth, eighth = _cumulants(prior)
  inverse = a / (1 + a * variance)
  z = x * x * inverse
  # Far out g is zero to rounding and the series does not converge.
  z = jnp.where(z < 40, z, 0.0)
  he4 = (z - 6) * z + 3
  he6 = ((z - 15) * z + 45) * z - 15
  he8 = (((z - 28) * z + 210) * z - 420) * z + 105
  square = inverse * inverse
  return square * (
    fourth / 24 * he4
    + inverse * (sixth / 720 * he6 + inverse * (eighth / 40320 + fourth**2 / 1152) * he8)
  )


def _interval(a: Array, x: Array, half_width: float) -> Array:
  """Returns g for y uniform on [−half_width, half_width] and x ≥ 0."""
  root = jnp.sqrt(a / 2)
  above, below = root * (x + half_width), root * (x - half_width)
  far = below > 0.5
  # Outside, the difference of two numbers near one would lose what is left.
  erf, erfc = jax.scipy.special.erf, jax.scipy.special.erfc
  difference = jnp.where(
    far,
    erfc(jnp.where(far, below, 1.0)) - erfc(jnp.where(far, above, 1.0)),
    erf(above) - erf(below),
  )
  return math.sqrt(math.pi) / 4 / (root * half_width) * difference


def _laplace(a: Array, x: Array, scale: float) -> Array:
  """Returns g for y with the density exp(−|y| / scale) / (2 scale) and x ≥ 0."""
  root = jnp.sqrt(2 * a)
  p, q = ((1 / scale + sign * a * x) / root for sign in (-1, 1))
  bell = jnp.exp(-a * x * x / 2)
  near = p > 0
  inside = bell * erfcx(jnp.where(near, p, 0.0))
  exponent = jnp.where(near, 0.0, 1 / (2 * a * scale**2) - x / scale)
  outside = jnp.exp(exponent) * jax.scipy.special.erfc(jnp.where(near, 0.0, p))
  total = bell * erfcx(q) + jnp.where(near, inside, outside)
  return math.sqrt(math.pi) / (2 * scale) / root * total


@functools.lru_cache
def _erfcx_coefficients(double: bool) -> tuple[float, ...]:
  from scipy import special  # a quarter of the import time of aejax.distances

  nodes = chebyshev.chebpts1(200)
  y = (nodes + 1) / 2
  values = special.erfcx((1 / y - 1) / 0.7) / y
  return tuple(chebyshev.cheb2poly(chebyshev.chebfit(nodes, values, 30 if double else 14)).tolist())


def erfcx(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
  """Returns exp(x²) erfc(x) for x ≥ 0.

  A polynomial in y = 1 / (1 + 0.7 x). `jax.scipy.special.erfcx` is wrong in float32 from 9.2 on.
  """
  y = 1 / (1 + 0.7 * x)
  t = 2 * y - 1
  value = jnp.zeros_like(t)
  for coefficient in reversed(_erfcx_coefficients(x.dtype == jnp.float64)):
    value = value * t + coefficient
  return y * value


@functools.lru_cache(maxsize=64)
def pair_nodes(prior: Product) -> tuple[np.ndarray, np.ndarray]:
  """Returns nodes (y − y′)² and weights for two independent draws of a coordinate."""
  if isinstance(prior, Laplace):
    # |y − y′| has the density (1 + u / b) exp(−u / b) / (2 b).
    u = np.exp(np.arange(math.log(1e-12), math.log(60), 0.1))
    weights = u * (1 + u) * np.exp(-u)
    return (prior.scale * u) ** 2, weights / weights.sum()
  # |y − y′| = 2 h v² has a triangular density; nodes crowd at zero for narrow kernels.
  v, w = np.polynomial.legendre.leggauss(256)
  v = (v + 1) / 2
  weights = w * v * (1 - v * v)
  return (2 * prior.half_width * v * v) ** 2, weights / weights.sum()
