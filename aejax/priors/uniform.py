"""Uniform distributions: on a sphere, in a ball, in a cube."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from aejax import _checks
from aejax.priors._base import KeyArray, Points, as_points, draw_shape, static

__all__ = ["UniformBall", "UniformCube", "UniformSphere"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class UniformSphere:
  """The uniform distribution on the sphere |z| = radius.

  It has no density in R^d, hence no `log_prob`.

  Attributes:
    dim: dimension of the space.
    radius: radius of the sphere.
  """

  dim: int = static()
  radius: float = static(default=1.0)

  def __post_init__(self):
    _checks.integer("dim", self.dim)
    _checks.positive("radius", self.radius)

  def sample(self, key: KeyArray, n: int) -> Float[Array, "{n} d"]:
    """Draws `n` independent samples, one a row."""
    z = jax.random.normal(key, draw_shape(key, n, self.dim))
    return self.radius * z / jnp.linalg.norm(z, axis=1, keepdims=True)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class UniformBall:
  """The uniform distribution on the ball |z| ≤ radius, by volume.

  Attributes:
    dim: dimension of the space.
    radius: radius of the ball.
  """

  dim: int = static()
  radius: float = static(default=1.0)

  def __post_init__(self):
    _checks.integer("dim", self.dim)
    _checks.positive("radius", self.radius)

  def sample(self, key: KeyArray, n: int) -> Float[Array, "{n} d"]:
    """Draws `n` independent samples, one a row."""
    n, dim = draw_shape(key, n, self.dim)
    direction, distance = jax.random.split(key)
    z = UniformSphere(self.dim, self.radius).sample(direction, n)
    return z * jax.random.uniform(distance, (n, 1)) ** (1 / dim)

  def log_prob(self, z: Points) -> Float[Array, "*n"]:
    """Returns the log density in nats, one value for each row; −∞ outside."""
    z, dim = as_points(self, z), self.dim
    log_volume = (
      dim / 2 * math.log(math.pi) - math.lgamma(dim / 2 + 1) + dim * math.log(self.radius)
    )
    return jnp.where(jnp.sum(z * z, -1) <= self.radius**2, -log_volume, -jnp.inf)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class UniformCube:
  """The uniform distribution on the cube [−half_width, half_width]^dim.

  Attributes:
    dim: dimension of the space.
    half_width: half of the side of the cube.
  """

  dim: int = static()
  half_width: float = static(default=1.0)

  def __post_init__(self):
    _checks.integer("dim", self.dim)
    _checks.positive("half_width", self.half_width)

  def sample(self, key: KeyArray, n: int) -> Float[Array, "{n} d"]:
    """Draws `n` independent samples, one a row."""
    shape = draw_shape(key, n, self.dim)
    return jax.random.uniform(key, shape, minval=-self.half_width, maxval=self.half_width)

  def log_prob(self, z: Points) -> Float[Array, "*n"]:
    """Returns the log density in nats, one value for each row; −∞ outside."""
    z, dim = as_points(self, z), self.dim
    inside = jnp.all(jnp.abs(z) <= self.half_width, -1)
    return jnp.where(inside, -dim * math.log(2 * self.half_width), -jnp.inf)
