"""Maximum mean discrepancy: the distance of WAE-MMD."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from aejax.distances.arguments import as_latents, as_samples, gather, no_closed_form
from aejax.distances.kernels import Gaussian, Kernel, NormalKernel, imq
from aejax.distances.pairwise import cross_mean, self_mean
from aejax.priors import GaussianMixture, StandardNormal, check_dimension

__all__ = ["mmd"]

Target = Float[Array, "m d"] | StandardNormal | GaussianMixture | None


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
  z = gather(as_latents(z, minimum=minimum), axis_name)
  dim = z.shape[1]
  xx = self_mean(kernel, z, unbiased=unbiased)
  if target is None or isinstance(target, StandardNormal):
    if not isinstance(kernel, NormalKernel):
      raise no_closed_form(f"mmd with kernel {kernel}", StandardNormal(dim))
    xy = jnp.mean(kernel.normal_mean(jnp.sum(z * z, 1), dim))
    yy = kernel.normal_pair_mean(dim)
  elif isinstance(target, GaussianMixture) and _is_gaussian(kernel):
    xy, yy = _to_mixture(z, target, kernel)
  elif isinstance(target, jax.Array):
    y = gather(as_samples(target, z, minimum=minimum), axis_name)
    xy, yy = cross_mean(kernel, z, y), self_mean(kernel, y, unbiased=unbiased)
  else:
    raise no_closed_form(f"mmd with kernel {kernel}", target)
  return xx + yy - 2 * xy


def _is_gaussian(kernel):
  return all(isinstance(k, Gaussian) for k in getattr(kernel, "terms", (kernel,)))


def _to_mixture(z, mixture, kernel):
  """E k(x, y) and E k(y, y′) for the Gaussian kernel and y from a mixture of isotropic normals."""
  dim = check_dimension(mixture, z)
  weights = mixture.weights / jnp.sum(mixture.weights)
  from_z = jnp.sum((z[:, None, :] - mixture.means) ** 2, -1)
  between = jnp.sum((mixture.means[:, None, :] - mixture.means) ** 2, -1)
  variances = mixture.variances
  xy = jnp.mean(jnp.sum(kernel.normal_mean(from_z, dim, variance=variances) * weights, 1))
  pairs = kernel.normal_mean(between, dim, variance=variances[:, None] + variances)
  return xy, jnp.sum(weights[:, None] * weights * pairs)
