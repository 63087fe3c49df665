"""The Cramer-Wold distance: the smoothed squared L² distance of all projections to a line."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from aejax.distances._arguments import (
  Latents,
  Scalar,
  ScalarLike,
  Target,
  as_latents,
  as_samples,
  no_closed_form,
  public_jit,
)
from aejax.distances._distance_kernels import Phi
from aejax.distances._expectations import has_closed_form, prior_mean, prior_pair_mean
from aejax.distances._mixture import mixture_mean, mixture_pair_mean
from aejax.distances._pairwise import cross_mean, self_mean
from aejax.distances._radial import phi
from aejax.distances._sharding import AxisName, Shard, all_gather_rows, replicated, sharded
from aejax.priors import GaussianMixture, StandardNormal
from aejax.priors._base import check_dimension

__all__ = ["cramer_wold", "sigreg"]

# Least variance of samples in the default γ: the square of float32's rounding errors near 1.
_MIN_SPREAD = 1e-12

RadialFunction = Callable[[Array, int], Array]


@public_jit("unbiased", "approximate", "pairs", "axis_name")
def cramer_wold(
  z: Latents,
  target: Target = None,
  *,
  gamma: ScalarLike | None = None,
  unbiased: bool = False,
  approximate: bool = False,
  pairs: int | None = None,
  axis_name: AxisName = None,
) -> Scalar:
  """Squared Cramer-Wold distance between the distribution of `z` and `target`, N(0, I) by default.

  The mean over all directions of the squared L² distance between the two projected densities,
  each smoothed by N(0, γ). The mean over directions has a closed form, φ_D, so neither directions
  nor the prior are sampled.

  Args:
    z: latents, one a row.
    target: None for N(0, I), any prior of `aejax.priors`, or samples [m, d].
    gamma: variance of the smoothing. By default Silverman's rule: (4 / (3n))^(2/5) for the global
      n, and (1.06 σ)² m^(−2/5) with samples, σ their standard deviation, 10⁻⁶ at least.
    unbiased: leave out the pairs i = i. The estimate is then right on average and may be negative.
      The published distance keeps these pairs.
    approximate: use the published φ_D ≈ (1 + 4s / (2D − 3))^(−1/2). It is not faster, and its
      error keeps the distance above zero and pulls the scale of the latents below 1.
    pairs: number of latents that each latent is paired with, or None for all, as in `mmd`. The
      latents must be in random order. The value may then be negative.
    axis_name: name of the mapped axis over which `z` and samples are spread; the value is then
      that of the global batch.

  Raises:
    ValueError: if `unbiased` and there is only one latent, if dimensions differ, if the target has
      no closed form, or for `approximate` in one dimension. With `approximate` only N(0, I) and a
      `GaussianMixture` have one.

  Example:
    >>> float(cramer_wold(jnp.zeros((4, 2)))) > float(cramer_wold(jnp.eye(2)))
    True

  Reference: Knop et al., JMLR 21(164), 2020, arXiv 1805.09235, theorem 3.2 and eq. (11).
  """
  minimum = 2 if unbiased and axis_name is None else 1
  z = all_gather_rows(as_latents(z, minimum=minimum), axis_name)
  n, dim = z.shape
  if approximate and dim == 1:
    raise ValueError("approximate needs latents of dimension 2 or more, but z has dimension 1.")
  kernel = _phi_asymptotic if approximate else phi
  if isinstance(target, jax.Array | np.ndarray):
    y = all_gather_rows(as_samples(target, z, minimum=minimum), axis_name)
    if gamma is None:
      # Samples that coincide have variance 0; without smoothing the distance is not defined.
      spread = jnp.maximum(replicated(jnp.var(y), axis_name), _MIN_SPREAD)
      gamma = 1.06**2 * spread * y.shape[0] ** -0.4
    gamma = jnp.asarray(gamma, z.dtype)
    scale = jax.lax.rsqrt(4 * gamma)

    def to_samples(shard: Shard, x: Array, y: Array) -> Array:
      xx, yy = (self_mean(kernel, v, unbiased=unbiased, pairs=pairs, shard=shard) for v in (x, y))
      return xx + yy - 2 * cross_mean(kernel, x, y, pairs=pairs, shard=shard)

    between = sharded(to_samples, z * scale, y * scale, axis_name=axis_name)
    return between * scale / math.sqrt(math.pi)

  gamma = jnp.asarray((4 / (3 * n)) ** 0.4 if gamma is None else gamma, z.dtype)
  if target is None or isinstance(target, StandardNormal):
    if target is not None:
      check_dimension(target, z)

    smoothed = functools.partial(_mean_to_normal, kernel)
    yy = jax.lax.rsqrt(1 + gamma)
  elif isinstance(target, GaussianMixture):
    check_dimension(target, z)
    smoothed = functools.partial(_mean_to_mixture, kernel)
    yy = mixture_pair_mean(functools.partial(_smoothed_overlap, kernel, dim, gamma), target)
  elif not approximate and has_closed_form("cramer_wold", Phi(gamma), target):
    check_dimension(target, z)
    smoothed = _mean_to_prior
    yy = prior_pair_mean(Phi(gamma), target, z.dtype) * jax.lax.rsqrt(gamma)
  else:
    raise no_closed_form(
      "cramer_wold with approximate=True" if approximate else "cramer_wold", target
    )

  def to_prior(shard: Shard, z: Array, gamma: Array, target: Any) -> Array:
    scaled = z * jax.lax.rsqrt(4 * gamma)
    xx = self_mean(kernel, scaled, unbiased=unbiased, pairs=pairs, shard=shard)
    xy = shard.mean(lambda rows: smoothed(rows, gamma, target), z)
    return xx * jax.lax.rsqrt(gamma) - 2 * xy

  to_z = sharded(to_prior, z, gamma, target, axis_name=axis_name)
  return (to_z + yy) / (2 * math.sqrt(math.pi))


@public_jit("normalized", "pairs", "axis_name")
def sigreg(
  z: Latents,
  *,
  normalized: bool = False,
  pairs: int | None = None,
  axis_name: AxisName = None,
) -> Scalar:
  """SIGReg without slices: the Epps–Pulley statistic, averaged exactly over all directions.

  2πn times the squared Cramer-Wold distance to N(0, I) at γ = 1/2. Off the prior it grows in
  proportion to n, and at the prior it is of order one: pass `normalized=True` for a weight that
  means the same at every batch size. LeJEPA estimates the same
  quantity with random directions and a quadrature over t.

  Args:
    z: latents, one a row.
    normalized: leave out the factor n, the number of latents of the global batch.
    pairs: number of latents that each latent is paired with, or None for all, as in `mmd`. The
      latents must be in random order. The value may then be negative.
    axis_name: name of the mapped axis over which `z` is spread; the value is then that of the
      global batch.

  Raises:
    ValueError: if `z` is not a floating-point matrix.

  Example:
    >>> bool(sigreg(jnp.zeros((4, 2))) > 0)
    True

  Reference: Balestriero & LeCun, 2025, arXiv 2511.08544, section 4.
  """
  n = as_latents(z).shape[0] * (1 if axis_name is None else jax.lax.axis_size(axis_name))
  factor = 1 if normalized else n
  return 2 * math.pi * factor * cramer_wold(z, gamma=0.5, pairs=pairs, axis_name=axis_name)


def _mean_to_normal(kernel: RadialFunction, rows: Array, gamma: Array, _: object) -> Array:
  """Returns the overlap of each smoothed row with N(0, (1 + γ) I), without 1 / (2√π)."""
  squared_norms = jnp.sum(rows * rows, 1)
  dim = rows.shape[1]
  return kernel(squared_norms / (2 + 4 * gamma), dim) * jax.lax.rsqrt(gamma + 0.5)


def _mean_to_mixture(
  kernel: RadialFunction, rows: Array, gamma: Array, mixture: GaussianMixture
) -> Array:
  """Returns the overlap of each smoothed row with a smoothed mixture."""
  overlap = functools.partial(_smoothed_overlap, kernel, rows.shape[1], gamma)
  return mixture_mean(overlap, rows, mixture)


def _mean_to_prior(rows: Array, gamma: Array, prior: Any) -> Array:
  """Returns the overlap of each smoothed row with another smoothed prior."""
  return prior_mean(Phi(gamma), rows, prior) * jax.lax.rsqrt(gamma)


def _smoothed_overlap(
  kernel: RadialFunction, dim: int, gamma: Array, squared_distance: Array, variance: Array
) -> Array:
  """Returns the overlap of two smoothed points, the variance of one or both added to γ."""
  smoothed = variance / 2 + gamma
  return kernel(squared_distance / (4 * smoothed), dim) * jax.lax.rsqrt(smoothed)


def _phi_asymptotic(s: Array, dim: int) -> Array:
  """Returns the published approximation of φ_D (arXiv 1805.09235, remark 3.1)."""
  return jax.lax.rsqrt(1 + 4 * s / (2 * dim - 3))
