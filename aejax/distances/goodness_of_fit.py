"""Tests of normality on slices: the mean over directions of a statistic against N(0, 1).

The statistics grow in proportion to n if the distribution is not normal and stay of order one if it
is; with `normalized=True` they are divided by n. The Kolmogorov–Smirnov distance does not grow: it
shrinks like n^(−1/2) for a normal distribution.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from aejax.distances._arguments import Directions, Latents, Scalar, as_latents, public_jit
from aejax.distances._epps_pulley import epps_pulley_statistic
from aejax.distances._sharding import AxisName, Shard, all_gather_rows, sharded
from aejax.distances._sorting import sort_columns
from aejax.distances.directions import as_directions, by_groups, largest, project

__all__ = ["anderson_darling", "cramer_von_mises", "epps_pulley", "kolmogorov_smirnov"]


def _sliced(
  statistic: Callable[[Array], Array],
  z: Any,
  directions: Any,
  axis_name: AxisName,
  normalized: bool = False,
) -> Scalar:
  """Returns the mean over directions of a statistic of each column of the projections [n, num]."""
  z = all_gather_rows(as_latents(z), axis_name)

  def mean(shard: Shard, z: Array, directions: Array) -> Array:
    def values(some: Array) -> Array:
      return statistic(project(z, some))

    return shard.mean(lambda local: by_groups(values, len(z), local), directions)

  value = sharded(mean, z, as_directions(directions, z), axis_name=axis_name)
  return value / z.shape[0] if normalized else value


@public_jit("normalized", "axis_name")
def epps_pulley(
  z: Latents,
  *,
  directions: Directions,
  normalized: bool = False,
  axis_name: AxisName = None,
) -> Scalar:
  """Mean over directions of the Epps–Pulley statistic n ∫ |φ_n(t) − e^(−t²/2)|² e^(−t²/2) dt.

  Off the prior it grows in proportion to n, and at the prior it is of order one: pass
  `normalized=True` for a weight that means the same at every batch size. φ_n is the empirical
  characteristic function of the projections. The trapezoidal rule is
  exact to rounding if its nodes are dense enough for the spread of the projections, so their
  number depends on the data: about 20 for latents near N(0, I), more for a wider spread. `sigreg`
  is the same statistic over all directions, in closed form. Take second derivatives forward over
  reverse, as `jax.jvp` of `jax.grad`.

  Args:
    z: latents, one a row.
    directions: unit vectors, one a row: `random_directions(key, num, d)`, drawn again each step.
    normalized: divide by the number n of latents of the global batch, so that a weight means the
      same at every n.
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
  return _sliced(epps_pulley_statistic, z, directions, axis_name, normalized)


@public_jit("normalized", "axis_name")
def cramer_von_mises(
  z: Latents,
  *,
  directions: Directions,
  normalized: bool = False,
  axis_name: AxisName = None,
) -> Scalar:
  """Mean over directions of the Cramér–von Mises statistic n ∫ (F_n − Φ)² dΦ.

  Off the prior it grows in proportion to n, and at the prior it is of order one: pass
  `normalized=True` for a weight that means the same at every batch size. Its gradient decays like
  the normal density: it is almost zero for a latent far from the others.

  Args:
    z: latents, one a row.
    directions: unit vectors, one a row.
    normalized: divide by the number n of latents of the global batch, so that a weight means the
      same at every n.
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

  return _sliced(statistic, z, directions, axis_name, normalized)


@public_jit("normalized", "axis_name")
def anderson_darling(
  z: Latents,
  *,
  directions: Directions,
  normalized: bool = False,
  axis_name: AxisName = None,
) -> Scalar:
  """Mean over directions of the Anderson–Darling statistic n ∫ (F_n − Φ)² / (Φ (1 − Φ)) dΦ.

  Off the prior it grows in proportion to n, and at the prior it is of order one: pass
  `normalized=True` for a weight that means the same at every batch size. Its own weight emphasises
  the tails: the gradient grows linearly with the distance of an outlier.

  Args:
    z: latents, one a row.
    directions: unit vectors, one a row.
    normalized: divide by the number n of latents of the global batch, so that a weight means the
      same at every n.
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

  return _sliced(statistic, z, directions, axis_name, normalized)


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
