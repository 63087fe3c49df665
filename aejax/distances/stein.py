"""The kernel Stein discrepancy from N(0, I), which uses only the score of the prior."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from aejax.distances._arguments import Latents, Scalar, as_latents, public_jit
from aejax.distances._pairwise import self_sum
from aejax.distances._sharding import AxisName, Shard, all_gather_rows, sharded
from aejax.distances.kernels import Kernel, imq

__all__ = ["kernel_stein"]


@public_jit("kernel", "unbiased", "axis_name")
def kernel_stein(
  z: Latents,
  *,
  kernel: Kernel = imq(),
  unbiased: bool = True,
  axis_name: AxisName = None,
) -> Scalar:
  """Squared kernel Stein discrepancy of the distribution of `z` from N(0, I).

  The mean over pairs of s(x)·s(y) k + s(x)·∇_y k + s(y)·∇_x k + tr ∇_x ∇_y k with the score
  s(x) = −x. Under N(0, I) the mean of each such pair is zero, so no expectation over the prior has
  to be computed or sampled.

  Args:
    z: latents, one a row.
    kernel: `imq()`, `gaussian(bandwidth)`, or a radial kernel that is twice differentiable at 0.
    unbiased: leave out the pairs i = i. The estimate is then right on average and may be negative.
    axis_name: name of the mapped axis over which `z` is spread; the value is then that of the
      global batch.

  Raises:
    ValueError: if `unbiased` and there is only one latent.

  Example:
    >>> float(kernel_stein(jnp.zeros((1, 3)), kernel=gaussian(1.0), unbiased=False))
    3.0

  Reference: Liu, Lee & Jordan, ICML 2016, arXiv 1602.03253, theorem 3.6; Chwialkowski et al., ICML
    2016, arXiv 1602.02964.
  """
  z = all_gather_rows(as_latents(z, minimum=2 if unbiased and axis_name is None else 1), axis_name)
  n, dim = z.shape

  def pair(d: Array, r: Array) -> Array:
    # With x·y = (|x|² + |y|² − d) / 2, everything is a function of d and of r = |x|² + |y|².
    k, slope, curvature = _two_derivatives(lambda d: kernel(d, dim), d)
    return (r - d) / 2 * k + 2 * (d - dim) * slope - 4 * d * curvature

  def mean(shard: Shard, z: Array) -> Array:
    squared_norms = jnp.sum(z * z, 1)
    total = self_sum(pair, z, squared_norms, shard=shard)
    if unbiased:
      return total / (n - 1) / n
    with_itself = shard.mean(lambda r: pair(jnp.zeros_like(r), 2 * r), squared_norms)
    return (total / n + with_itself) / n

  return sharded(mean, z, axis_name=axis_name)


def _two_derivatives(function: Callable[[Array], Array], x: Array) -> tuple[Array, Array, Array]:
  """Returns an elementwise function with its first two derivatives."""

  def value_and_slope(x: Array) -> tuple[Array, Array]:
    return jax.jvp(function, (x,), (jnp.ones_like(x),))

  (value, slope), (_, curvature) = jax.jvp(value_and_slope, (x,), (jnp.ones_like(x),))
  return value, slope, curvature
