"""Distributions with heavier tails than the normal one: Laplace and Student's t."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from aejax import _checks
from aejax.priors._base import KeyArray, Points, as_points, draw_shape, static

__all__ = ["Laplace", "StudentT"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Laplace:
  """Independent coordinates with the Laplace density exp(−|z_i| / scale) / (2 scale).

  Attributes:
    dim: dimension of the space.
    scale: scale of each coordinate, whose variance is 2 scale².
  """

  dim: int = static()
  scale: float = static(default=1.0)

  def __post_init__(self):
    _checks.integer("dim", self.dim)
    _checks.positive("scale", self.scale)

  def sample(self, key: KeyArray, n: int) -> Float[Array, "{n} d"]:
    """Draws `n` independent samples, one a row."""
    return self.scale * jax.random.laplace(key, draw_shape(key, n, self.dim))

  def log_prob(self, z: Points) -> Float[Array, "*n"]:
    """Returns the log density in nats, one value for each row."""
    z = as_points(self, z)
    return -jnp.sum(jnp.abs(z), -1) / self.scale - self.dim * math.log(2 * self.scale)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class StudentT:
  """The multivariate t distribution with location 0 and scale matrix I.

  A draw is a normal vector divided by the root of one χ²_df / df, so its coordinates are
  uncorrelated but not independent.

  Attributes:
    dim: dimension of the space.
    df: degrees of freedom. The mean exists for df > 1, the variance df / (df − 2) for df > 2.
  """

  dim: int = static()
  df: float = static()

  def __post_init__(self):
    _checks.integer("dim", self.dim)
    _checks.positive("df", self.df)

  def sample(self, key: KeyArray, n: int) -> Float[Array, "{n} d"]:
    """Draws `n` independent samples, one a row."""
    n, dim = draw_shape(key, n, self.dim)
    noise, scale = jax.random.split(key)
    # The logarithm does not underflow for few degrees of freedom, as a gamma variate does.
    log_precision = jax.random.loggamma(scale, self.df / 2, (n, 1)) - math.log(self.df / 2)
    return jax.random.normal(noise, (n, dim)) * jnp.exp(-log_precision / 2)

  def log_prob(self, z: Points) -> Float[Array, "*n"]:
    """Returns the log density in nats, one value for each row."""
    z, df, dim = as_points(self, z), self.df, self.dim
    normaliser = (
      math.lgamma(df / 2) - math.lgamma((df + dim) / 2) + dim / 2 * math.log(df * math.pi)
    )
    return -(df + dim) / 2 * jnp.log1p(jnp.sum(z * z, -1) / df) - normaliser
