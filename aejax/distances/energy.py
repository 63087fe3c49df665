"""The energy distance: the MMD of the kernel −|x − y|, free of any bandwidth."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from aejax.distances._arguments import public_jit
from aejax.distances._radial import kummer
from aejax.distances.mmd import mmd
from aejax.priors import StandardNormal

__all__ = ["energy_distance"]

Target = Float[Array, "m d"] | StandardNormal | None


@public_jit
@functools.partial(jax.jit, static_argnames=("unbiased", "axis_name"))
def energy_distance(
  z: Float[Array, "n d"],
  target: Target = None,
  *,
  unbiased: bool = True,
  axis_name: str | tuple[str, ...] | None = None,
) -> Float[Array, ""]:
  """Squared energy distance between the law of `z` and `target` (N(0, I) by default).

  2 E|x − y| − E|x − x′| − E|y − y′|: zero if and only if the laws agree, with no bandwidth to
  choose. To N(0, I) the two expectations over y are closed forms, so nothing is sampled.

  Args:
    z: latents, one a row.
    target: None for N(0, I), or samples [m, d].
    unbiased: leave the pairs i = i out, so that the estimate is right on average and may be
      negative.
    axis_name: name of the mapped axis over which `z` and samples are spread; the value is then
      that of the global batch.

  Raises:
    ValueError: if `unbiased` and there is one latent only, if dimensions differ, or if there is
      no closed form for the target.

  Example:
    >>> z = jnp.array([[0.0], [2.0]])
    >>> float(energy_distance(z, z, unbiased=False))
    0.0

  Reference: Székely & Rizzo, J. Stat. Plan. Inference 143, 2013, eq. (2); to N(0, I): their
    2005 test of multivariate normality, eq. (2.3).
  """
  return mmd(z, target, kernel=_NegativeDistance(), unbiased=unbiased, axis_name=axis_name)


@dataclasses.dataclass(frozen=True)
class _NegativeDistance:
  """k(x, y) = −|x − y|: conditionally positive definite, which is all that an MMD needs."""

  def __call__(self, squared_distances: jax.Array, dim: int) -> jax.Array:
    del dim
    # Both branches guarded: the root's slope at 0 is infinite, the one that counts there is 0.
    coincide = squared_distances <= 0
    return jnp.where(coincide, 0, -jnp.sqrt(jnp.where(coincide, 1, squared_distances)))

  def normal_mean(self, squared_norms: jax.Array, dim: int) -> jax.Array:
    return -_mean_norm(dim) * kummer(-0.5, dim / 2, squared_norms / 2)

  def normal_pair_mean(self, dim: int) -> float:
    return -math.sqrt(2) * _mean_norm(dim)


def _mean_norm(dim: int) -> float:
  """E|y| for y ~ N(0, I)."""
  return math.sqrt(2) * math.exp(math.lgamma((dim + 1) / 2) - math.lgamma(dim / 2))
