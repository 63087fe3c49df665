"""Functions of |x|²: Kummer's function, φ_D and expectations under N(0, I).

Closed forms to N(0, I) need only radial functions, which cost n evaluations instead of n².
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.polynomial import chebyshev

__all__ = ["kummer", "phi"]

# Candidate scales of s, in units of 4 / (2D − 3). The polynomial converges fastest with a scale
# near 1 in high dimensions, and with a much smaller scale in low dimensions.
_SCALES = (1.0, 0.5, 0.25, 0.12, 0.06, 0.03)


def _kummer_float64(a: float, b: float, s: np.ndarray) -> np.ndarray:
  """Returns ₁F₁(a; b; −s) in float64, for s ≥ 0."""
  from scipy import special  # a quarter of the import time of aejax.distances

  if a < 0 and b > 1:
    # SciPy overflows for a < 0 and large b. All terms of the three-term relation in a are positive.
    return (
      (b - 2 * a - 2 + s) * special.hyp1f1(a + 1, b, -s) + (a + 1) * special.hyp1f1(a + 2, b, -s)
    ) / (b - a - 1)
  return special.hyp1f1(a, b, -s)


@functools.lru_cache(maxsize=512)
def _fit(a: float, b: float, tolerance: float) -> tuple[float, tuple[float, ...]]:
  """Returns a scale c and coefficients p with ₁F₁(a; b; −s) ≈ yᵃ p(2y − 1), y = 1 / (1 + cs).

  Division by yᵃ removes the algebraic decay s⁻ᵃ. The rest is smooth in y on (0, 1], so a short
  Chebyshev series approximates it. The scale with the shortest series is chosen. In powers of
  2y − 1, unlike powers of y, the coefficients stay of order one and nothing cancels in float32.
  """
  dimension = 2 * (b - max(a, 0) + 0.5) if a > 0 else 2 * b
  nodes = chebyshev.chebpts1(128)
  y = (nodes + 1) / 2
  candidates = []
  for scale in _SCALES:
    c = scale * 4 / max(2 * dimension - 3, 1)
    series = chebyshev.chebfit(nodes, _kummer_float64(a, b, (1 / y - 1) / c) * y**-a, 60)
    tail = np.cumsum(np.abs(series)[::-1])[::-1]
    degree = int(np.argmax(tail < tolerance)) if (tail < tolerance).any() else 60
    candidates.append((c, series[: max(degree, 2)]))
  c, series = min(candidates, key=lambda candidate: len(candidate[1]))
  return c, tuple(chebyshev.cheb2poly(series).tolist())


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def kummer(a: float, b: float, s: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
  """Kummer's function ₁F₁(a; b; −s) for s ≥ 0, elementwise, to the precision of `s`.

  `jax.scipy.special.hyp1f1` overflows for such arguments. This function is a polynomial of degree 4
  to 18 in 1 / (1 + cs), computed once in float64 for each (a, b). Its derivative is Kummer's
  function again, so derivatives of all orders have the same accuracy.

  Args:
    a: −1/2, or a positive half-integer.
    b: a + (D − 1) / 2 for positive a, D / 2 for a = −1/2, with a dimension D ≥ 1.
    s: non-negative arguments.

  Reference: DLMF 13.2 (definition), 13.3.15 (derivative), 13.7.2 (decay).
  """
  if b == a:
    return jnp.exp(-s)
  tolerance = 1e-13 if s.dtype == jnp.float64 else 2e-8
  c, coefficients = _fit(a, b, tolerance)
  y = 1 / (1 + c * s)
  t = 2 * y - 1
  value = jnp.full_like(t, coefficients[-1])
  for coefficient in coefficients[-2::-1]:
    value = value * t + coefficient
  return value * _half_integer_power(y, a)


@kummer.defjvp
def _(a: float, b: float, primals: Any, tangents: Any) -> tuple[Array, Array]:
  (s,), (ds,) = primals, tangents
  return kummer(a, b, s), -(a / b) * kummer(a + 1, b + 1, s) * ds


def _half_integer_power(y: Array, a: float) -> Array:
  root = jnp.sqrt(y) if a > 0 else jax.lax.rsqrt(y)
  return root * y ** int(abs(a)) if abs(a) > 1 else root


def phi(s: Float[Array, "*shape"], dim: int) -> Float[Array, "*shape"]:
  """Returns φ_D(s) = ₁F₁(1/2; D/2; −s), the mean of exp(−s (u·e)²) over unit vectors u in R^D.

  Reference: Knop et al., JMLR 21(164), 2020, arXiv 1805.09235, theorem 3.2.
  """
  return kummer(0.5, dim / 2, s)
