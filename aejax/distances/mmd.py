"""Maximum mean discrepancy: the distance of WAE-MMD."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from aejax.distances._arguments import as_latents, as_samples, no_closed_form, public_jit
from aejax.distances._pairwise import cross_mean, self_mean
from aejax.distances._sharding import all_gather_rows, sharded
from aejax.distances.kernels import Gaussian, Kernel, NormalKernel, imq
from aejax.priors import GaussianMixture, StandardNormal, check_dimension

__all__ = ["mmd"]

Target = Float[Array, "m d"] | StandardNormal | GaussianMixture | None


@public_jit
@functools.partial(jax.jit, static_argnames=("kernel", "unbiased", "axis_name"))
def mmd(
  z: Float[Array, "n d"],
  target: Target = None,
  *,
  kernel: Kernel = imq(),
  unbiased: bool = True,
  axis_name: str | tuple[str, ...] | None = None,
) -> Float[Array, ""]:
  """Squared maximum mean discrepancy between the law of `z` and `target` (N(0, I) by default).

  E k(x, x′) + E k(y, y′) − 2 E k(x, y). To N(0, I) the last two expectations are closed forms, so
  nothing is sampled and the value has the noise of `z` alone.

  Args:
    z: latents, one a row.
    target: None for N(0, I), `priors.GaussianMixture` (Gaussian kernels only), or samples [m, d].
    kernel: `imq()`, `gaussian(bandwidth)`, a sum of such, or any radial kernel of your own (with
      samples).
    unbiased: leave the pairs i = i out, so that the estimate is right on average and may be
      negative. Otherwise it is the squared distance of the samples' own law, never negative.
    axis_name: name of the mapped axis over which `z` and samples are spread; the value is then
      that of the global batch.

  Raises:
    ValueError: if `unbiased` and there is one latent only, if dimensions differ, or if there is
      no closed form for the target.

  Example:
    >>> z = jnp.zeros((8, 2))
    >>> float(mmd(z, z, kernel=gaussian(1.0), unbiased=False))
    0.0

  Reference: Gretton et al., JMLR 13, 2012, eq. (3) and (5); Tolstikhin et al., ICLR 2018, arXiv
    1711.01558, algorithm 2.
  """
  minimum = 2 if unbiased and axis_name is None else 1
  z = all_gather_rows(as_latents(z, minimum=minimum), axis_name)
  dim = z.shape[1]
  if isinstance(target, jax.Array):
    y = all_gather_rows(as_samples(target, z, minimum=minimum), axis_name)

    def to_samples(share, x, y):
      xx, yy = (self_mean(kernel, v, unbiased=unbiased, share=share) for v in (x, y))
      return xx + yy - 2 * cross_mean(kernel, x, y, share=share)

    return sharded(to_samples, z, y, axis_name=axis_name)
  if target is None or isinstance(target, StandardNormal):
    if not isinstance(kernel, NormalKernel):
      raise no_closed_form(f"mmd with kernel {kernel}", StandardNormal(dim))
    if target is not None:
      check_dimension(target, z)
    mean_to, yy = _mean_to_normal, kernel.normal_pair_mean(dim)
  elif isinstance(target, GaussianMixture) and _is_gaussian(kernel):
    check_dimension(target, z)
    mean_to, yy = _mean_to_mixture, _mixture_pairs(kernel, target)
  else:
    raise no_closed_form(f"mmd with kernel {kernel}", target)

  def to_prior(share, z, target):
    xx = self_mean(kernel, z, unbiased=unbiased, share=share)
    return xx - 2 * share.mean(lambda rows: mean_to(kernel, rows, target), z)

  return sharded(to_prior, z, target, axis_name=axis_name) + yy


def _is_gaussian(kernel):
  return all(isinstance(k, Gaussian) for k in getattr(kernel, "terms", (kernel,)))


def _mean_to_normal(kernel, rows, _):
  """E k(x, y) over y ~ N(0, I), for each row x."""
  return kernel.normal_mean(jnp.sum(rows * rows, 1), rows.shape[1])


def _mean_to_mixture(kernel, rows, mixture):
  """E k(x, y) over y from a mixture of isotropic normals, for each row x and a Gaussian kernel."""
  squared_distances = jnp.sum((rows[:, None, :] - mixture.means) ** 2, -1)
  means = kernel.normal_mean(squared_distances, rows.shape[1], variance=mixture.variances)
  return jnp.sum(means * (mixture.weights / jnp.sum(mixture.weights)), 1)


def _mixture_pairs(kernel, mixture):
  """E k(y, y′) over independent y, y′ from the mixture."""
  weights = mixture.weights / jnp.sum(mixture.weights)
  between = jnp.sum((mixture.means[:, None, :] - mixture.means) ** 2, -1)
  variances = mixture.variances[:, None] + mixture.variances
  pairs = kernel.normal_mean(between, mixture.means.shape[1], variance=variances)
  return jnp.sum(weights[:, None] * weights * pairs)
