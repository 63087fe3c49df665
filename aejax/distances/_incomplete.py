"""Incomplete U-statistics: means over some of the pairs, for sets too large for all n² of them."""

from jax import lax
from jaxtyping import Array, Float

from aejax.distances._pairwise import RadialKernel, self_mean
from aejax.distances._sharding import SINGLE_DEVICE, Shard

__all__ = ["incomplete_self_mean"]


def incomplete_self_mean(
  kernel: RadialKernel,
  x: Float[Array, "n d"],
  *,
  partners: int,
  shard: Shard = SINGLE_DEVICE,
) -> Float[Array, ""]:
  """Returns the mean of k(|x_i − x_j|²) over pairs i ≠ j within blocks of rows.

  Each row meets the other rows of its block, so time is n · partners · d. The estimate is unbiased
  for independent rows, as rows of a shuffled batch are: rows that are sorted must be permuted
  first. At the prior, the variance of the MMD of this mean is 2 E k̃² / (n · partners) instead of
  2 E k̃² / (n (n − 1)), with k̃ the kernel centred in both arguments.

  Args:
    kernel: radial kernel.
    x: points.
    partners: number of other rows that each row meets; all of them if there are not more.
    shard: this device's part of the work, whole blocks.

  Reference: Blom, Biometrika 63, 1976; Zaremba, Gretton & Blaschko, NeurIPS 2013, for blocks.
  """
  n = len(x)
  block = partners + 1
  if block >= n:
    return self_mean(kernel, x, unbiased=True, shard=shard)

  def mean_of(rows: Float[Array, "b d"]) -> Float[Array, ""]:
    return self_mean(kernel, rows, unbiased=True)

  whole = n // block * block
  blocks = x[:whole].reshape(-1, block, x.shape[1])
  mean = shard.mean(lambda some: lax.map(mean_of, some), blocks)
  if whole == n:
    return mean
  # The rows that are left over meet the last rows of the last block.
  last = mean_of(x[-block:])
  return (whole * mean + (n - whole) * last) / n
