"""Kernels that are Gaussian kernels with a random bandwidth: Laplace, Matérn, rational quadratic.

k(d) = E exp(−a d / 2) over a random a. For the rational quadratic kernel a has a gamma
distribution, for the Matérn kernels 1/a has one. The trapezoidal rule in log a turns the
expectation into a sum over nodes, which is exact to rounding: see `_gaussian_nodes`.
"""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from aejax import _checks
from aejax.distances._kernel_algebra import Combinable, number

__all__ = [
  "Matern",
  "RationalQuadratic",
  "ScaleMixture",
  "laplace",
  "matern",
  "rational_quadratic",
]

_ORDERS = {0.5: 0, 1.5: 1, 2.5: 2}


class ScaleMixture(Combinable):
  """A kernel with nodes a_j and weights w_j: k(d) = constant + Σ_j w_j exp(−a_j d / 2)."""

  def nodes(self, dim: int, double: bool) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns nodes, weights and the constant for float32, or float64 if `double`."""
    raise NotImplementedError

  def normal_mean(self, squared_norms: Array, dim: int) -> Array:
    """Returns E k(x, y) over y ~ N(0, I), a function of |x|²."""
    a, weights, constant = self.nodes(dim, squared_norms.dtype == jnp.float64)
    weights = weights * np.exp(-dim / 2 * np.log1p(a))
    kept = weights > 1e-17 * weights.sum()
    exponents, weights = ((-a / 2 / (1 + a))[kept], weights[kept])
    terms = jnp.exp(squared_norms[..., None] * jnp.asarray(exponents, squared_norms.dtype))
    weights = jnp.asarray(weights, squared_norms.dtype)
    return jnp.matmul(terms, weights, precision=lax.Precision.HIGHEST) + constant

  def normal_pair_mean(self, dim: int) -> float:
    """Returns E k(y, y′) over independent y, y′ ~ N(0, I)."""
    a, weights, constant = self.nodes(dim, True)
    return constant + float(weights @ np.exp(-dim / 2 * np.log1p(2 * a)))


@dataclasses.dataclass(frozen=True)
class Matern(ScaleMixture):
  """The Matérn kernel of r = |x − y|; made by `laplace` and `matern`.

  Attributes:
    nu: smoothness 0.5, 1.5 or 2.5.
    bandwidth: length over which it falls.
  """

  nu: float
  bandwidth: float

  def __post_init__(self):
    if not isinstance(self.nu, int | float) or self.nu not in _ORDERS:
      raise ValueError(f"nu must be 0.5, 1.5 or 2.5, but is {_checks.short_repr(self.nu)}.")
    object.__setattr__(self, "bandwidth", number("bandwidth", self.bandwidth))

  def __call__(self, squared_distances: Array, dim: int) -> Array:
    """Returns the kernel at squared distances, the same in every dimension."""
    del dim
    w = squared_distances * (2 * self.nu / self.bandwidth**2)
    return _matern(_ORDERS[self.nu], w)

  def nodes(self, dim: int, double: bool) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns nodes, weights and the constant."""
    del dim
    a, weights = _matern_rule(self.nu, double)
    return a / self.bandwidth**2, weights, 0.0


@dataclasses.dataclass(frozen=True)
class RationalQuadratic(ScaleMixture):
  """k(x, y) = (1 + |x − y|² / (2 power scale²))^(−power).

  Attributes:
    power: exponent, a positive number.
    scale: length over which it falls.
  """

  power: float
  scale: float

  def __post_init__(self):
    object.__setattr__(self, "power", number("power", self.power))
    object.__setattr__(self, "scale", number("scale", self.scale))

  def __call__(self, squared_distances: Array, dim: int) -> Array:
    """Returns the kernel at squared distances, the same in every dimension."""
    del dim
    # A power with a large exponent would multiply the rounding error of its base.
    return jnp.exp(-self.power * jnp.log1p(squared_distances / (2 * self.power * self.scale**2)))

  def nodes(self, dim: int, double: bool) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns nodes, weights and the constant."""
    # |x − y|² up to 10⁴ D, in units of the scale.
    largest = 1e4 * dim / self.scale**2
    a, weights, constant = _gamma_rule(self.power, largest, double)
    return a / self.scale**2, weights, constant


def _matern(order: int, w: Array) -> Array:
  """Returns e^(−√w) times 1, 1 + √w or 1 + √w + w/3, differentiable also at w = 0."""
  return _exponential(w) if order == 0 else _smooth(order, w)


def _root(w: Array) -> Array:
  # Guard both branches: the slope of the root at 0 is infinite, and the gradient there must be 0.
  coincide = w <= 0
  return jnp.where(coincide, 0, jnp.sqrt(jnp.where(coincide, 1, w)))


def _exponential(w: Array) -> Array:
  return jnp.exp(-_root(w))


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _smooth(order: int, w: Array) -> Array:
  root = _root(w)
  return (1 + root if order == 1 else 1 + root + w / 3) * jnp.exp(-root)


@_smooth.defjvp
def _(order: int, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
  """The derivative by w is a kernel of the order below, so it has no root in a denominator."""
  (w,), (dw,) = primals, tangents
  return _smooth(order, w), dw * _matern(order - 1, w) * (-1 / 2 if order == 1 else -1 / 6)


def _step(shape: float, double: bool) -> float:
  """Returns a step in the logarithm of a gamma variable at which the rule is exact to rounding.

  The error of the trapezoidal rule is the Fourier transform at 2π / step: |Γ(shape + iω)| / Γ.
  """
  from scipy import special  # a quarter of the import time of aejax.distances

  step, error = (0.17, 1e-15) if double else (0.35, 1e-9)
  while special.loggamma(shape + 2j * math.pi / step).real - math.lgamma(shape) > math.log(error):
    step *= 0.9
  return step


@functools.lru_cache(maxsize=64)
def _matern_rule(nu: float, double: bool) -> tuple[np.ndarray, np.ndarray]:
  """Returns the values of a = 1/g for g ~ Gamma(ν, ν), bandwidth 1, and weights."""
  from scipy import special

  step, tail = _step(nu, double), 1e-15 if double else 1e-8
  first = math.log(special.gammaincinv(nu, tail) / nu)
  last = math.log(special.gammainccinv(nu, tail * tail) / nu)
  log_g = np.arange(first, last, step)
  weights = np.exp(nu * (log_g - np.exp(log_g)))
  # Below the first node the density is geometric, and the Gaussian kernels of all nodes are spikes.
  weights[0] += weights[0] / math.expm1(step * nu)
  return np.exp(-log_g), weights / weights.sum()


@functools.lru_cache(maxsize=64)
def _gamma_rule(power: float, largest: float, double: bool) -> tuple[np.ndarray, np.ndarray, float]:
  """Returns the values of a ~ Gamma(power, power), scale 1, weights and a constant.

  The constant holds the nodes so small that a · `largest` is negligible.
  """
  from scipy import special

  step, error = _step(power, double), 1e-15 if double else 3e-8
  first = max(
    math.log(special.gammaincinv(power, error**2) / power),
    math.log(2 * error ** (1 / (1 + power)) / (2 * power + largest)),
  )
  last = math.log(special.gammainccinv(power, error**2) / power)
  log_a = np.arange(first, last, step)
  weights = np.exp(power * (log_a - np.exp(log_a) + 1))
  constant = weights[0] / math.expm1(step * power)
  total = weights.sum() + constant
  return np.exp(log_a), weights / total, float(constant / total)


def laplace(bandwidth: float) -> Matern:
  """Returns the Laplace kernel exp(−|x − y| / bandwidth), which has a kink at x = y.

  Like the energy distance it pulls latents that are almost equal apart with a constant force. In
  one dimension a rounding error may give two equal latents such a force.

  Raises:
    ValueError: if the bandwidth is not positive.
  """
  return Matern(0.5, bandwidth)


def matern(nu: float, bandwidth: float) -> Matern:
  """Returns the Matérn kernel of smoothness ν = 1.5 or 2.5.

  With u = √(2ν) |x − y| / bandwidth it is (1 + u) exp(−u), or (1 + u + u²/3) exp(−u). ν = 0.5 gives
  `laplace`.

  Raises:
    ValueError: if ν is none of these, or the bandwidth is not positive.

  Reference: Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, eq. (4.17).
  """
  return Matern(nu, bandwidth)


def rational_quadratic(power: float, scale: float) -> RationalQuadratic:
  """Returns the rational quadratic kernel (1 + |x − y|² / (2 power scale²))^(−power).

  It is a mixture of Gaussian kernels. A large power gives `gaussian(scale)`; the power 1 gives
  `imq((scale² / D,))`.

  Raises:
    ValueError: if the power or the scale is not positive.

  Reference: Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, eq. (4.19).
  """
  return RationalQuadratic(power, scale)
