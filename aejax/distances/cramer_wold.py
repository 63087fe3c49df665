"""The Cramer-Wold distance: smoothed squared L² distance of all one-dimensional projections."""

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from aejax.distances._arguments import as_latents, as_samples, no_closed_form, public_jit
from aejax.distances._pairwise import cross_mean, self_mean
from aejax.distances._radial import phi
from aejax.distances._sharding import all_gather_rows, replicated, sharded
from aejax.priors import GaussianMixture, StandardNormal, check_dimension

__all__ = ["cramer_wold", "sigreg"]

# Variance of samples, for the default γ: roundings of float32 near 1 are no smaller.
_LEAST_SPREAD = 1e-12

Target = Float[Array, "m d"] | StandardNormal | GaussianMixture | None


@public_jit
@functools.partial(jax.jit, static_argnames=("unbiased", "approximate", "axis_name"))
def cramer_wold(
  z: Float[Array, "n d"],
  target: Target = None,
  *,
  gamma: float | Float[Array, ""] | None = None,
  unbiased: bool = False,
  approximate: bool = False,
  axis_name: str | tuple[str, ...] | None = None,
) -> Float[Array, ""]:
  """Squared Cramer-Wold distance between the law of `z` and `target` (N(0, I) by default).

  The mean over all directions of the squared L² distance between the two projected densities,
  each smoothed by N(0, γ). The mean over directions is φ_D in closed form: no direction and no
  prior is sampled.

  Args:
    z: latents, one a row.
    target: None for N(0, I), a `priors.GaussianMixture`, or samples [m, d].
    gamma: variance of the smoothing. By default Silverman's rule: (4 / (3n))^(2/5) for the global
      n, and (1.06 σ)² m^(−2/5) with samples, σ their standard deviation, 10⁻⁶ at least.
    unbiased: leave the pairs i = i out, so that the estimate is right on average and may be
      negative. The published distance keeps them.
    approximate: use the published φ_D ≈ (1 + 4s / (2D − 3))^(−1/2). It is no faster, and its error
      puts a floor under the distance that pulls the latents' scale below 1.
    axis_name: name of the mapped axis over which `z` and samples are spread; the value is then
      that of the global batch.

  Raises:
    ValueError: if `unbiased` and there is one latent only, if dimensions differ, if there is no
      closed form for the target, or for `approximate` in one dimension.

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
  if isinstance(target, jax.Array):
    y = all_gather_rows(as_samples(target, z, minimum=minimum), axis_name)
    if gamma is None:
      # Samples that coincide have no spread, and without smoothing there is no distance.
      spread = jnp.maximum(replicated(jnp.var(y), axis_name), _LEAST_SPREAD)
      gamma = 1.06**2 * spread * y.shape[0] ** -0.4
    gamma = jnp.asarray(gamma, z.dtype)
    scale = jax.lax.rsqrt(4 * gamma)

    def to_samples(share, x, y):
      xx, yy = (self_mean(kernel, v, unbiased=unbiased, share=share) for v in (x, y))
      return xx + yy - 2 * cross_mean(kernel, x, y, share=share)

    between = sharded(to_samples, z * scale, y * scale, axis_name=axis_name)
    return between * scale / math.sqrt(math.pi)

  gamma = jnp.asarray((4 / (3 * n)) ** 0.4 if gamma is None else gamma, z.dtype)
  if target is None or isinstance(target, StandardNormal):
    if target is not None:
      check_dimension(target, z)

    def smoothed(rows, gamma, mixture):
      del mixture
      squared_norms = jnp.sum(rows * rows, 1)
      return kernel(squared_norms / (2 + 4 * gamma), dim) * jax.lax.rsqrt(gamma + 0.5)

    yy = jax.lax.rsqrt(1 + gamma)
  elif isinstance(target, GaussianMixture):
    check_dimension(target, z)
    smoothed, yy = _cross_term_with_mixture(kernel), _mixture_pairs(target, gamma, kernel)
  else:
    raise no_closed_form("cramer_wold", target)

  def to_prior(share, z, gamma, target):
    xx = self_mean(kernel, z * jax.lax.rsqrt(4 * gamma), unbiased=unbiased, share=share)
    xy = share.mean(lambda rows: smoothed(rows, gamma, target), z)
    return xx * jax.lax.rsqrt(gamma) - 2 * xy

  to_z = sharded(to_prior, z, gamma, target, axis_name=axis_name)
  return (to_z + yy) / (2 * math.sqrt(math.pi))


@public_jit
@functools.partial(jax.jit, static_argnames=("axis_name",))
def sigreg(
  z: Float[Array, "n d"], *, axis_name: str | tuple[str, ...] | None = None
) -> Float[Array, ""]:
  """SIGReg without slices: the Epps–Pulley statistic, averaged over all directions exactly.

  2πn times the squared Cramer-Wold distance to N(0, I) at γ = 1/2. LeJEPA estimates the same by
  random directions and quadrature over t.

  Args:
    z: latents, one a row.
    axis_name: name of the mapped axis over which `z` is spread; the value is then that of the
      global batch.

  Raises:
    ValueError: if `z` is no floating-point matrix.

  Example:
    >>> bool(sigreg(jnp.zeros((4, 2))) > 0)
    True

  Reference: Balestriero & LeCun, 2025, arXiv 2511.08544, section 4.
  """
  n = as_latents(z).shape[0] * (1 if axis_name is None else jax.lax.axis_size(axis_name))
  return 2 * math.pi * n * cramer_wold(z, gamma=0.5, axis_name=axis_name)


def _cross_term_with_mixture(kernel):
  """The cross term of latents with a mixture Σ p_k N(m_k, α_k I), one number a latent."""

  def smoothed(rows, gamma, mixture):
    squared_distances = jnp.sum((rows[:, None, :] - mixture.means) ** 2, -1)
    weights = mixture.weights / jnp.sum(mixture.weights)
    variances = mixture.variances / 2 + gamma
    return jnp.sum(
      _smoothed_overlap(kernel, squared_distances, variances, rows.shape[1]) * weights, 1
    )

  return smoothed


def _mixture_pairs(mixture, gamma, kernel):
  """The mixture's own term."""
  weights = mixture.weights / jnp.sum(mixture.weights)
  between = jnp.sum((mixture.means[:, None, :] - mixture.means) ** 2, -1)
  variances = (mixture.variances[:, None] + mixture.variances) / 2 + gamma
  bumps = _smoothed_overlap(kernel, between, variances, mixture.means.shape[1])
  return jnp.sum(weights[:, None] * weights * bumps)


def _smoothed_overlap(kernel, squared_distances, variance, dim):
  return kernel(squared_distances / (4 * variance), dim) * jax.lax.rsqrt(variance)


def _phi_asymptotic(s, dim):
  """The published approximation of φ_D (arXiv 1805.09235, remark 3.1)."""
  return jax.lax.rsqrt(1 + 4 * s / (2 * dim - 3))
