"""The energy distance: the MMD of the kernel −|x − y|, which has no bandwidth."""

from aejax.distances._arguments import Latents, Scalar, Target, public_jit
from aejax.distances._distance_kernels import NegativeDistance
from aejax.distances._sharding import AxisName
from aejax.distances.mmd import mean_discrepancy

__all__ = ["energy_distance"]


@public_jit("unbiased", "pairs", "axis_name")
def energy_distance(
  z: Latents,
  target: Target = None,
  *,
  unbiased: bool = True,
  pairs: int | None = None,
  axis_name: AxisName = None,
) -> Scalar:
  """Squared energy distance between the distribution of `z` and `target`, N(0, I) by default.

  2 E|x − y| − E|x − x′| − E|y − y′|. It is zero if and only if the distributions agree, and has no
  bandwidth to choose. To N(0, I) the two expectations over y are closed forms, so nothing is
  sampled.

  Args:
    z: latents, one a row.
    target: None for N(0, I), any prior of `aejax.priors`, or samples [m, d].
    unbiased: leave out the pairs i = i. The estimate is then right on average and may be negative.
    pairs: number of latents that each latent is paired with, or None for all, as in `mmd`. The
      latents must be in random order. In one dimension a sort computes all pairs.
    axis_name: name of the mapped axis over which `z` and samples are spread; the value is then
      that of the global batch.

  Raises:
    ValueError: if `unbiased` and there is only one latent, if dimensions differ, or if the target
      has no closed form or no mean: a `StudentT` with df ≤ 1.

  Example:
    >>> z = jnp.array([[0.0], [2.0]])
    >>> float(energy_distance(z, z, unbiased=False))
    0.0

  Reference: Székely & Rizzo, J. Stat. Plan. Inference 143, 2013, eq. (2); to N(0, I): their
    2005 test of multivariate normality, eq. (2.3).
  """
  return mean_discrepancy(
    "energy_distance",
    z,
    target,
    kernel=NegativeDistance(),
    unbiased=unbiased,
    pairs=pairs,
    axis_name=axis_name,
  )
