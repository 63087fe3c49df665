"""The energy distance: the MMD of the kernel −|x − y|, which has no bandwidth."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from aejax.distances._arguments import Latents, Scalar, Target, public_jit
from aejax.distances._line import cross_mean_distance, self_mean_distance
from aejax.distances._radial import kummer
from aejax.distances._sharding import AxisName
from aejax.distances.mmd import mean_discrepancy

__all__ = ["energy_distance"]


@public_jit("unbiased", "axis_name")
def energy_distance(
  z: Latents,
  target: Target = None,
  *,
  unbiased: bool = True,
  axis_name: AxisName = None,
) -> Scalar:
  """Squared energy distance between the distribution of `z` and `target`, N(0, I) by default.

  2 E|x − y| − E|x − x′| − E|y − y′|. It is zero if and only if the distributions agree, and has no
  bandwidth to choose. To N(0, I) the two expectations over y are closed forms, so nothing is
  sampled.

  Args:
    z: latents, one a row.
    target: None for N(0, I), or samples [m, d].
    unbiased: leave out the pairs i = i. The estimate is then right on average and may be negative.
    axis_name: name of the mapped axis over which `z` and samples are spread; the value is then
      that of the global batch.

  Raises:
    ValueError: if `unbiased` and there is only one latent, if dimensions differ, or if the target
      has no closed form.

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
    kernel=_NegativeDistance(),
    unbiased=unbiased,
    axis_name=axis_name,
  )


@dataclasses.dataclass(frozen=True)
class _NegativeDistance:
  """k(x, y) = −|x − y|, which is conditionally positive definite, as an MMD requires."""

  def __call__(self, squared_distances: jax.Array, dim: int) -> jax.Array:
    del dim
    # Guard both branches: the slope of the root at 0 is infinite, and the gradient there must be 0.
    coincide = squared_distances <= 0
    return jnp.where(coincide, 0, -jnp.sqrt(jnp.where(coincide, 1, squared_distances)))

  def mean_on_line(self, x: jax.Array, y: jax.Array | None = None, **options: Any) -> jax.Array:
    # In one dimension a rounding error of coinciding rows would give their distance a slope of ±1.
    return -(
      self_mean_distance(x, **options) if y is None else cross_mean_distance(x, y, **options)
    )

  def normal_mean(self, squared_norms: jax.Array, dim: int) -> jax.Array:
    return -_mean_norm(dim) * kummer(-0.5, dim / 2, squared_norms / 2)

  def normal_pair_mean(self, dim: int) -> float:
    return -math.sqrt(2) * _mean_norm(dim)


def _mean_norm(dim: int) -> float:
  """Returns E|y| for y ~ N(0, I)."""
  return math.sqrt(2) * math.exp(math.lgamma((dim + 1) / 2) - math.lgamma(dim / 2))
