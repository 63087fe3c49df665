"""Tests of normality on slices: the mean over directions of a statistic against N(0, 1).

The statistics grow like n if the distribution is not normal and stay of order one if it is. The
Kolmogorov–Smirnov distance does not grow: it shrinks like n^(−1/2) for a normal distribution.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from aejax.distances._arguments import Directions, Latents, Scalar, as_latents, public_jit
from aejax.distances._sharding import AxisName, Shard, all_gather_rows, sharded
from aejax.distances._sorting import sort_columns
from aejax.distances.directions import as_directions, largest, project

__all__ = ["anderson_darling", "cramer_von_mises", "epps_pulley", "kolmogorov_smirnov"]

# Above this t, exp(−t²/2) is below 5e-9.
_CUT = 6.2
# Above this w, exp(−w²/6), the widest of the Fourier transforms that alias, is below 5e-9.
_MARGIN = 10.8
# Limits the resolution of projections that spread over more than 4000 standard deviations.
_MAX_NODES = 4096
# From one node to the next, sine and cosine rotate by a fixed angle, which two products compute.
# After this number of rotations they are computed again, before rounding errors add up.
_TURNS = 8


def _sliced(
  statistic: Callable[[Array], Array], z: Any, directions: Any, axis_name: AxisName
) -> Scalar:
  """Returns the mean over directions of a statistic of each column of the projections [n, num]."""
  z = all_gather_rows(as_latents(z), axis_name)

  def mean(shard: Shard, z: Array, directions: Array) -> Array:
    return shard.mean(lambda local: statistic(project(z, local)), directions)

  return sharded(mean, z, as_directions(directions, z), axis_name=axis_name)


@public_jit("axis_name")
def epps_pulley(
  z: Latents,
  *,
  directions: Directions,
  axis_name: AxisName = None,
) -> Scalar:
  """Mean over directions of the Epps–Pulley statistic n ∫ |φ_n(t) − e^(−t²/2)|² e^(−t²/2) dt.

  φ_n is the empirical characteristic function of the projections. The statistic grows with n:
  divide it by n for a weight that means the same at every batch size. The trapezoidal rule is
  exact to rounding if its nodes are dense enough for the spread of the projections, so their
  number depends on the data: about 20 for latents near N(0, I), more for a wider spread. `sigreg`
  is the same statistic over all directions, in closed form. Take second derivatives forward over
  reverse, as `jax.jvp` of `jax.grad`.

  Args:
    z: latents, one a row.
    directions: unit vectors, one a row: `random_directions(key, num, d)`, drawn again each step.
    axis_name: name of the mapped axis over which `z` is spread (directions are the same
      on all devices); the value is then that of the global batch.

  Raises:
    ValueError: if dimensions differ.

  Example:
    >>> value = epps_pulley(jnp.array([[0.5], [-1.0], [0.2]]), directions=jnp.ones((1, 1)))
    >>> bool(jnp.isclose(value, sigreg(jnp.array([[0.5], [-1.0], [0.2]])), rtol=1e-5))
    True

  Reference: Epps & Pulley, Biometrika 70, 1983; Balestriero & LeCun, 2025, arXiv 2511.08544.
  """
  return _sliced(_epps_pulley, z, directions, axis_name)


@public_jit("axis_name")
def cramer_von_mises(
  z: Latents,
  *,
  directions: Directions,
  axis_name: AxisName = None,
) -> Scalar:
  """Mean over directions of the Cramér–von Mises statistic n ∫ (F_n − Φ)² dΦ.

  The statistic grows with n. Its gradient decays like the normal density: it is almost zero for a
  latent far from the others.

  Args:
    z: latents, one a row.
    directions: unit vectors, one a row.
    axis_name: name of the mapped axis over which `z` is spread; the value is then that of the
      global batch.

  Raises:
    ValueError: if dimensions differ.

  Example:
    >>> round(float(cramer_von_mises(jnp.zeros((1, 2)), directions=jnp.eye(2))), 6)
    0.083333

  Reference: Anderson, Ann. Math. Stat. 33, 1962, eq. (1); 1/(12n) + Σ (Φ(x_(i)) − (2i−1)/(2n))².
  """

  def statistic(p: Array) -> Array:
    n = p.shape[0]
    middles = (2 * jnp.arange(n, dtype=p.dtype)[:, None] + 1) / (2 * n)
    u = jax.scipy.special.ndtr(sort_columns(p))
    return 1 / (12 * n) + jnp.sum((u - middles) ** 2, 0)

  return _sliced(statistic, z, directions, axis_name)


@public_jit("axis_name")
def anderson_darling(
  z: Latents,
  *,
  directions: Directions,
  axis_name: AxisName = None,
) -> Scalar:
  """Mean over directions of the Anderson–Darling statistic n ∫ (F_n − Φ)² / (Φ (1 − Φ)) dΦ.

  The statistic grows with n. Its weight emphasises the tails: the gradient grows linearly with the
  distance of an outlier.

  Args:
    z: latents, one a row.
    directions: unit vectors, one a row.
    axis_name: name of the mapped axis over which `z` is spread; the value is then that of the
      global batch.

  Raises:
    ValueError: if dimensions differ.

  Example:
    >>> round(float(anderson_darling(jnp.zeros((1, 2)), directions=jnp.eye(2))), 6)
    0.386294

  Reference: Anderson & Darling, J. Am. Stat. Assoc. 49, 1954;
    −n − (1/n) Σ (2i−1) (log Φ(x_(i)) + log(1 − Φ(x_(n+1−i)))).
  """

  def statistic(p: Array) -> Array:
    n = p.shape[0]
    x = sort_columns(p)
    weights = (2 * jnp.arange(n, dtype=p.dtype)[:, None] + 1) / n
    logs = jax.scipy.stats.norm.logcdf(x) + jax.scipy.stats.norm.logcdf(-x[::-1])
    # Σ weights = n. With the 1 inside the sum, each term is small where the fit is good.
    return -jnp.sum(weights * logs + 1, 0)

  return _sliced(statistic, z, directions, axis_name)


@public_jit("axis_name")
def kolmogorov_smirnov(
  z: Latents,
  *,
  directions: Directions,
  axis_name: AxisName = None,
) -> Scalar:
  """Mean over directions of the Kolmogorov–Smirnov distance sup |F_n − Φ|, not squared.

  Its value does not grow with n. It is meant for reports: its gradient moves one latent for each
  direction.

  Args:
    z: latents, one a row.
    directions: unit vectors, one a row.
    axis_name: name of the mapped axis over which `z` is spread; the value is then that of the
      global batch.

  Raises:
    ValueError: if dimensions differ.

  Example:
    >>> float(kolmogorov_smirnov(jnp.zeros((1, 2)), directions=jnp.eye(2)))
    0.5

  Reference: Massey, J. Am. Stat. Assoc. 46, 1951.
  """

  def statistic(p: Array) -> Array:
    n = p.shape[0]
    u = jax.scipy.special.ndtr(sort_columns(p))
    steps = jnp.arange(n, dtype=p.dtype)[:, None]
    return largest(jnp.concatenate([(steps + 1) / n - u, u - steps / n]))

  return _sliced(statistic, z, directions, axis_name)


@jax.custom_jvp
def _epps_pulley(p: Float[Array, "n num"]) -> Float[Array, " num"]:
  return _epps_pulley_with_gradient(p, with_gradient=False)[0]


@_epps_pulley.defjvp
def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
  value, gradient = _epps_pulley_with_gradient(primals[0], with_gradient=True)
  return value, jnp.sum(gradient * tangents[0], 0)


def _epps_pulley_with_gradient(
  p: Float[Array, "n num"], *, with_gradient: bool
) -> tuple[Float[Array, " num"], Array]:
  """Returns the sum over the nodes t = kh, k ≥ 0, of the value and of its gradient.

  The integrand is even. The error of the rule is the Fourier transform of the integrand at 2π/h and
  its multiples. That transform is a sum of Gaussian bumps at the differences of projections, so
  2π/h must be larger than these differences by a margin.
  """
  n = p.shape[0]
  spread = 2 * jnp.max(jnp.abs(p))
  step = 2 * math.pi / (spread + _MARGIN)
  nodes = jnp.minimum(jnp.ceil(_CUT / step), _MAX_NODES).astype(jnp.int32) + 1

  turn = jnp.cos(step * p), jnp.sin(step * p)

  def add(block: Any, carry: tuple[Array, Array]) -> tuple[Array, Array]:
    total, gradient = carry
    first = block * _TURNS
    cosines, sines = jnp.cos(first * step * p), jnp.sin(first * step * p)
    for k in range(_TURNS):
      node = first + k
      t = node * step
      weight = jnp.where(node == 0, 1.0, 2.0) * step * jnp.exp(-t * t / 2)
      real, imaginary = jnp.mean(cosines, 0) - jnp.exp(-t * t / 2), jnp.mean(sines, 0)
      total += weight * (real**2 + imaginary**2)
      if with_gradient:
        gradient += 2 * weight * t * (imaginary * cosines - real * sines)
      cosines, sines = cosines * turn[0] - sines * turn[1], sines * turn[0] + cosines * turn[1]
    return total, gradient

  start = jnp.zeros_like(p[0]), jnp.zeros_like(p) if with_gradient else jnp.zeros((), p.dtype)
  total, gradient = lax.fori_loop(0, (nodes + _TURNS - 1) // _TURNS, add, start)
  return n * total, gradient
