"""Priors: the distributions that latents are matched to. Each is a pytree with `sample`.

The distances to a prior are in `aejax.distances`; the classes here only describe distributions.
"""

import dataclasses
import functools
import math
from collections.abc import Iterable
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Key, UInt32

from aejax import _checks
from aejax._memory import check_fits

__all__ = [
  "GaussianMixture",
  "Prior",
  "StandardNormal",
  "UniformBall",
  "UniformCube",
  "UniformSphere",
]

KeyArray = Key[Array, ""] | UInt32[Array, " words"]
"""A `jax.random.key`, or a key of the old kind."""

Points = Float[Array | np.ndarray, "*n d"]

_static = functools.partial(dataclasses.field, metadata={"static": True})


@runtime_checkable
class Prior(Protocol):
  """A prior: any object with a dimension and a method that samples."""

  @property
  def dim(self) -> int:
    """Dimension of the space."""
    ...

  def sample(self, key: KeyArray, n: int) -> Float[Array, "{n} d"]:
    """Draws `n` independent samples, one a row."""
    ...


def check_dimension(prior: Prior, z: Points) -> int:
  """Returns the prior's dimension.

  Raises:
    ValueError: if the rows of `z` have another dimension.
  """
  if z.shape[-1] != prior.dim:
    raise ValueError(f"z has dimension {z.shape[-1]}, but the prior has dimension {prior.dim}.")
  return prior.dim


def _draw_shape(key: Any, n: Any, dim: int) -> tuple[int, int]:
  """Checks the arguments of a draw and returns its shape."""
  _checks.key("key", key)
  n = _checks.integer("n", n, least=0)
  check_fits("n", n, 4 * n * dim)
  return n, dim


def _points(prior: Prior, z: Any) -> Points:
  """Returns points whose last axis has the dimension of the prior."""
  z = _checks.array("z", z)
  if not z.ndim:
    raise ValueError("z must have a last axis, but is a single number.")
  check_dimension(prior, z)
  return z


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class StandardNormal:
  """N(0, I) in dimension `dim`.

  Attributes:
    dim: dimension of the space.
  """

  dim: int = _static()

  def __post_init__(self):
    _checks.integer("dim", self.dim)

  def sample(self, key: KeyArray, n: int) -> Float[Array, "{n} d"]:
    """Draws `n` independent samples, one a row."""
    return jax.random.normal(key, _draw_shape(key, n, self.dim))

  def log_prob(self, z: Points) -> Float[Array, "*n"]:
    """Returns the log density in nats, one value for each row."""
    z = _points(self, z)
    return -(jnp.sum(z * z, -1) + self.dim * math.log(2 * math.pi)) / 2


@dataclasses.dataclass(frozen=True, eq=False, init=False)
class GaussianMixture:
  """Σ_k weights_k N(means_k, variances_k I); the weights are normalised to sum to one.

  Attributes:
    weights: weights of the components, [k].
    means: means of the components, [k, d].
    variances: variances of the components, [k].
  """

  weights: Float[Array, " k"]
  means: Float[Array, "k d"]
  variances: Float[Array, " k"]

  _leaves: ClassVar = ("weights", "means", "variances")

  def __init__(
    self,
    weights: Float[Array | np.ndarray, " k"],
    means: Float[Array | np.ndarray, "k d"],
    variances: Float[Array | np.ndarray, " k"],
  ):
    for name, given in zip(self._leaves, (weights, means, variances), strict=True):
      values = jnp.asarray(_checks.array(name, given))
      values = values.astype(jnp.promote_types(values.dtype, jnp.float32))
      object.__setattr__(self, name, values)
    self._check()

  def _check(self) -> None:
    shapes = [jnp.shape(getattr(self, name)) for name in self._leaves]
    k = shapes[1][0] if len(shapes[1]) == 2 else None
    if k is None or shapes[0] != (k,) or shapes[2] != (k,) or 0 in shapes[1]:
      raise ValueError(
        f"weights, means and variances must have shapes [k], [k, d] and [k], but have "
        f"{', '.join(str(list(s)) for s in shapes)}."
      )
    for name, wanted, fits in (
      ("weights", "finite and not negative", lambda v: v >= 0),
      ("means", "finite", lambda v: v == v),
      ("variances", "finite and positive", lambda v: v > 0),
    ):
      values = getattr(self, name)
      if isinstance(values, Tracer):
        continue
      values = np.asarray(values)
      bad = values[~(fits(values) & np.isfinite(values))]
      if bad.size:
        raise ValueError(f"{name} must be {wanted}, but one is {bad[0]}.")
    if not isinstance(self.weights, Tracer) and not np.any(self.weights):
      raise ValueError("weights must not all be zero.")

  @property
  def dim(self) -> int:
    """Dimension of the space."""
    return self.means.shape[1]

  def sample(self, key: KeyArray, n: int) -> Float[Array, "{n} d"]:
    """Draws `n` independent samples, one a row."""
    shape = n, _ = _draw_shape(key, n, self.dim)
    which, noise = jax.random.split(key)
    k = jax.random.categorical(which, jnp.log(self.weights), shape=(n,))
    deviations = jnp.sqrt(self.variances[k])[:, None]
    return self.means[k] + deviations * jax.random.normal(noise, shape)

  def log_prob(self, z: Points) -> Float[Array, "*n"]:
    """Returns the log density in nats, one value for each row."""
    z, dim = _points(self, z), self.dim
    squares = jnp.sum((z[..., None, :] - self.means) ** 2, -1)
    log_weights = jnp.log(self.weights / jnp.sum(self.weights))
    normalisers = dim / 2 * jnp.log(2 * math.pi * self.variances)
    return jax.nn.logsumexp(log_weights - normalisers - squares / (2 * self.variances), axis=-1)


def _unflatten(_, leaves: Iterable[Any]) -> GaussianMixture:
  """Rebuilds a mixture without checks: vmap and grad fill it with batches and derivatives."""
  mixture = object.__new__(GaussianMixture)
  mixture.__dict__.update(zip(GaussianMixture._leaves, leaves, strict=True))
  return mixture


jax.tree_util.register_pytree_with_keys(
  GaussianMixture,
  lambda m: ([(jax.tree_util.GetAttrKey(k), getattr(m, k)) for k in m._leaves], None),
  _unflatten,
)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class UniformSphere:
  """The uniform distribution on the sphere |z| = radius.

  It has no density in R^d, hence no `log_prob`.

  Attributes:
    dim: dimension of the space.
    radius: radius of the sphere.
  """

  dim: int = _static()
  radius: float = _static(default=1.0)

  def __post_init__(self):
    _checks.integer("dim", self.dim)
    _checks.positive("radius", self.radius)

  def sample(self, key: KeyArray, n: int) -> Float[Array, "{n} d"]:
    """Draws `n` independent samples, one a row."""
    z = jax.random.normal(key, _draw_shape(key, n, self.dim))
    return self.radius * z / jnp.linalg.norm(z, axis=1, keepdims=True)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class UniformBall:
  """The uniform distribution on the ball |z| ≤ radius, by volume.

  Attributes:
    dim: dimension of the space.
    radius: radius of the ball.
  """

  dim: int = _static()
  radius: float = _static(default=1.0)

  def __post_init__(self):
    _checks.integer("dim", self.dim)
    _checks.positive("radius", self.radius)

  def sample(self, key: KeyArray, n: int) -> Float[Array, "{n} d"]:
    """Draws `n` independent samples, one a row."""
    n, dim = _draw_shape(key, n, self.dim)
    direction, distance = jax.random.split(key)
    z = UniformSphere(self.dim, self.radius).sample(direction, n)
    return z * jax.random.uniform(distance, (n, 1)) ** (1 / dim)

  def log_prob(self, z: Points) -> Float[Array, "*n"]:
    """Returns the log density in nats, one value for each row; −∞ outside."""
    z, dim = _points(self, z), self.dim
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

  dim: int = _static()
  half_width: float = _static(default=1.0)

  def __post_init__(self):
    _checks.integer("dim", self.dim)
    _checks.positive("half_width", self.half_width)

  def sample(self, key: KeyArray, n: int) -> Float[Array, "{n} d"]:
    """Draws `n` independent samples, one a row."""
    shape = _draw_shape(key, n, self.dim)
    return jax.random.uniform(key, shape, minval=-self.half_width, maxval=self.half_width)

  def log_prob(self, z: Points) -> Float[Array, "*n"]:
    """Returns the log density in nats, one value for each row; −∞ outside."""
    z, dim = _points(self, z), self.dim
    inside = jnp.all(jnp.abs(z) <= self.half_width, -1)
    return jnp.where(inside, -dim * math.log(2 * self.half_width), -jnp.inf)
