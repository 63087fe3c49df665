"""Sums of powers of c / (c + d), of which the inverse multiquadric kernel consists."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from numpy.polynomial import polynomial

__all__ = ["sum_of_powers"]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def sum_of_powers(cs: tuple[float, ...], weights: tuple[float, ...], power: int, d: Array) -> Array:
  """Returns Σ w t^power over t = C / (C + d); its derivatives are such sums again."""
  divide = functools.partial(_by_divisions, cs, weights, power)
  # Above this, the polynomials overflow in float32.
  if power * sum(math.log10(c / min(cs)) for c in cs) > 30:
    return divide(d)
  rational = functools.partial(_by_polynomials, cs, weights, power)
  return lax.platform_dependent(d, tpu=rational, default=divide)


def _by_divisions(cs: tuple[float, ...], weights: tuple[float, ...], power: int, d: Array) -> Array:
  # Write the first power differently from the others. Otherwise XLA shares the quotients between a
  # value and its slope and stores a matrix of each, which takes longer than the division.
  terms = [
    w / (1 + d / c) if power == 1 else w * (c / (c + d)) ** power
    for c, w in zip(cs, weights, strict=True)
  ]
  return functools.reduce(jnp.add, terms)


def _by_polynomials(
  cs: tuple[float, ...], weights: tuple[float, ...], power: int, d: Array
) -> Array:
  """Computes the same as one quotient of polynomials.

  XLA for TPUs expands each division into many instructions, and takes a minute to compile seven.
  With t = c / (c + d) for the smallest c, the other quotients are r t / (1 + (r − 1) t), r ≥ 1 a
  ratio of two c. No coefficient of a polynomial in t is negative, so nothing cancels.
  """
  smallest = min(cs)
  t = smallest / (smallest + d)
  numerator, denominator = _polynomials(tuple(c / smallest for c in cs), weights, power)
  return t**power * _horner(numerator, t) / _horner(denominator, t) ** power


@functools.lru_cache(maxsize=128)
def _polynomials(
  ratios: tuple[float, ...], weights: tuple[float, ...], power: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
  """Returns p and q with Σ w (r t / (1 + (r − 1) t))^power = t^power p(t) / q(t)^power."""
  factors = [polynomial.Polynomial([1, r - 1]) for r in ratios]
  numerator = polynomial.Polynomial([0.0])
  for k, (r, w) in enumerate(zip(ratios, weights, strict=True)):
    others = _product(factors[:k] + factors[k + 1 :])
    numerator += w * r**power * others**power
  denominator = _product(factors)
  return tuple(map(float, numerator.coef)), tuple(map(float, denominator.coef))


def _product(factors: list[polynomial.Polynomial]) -> polynomial.Polynomial:
  product = polynomial.Polynomial([1.0])
  for factor in factors:
    product = product * factor
  return product


def _horner(coefficients: tuple[float, ...], t: Array) -> Array:
  value = jnp.full_like(t, coefficients[-1])
  for coefficient in coefficients[-2::-1]:
    value = value * t + coefficient
  return value


@sum_of_powers.defjvp
def _(
  cs: tuple[float, ...], weights: tuple[float, ...], power: int, primals: Any, tangents: Any
) -> tuple[Array, Array]:
  slopes = tuple(-power * w / c for w, c in zip(weights, cs, strict=True))
  value = sum_of_powers(cs, weights, power, *primals)
  return value, sum_of_powers(cs, slopes, power + 1, *primals) * tangents[0]
