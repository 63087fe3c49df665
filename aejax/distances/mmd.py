"""Maximum mean discrepancy: the distance of WAE-MMD."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from aejax.distances._arguments import (
  Latents,
  Scalar,
  Target,
  as_latents,
  as_samples,
  no_closed_form,
  public_jit,
)
from aejax.distances._expectations import has_closed_form, prior_mean, prior_pair_mean
from aejax.distances._kernel_algebra import KernelSum, NormalKernel, describe
from aejax.distances._mixture import mixture_mean, mixture_pair_mean
from aejax.distances._pairwise import cross_mean, self_mean
from aejax.distances._sharding import AxisName, Shard, all_gather_rows, sharded
from aejax.distances.kernels import Gaussian, Kernel, imq
from aejax.priors import GaussianMixture, StandardNormal
from aejax.priors._base import check_dimension

__all__ = ["mean_discrepancy", "mmd"]


@public_jit("kernel", "unbiased", "pairs", "axis_name")
def mmd(
  z: Latents,
  target: Target = None,
  *,
  kernel: Kernel = imq(),
  unbiased: bool = True,
  pairs: int | None = None,
  axis_name: AxisName = None,
) -> Scalar:
  """Squared maximum mean discrepancy between the distribution of `z` and `target`, or N(0, I).

  E k(x, x′) + E k(y, y′) − 2 E k(x, y). To N(0, I) the last two expectations are closed forms, so
  nothing is sampled and only `z` contributes noise.

  Args:
    z: latents, one a row.
    target: None for N(0, I), any prior of `aejax.priors`, or samples [m, d].
    kernel: `imq()`, `gaussian(bandwidth)`, a sum of kernels, or a radial kernel of your own. A
      kernel of your own needs samples as the target, or N(0, I) if it has the two methods of
      `NormalKernel`.
    unbiased: leave out the pairs i = i. The estimate is then right on average and may be negative.
      Otherwise it is the squared distance of the empirical distributions, never negative.
    pairs: number of latents that each latent is paired with, or None for all. Time grows like
      n · pairs · d. The partners are the next latents on a circle, so the latents must be in random
      order: permute sorted ones. The estimate is as unbiased as with all pairs. At the prior its
      variance is E k̃² / (n · pairs) instead of 2 E k̃² / (n (n − 1)), with k̃ the kernel centred in
      both arguments; off the prior the part 4 Var(E k̃) / n of both stays. With m samples, each
      latent of the larger set meets 2 · pairs of the other, and the variance is
      (1/n + 1/m + 2/max(n, m)) E k̃² / pairs.
    axis_name: name of the mapped axis over which `z` and samples are spread; the value is then
      that of the global batch.

  Raises:
    ValueError: if `unbiased` and there is only one latent, if dimensions differ, or if the kernel
      has no closed form for the target.

  Example:
    >>> z = jnp.zeros((8, 2))
    >>> float(mmd(z, z, kernel=gaussian(1.0), unbiased=False))
    0.0

  Reference: Gretton et al., JMLR 13, 2012, eq. (3) and (5); Tolstikhin et al., ICLR 2018, arXiv
    1711.01558, algorithm 2. For some of the pairs: Blom, Biometrika 63, 1976.
  """
  return mean_discrepancy(
    "mmd", z, target, kernel=kernel, unbiased=unbiased, pairs=pairs, axis_name=axis_name
  )


def mean_discrepancy(
  name: str,
  z: Any,
  target: Target,
  *,
  kernel: Kernel,
  unbiased: bool,
  pairs: int | None,
  axis_name: AxisName,
) -> Scalar:
  """Returns the squared MMD of a kernel; errors speak of the distance `name`."""
  minimum = 2 if unbiased and axis_name is None else 1
  z = all_gather_rows(as_latents(z, minimum=minimum), axis_name)
  dim = z.shape[1]
  if isinstance(target, jax.Array | np.ndarray):
    y = all_gather_rows(as_samples(target, z, minimum=minimum), axis_name)

    def to_samples(shard: Shard, x: Array, y: Array) -> Array:
      xx, yy = (self_mean(kernel, v, unbiased=unbiased, pairs=pairs, shard=shard) for v in (x, y))
      return xx + yy - 2 * cross_mean(kernel, x, y, pairs=pairs, shard=shard)

    return sharded(to_samples, z, y, axis_name=axis_name)
  if target is None or isinstance(target, StandardNormal):
    if not isinstance(kernel, NormalKernel):
      raise no_closed_form(f"{name} with kernel {describe(kernel)}", StandardNormal(dim))
    if target is not None:
      check_dimension(target, z)
    mean_to = functools.partial(_mean_to_normal, kernel)
    yy = kernel.normal_pair_mean(dim)
  elif isinstance(target, GaussianMixture) and (terms := _gaussian_terms(kernel)):
    check_dimension(target, z)
    gaussian_mean = functools.partial(_gaussian_mean, terms, dim)
    mean_to = functools.partial(mixture_mean, gaussian_mean)
    yy = mixture_pair_mean(gaussian_mean, target)
  elif has_closed_form(name, kernel, target):
    check_dimension(target, z)
    mean_to = functools.partial(prior_mean, kernel)
    yy = prior_pair_mean(kernel, target, z.dtype)
  else:
    with_kernel = f"{name} with kernel {describe(kernel)}" if name == "mmd" else name
    raise no_closed_form(with_kernel, target)

  def to_prior(shard: Shard, z: Array, target: Any) -> Array:
    xx = self_mean(kernel, z, unbiased=unbiased, pairs=pairs, shard=shard)
    return xx - 2 * shard.mean(lambda rows: mean_to(rows, target), z)

  return sharded(to_prior, z, target, axis_name=axis_name) + yy


def _mean_to_normal(kernel: NormalKernel, rows: Array, _: object) -> Array:
  """Returns E k(x, y) over y ~ N(0, I), for each row x."""
  return kernel.normal_mean(jnp.sum(rows * rows, 1), rows.shape[1])


def _gaussian_terms(kernel: Kernel) -> tuple[Gaussian, ...]:
  """Returns the terms of a Gaussian kernel or a sum of them, or () for another kernel."""
  terms = kernel.terms if isinstance(kernel, KernelSum) else (kernel,)
  gaussians = tuple(term for term in terms if isinstance(term, Gaussian))
  return gaussians if len(gaussians) == len(terms) else ()


def _gaussian_mean(
  terms: tuple[Gaussian, ...], dim: int, squared_norms: Array, variance: Array
) -> Array:
  """Returns E k(x, y) over y ~ N(0, variance I), a function of |x|², for a sum of kernels."""
  means = [term.normal_mean(squared_norms, dim, variance=variance) for term in terms]
  return functools.reduce(jnp.add, means)
