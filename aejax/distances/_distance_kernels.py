"""The kernels of the energy and Cramer-Wold distances, which are the MMDs of these kernels."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from aejax.distances._line import cross_mean_distance, self_mean_distance
from aejax.distances._radial import kummer, phi

__all__ = ["NegativeDistance", "Phi", "mean_norm"]


@dataclasses.dataclass(frozen=True)
class NegativeDistance:
  """k(x, y) = −|x − y|, which is conditionally positive definite, as an MMD requires."""

  def __call__(self, squared_distances: jax.Array, dim: int) -> jax.Array:
    """Returns the kernel at squared distances."""
    del dim
    # Guard both branches: the slope of the root at 0 is infinite, and the gradient there must be 0.
    coincide = squared_distances <= 0
    return jnp.where(coincide, 0, -jnp.sqrt(jnp.where(coincide, 1, squared_distances)))

  def mean_on_line(self, x: jax.Array, y: jax.Array | None = None, **options: Any) -> jax.Array:
    """Returns the mean of the kernel over pairs in one dimension, by sorting.

    A rounding error of coinciding rows would give their distance a slope of ±1.
    """
    return -(
      self_mean_distance(x, **options) if y is None else cross_mean_distance(x, y, **options)
    )

  def ball_average(self, squared_radii: jax.Array, dim: int) -> jax.Array:
    """Returns the mean of the kernel over balls around 0."""
    return dim / (dim + 1) * self(squared_radii, dim)

  def normal_mean(self, squared_norms: jax.Array, dim: int) -> jax.Array:
    """Returns E k(x, y) over y ~ N(0, I), a function of |x|²."""
    return -mean_norm(dim) * kummer(-0.5, dim / 2, squared_norms / 2)

  def normal_pair_mean(self, dim: int) -> float:
    """Returns E k(y, y′) over independent y, y′ ~ N(0, I)."""
    return -math.sqrt(2) * mean_norm(dim)


@dataclasses.dataclass(frozen=True)
class Phi:
  """k(x, y) = φ_D(|x − y|² / 4γ), the kernel of the Cramer-Wold distance.

  Attributes:
    gamma: variance of the smoothing, which may be traced.
  """

  gamma: Array

  def __call__(self, squared_distances: jax.Array, dim: int) -> jax.Array:
    """Returns the kernel at squared distances."""
    return phi(squared_distances / (4 * self.gamma), dim)

  def ball_average(self, squared_radii: jax.Array, dim: int) -> jax.Array:
    """Returns the mean of the kernel over balls around 0.

    The uniform distribution in the ball is the projection of that on the sphere in R^(D+2).
    """
    return phi(squared_radii / (4 * self.gamma), dim + 2)


def mean_norm(dim: int) -> float:
  """Returns E|y| for y ~ N(0, I)."""
  return math.sqrt(2) * math.exp(math.lgamma((dim + 1) / 2) - math.lgamma(dim / 2))
