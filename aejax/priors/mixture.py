"""Mixtures of normal distributions."""

import dataclasses
import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from aejax.priors._base import ArrayPrior, KeyArray, Points, as_points, draw_shape, register

__all__ = ["GaussianMixture"]


@register
@dataclasses.dataclass(frozen=True, eq=False, init=False)
class GaussianMixture(ArrayPrior):
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
      self._set(name, given)
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
    shape = n, _ = draw_shape(key, n, self.dim)
    which, noise = jax.random.split(key)
    k = jax.random.categorical(which, jnp.log(self.weights), shape=(n,))
    deviations = jnp.sqrt(self.variances[k])[:, None]
    return self.means[k] + deviations * jax.random.normal(noise, shape)

  def log_prob(self, z: Points) -> Float[Array, "*n"]:
    """Returns the log density in nats, one value for each row."""
    z, dim = as_points(self, z), self.dim
    squares = jnp.sum((z[..., None, :] - self.means) ** 2, -1)
    log_weights = jnp.log(self.weights / jnp.sum(self.weights))
    normalisers = dim / 2 * jnp.log(2 * math.pi * self.variances)
    return jax.nn.logsumexp(log_weights - normalisers - squares / (2 * self.variances), axis=-1)
