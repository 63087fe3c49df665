"""Normal distributions: the standard one, and one with any mean and covariance."""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from aejax import _checks
from aejax.priors._base import ArrayPrior, KeyArray, Points, as_points, draw_shape, register, static

__all__ = ["Normal", "StandardNormal"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class StandardNormal:
  """N(0, I) in dimension `dim`.

  Attributes:
    dim: dimension of the space.
  """

  dim: int = static()

  def __post_init__(self):
    _checks.integer("dim", self.dim)

  def sample(self, key: KeyArray, n: int) -> Float[Array, "{n} d"]:
    """Draws `n` independent samples, one a row."""
    return jax.random.normal(key, draw_shape(key, n, self.dim))

  def log_prob(self, z: Points) -> Float[Array, "*n"]:
    """Returns the log density in nats, one value for each row."""
    z = as_points(self, z)
    return -(jnp.sum(z * z, -1) + self.dim * math.log(2 * math.pi)) / 2


@register
@dataclasses.dataclass(frozen=True, eq=False, init=False)
class Normal(ArrayPrior):
  """N(mean, covariance).

  Attributes:
    mean: mean, [d].
    covariance: covariance matrix, [d, d]; or the variance of each of d independent coordinates,
      [d]; or one variance for all of them, a scalar.
  """

  mean: Float[Array, " d"]
  covariance: Float[Array, "d d"] | Float[Array, " d"] | Float[Array, ""]

  _leaves: ClassVar = ("mean", "covariance")

  def __init__(
    self,
    mean: Float[Array | np.ndarray, " d"],
    covariance: Float[Array | np.ndarray, "d d"]
    | Float[Array | np.ndarray, " d"]
    | Float[Array | np.ndarray, ""]
    | float,
  ):
    self._set("mean", mean)
    is_number = isinstance(covariance, int | float) and not isinstance(covariance, bool)
    self._set("covariance", np.asarray(covariance) if is_number else covariance)
    self._check()

  def _check(self) -> None:
    shape, d = jnp.shape(self.covariance), jnp.shape(self.mean)
    if len(d) != 1 or 0 in d or shape not in ((), d, d + d):
      raise ValueError(
        "mean must have shape [d] and covariance [d, d], [d] or none, but they have shapes "
        f"{list(d)} and {list(shape)}."
      )
    if not isinstance(self.mean, Tracer) and not np.all(np.isfinite(self.mean)):
      raise ValueError("mean must be finite, but is not.")
    if isinstance(self.covariance, Tracer):
      return
    values = np.asarray(self.covariance, np.float64)
    if not np.all(np.isfinite(values)):
      raise ValueError("covariance must be finite, but is not.")
    if values.ndim == 2 and not np.allclose(values, values.T, rtol=1e-5, atol=1e-6 * values.max()):
      raise ValueError("covariance must be symmetric, but is not.")
    least = np.linalg.eigvalsh(values)[0] if values.ndim == 2 else values.min()
    if not least > 0:
      kind = "eigenvalue" if values.ndim == 2 else "variance"
      raise ValueError(f"covariance must be positive definite, but has the {kind} {least:.6g}.")

  @property
  def dim(self) -> int:
    """Dimension of the space."""
    return self.mean.shape[0]

  def sample(self, key: KeyArray, n: int) -> Float[Array, "{n} d"]:
    """Draws `n` independent samples, one a row."""
    noise = jax.random.normal(key, draw_shape(key, n, self.dim))
    if self.covariance.ndim < 2:
      return self.mean + jnp.sqrt(self.covariance) * noise
    factor = jnp.linalg.cholesky(self.covariance)
    return self.mean + jnp.matmul(noise, factor.T, precision=jax.lax.Precision.HIGHEST)

  def log_prob(self, z: Points) -> Float[Array, "*n"]:
    """Returns the log density in nats, one value for each row."""
    centred = as_points(self, z) - self.mean
    if self.covariance.ndim < 2:
      squares = jnp.sum(centred * centred / self.covariance, -1)
      log_determinant = jnp.sum(jnp.log(jnp.broadcast_to(self.covariance, (self.dim,))))
    else:
      factor = jnp.linalg.cholesky(self.covariance)
      rows = centred.reshape(-1, self.dim)
      whitened = jax.scipy.linalg.solve_triangular(factor, rows.T, lower=True)
      squares = jnp.sum(whitened * whitened, 0).reshape(centred.shape[:-1])
      log_determinant = 2 * jnp.sum(jnp.log(jnp.diagonal(factor)))
    return -(squares + log_determinant + self.dim * math.log(2 * math.pi)) / 2
