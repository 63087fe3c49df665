"""Where new images' latents come from: the prior, or a density fitted to the training latents.

A fitted density mends whatever the training left between the latents and the prior. It can be worth
more than the regularisers themselves, and any model can have it.

Reference: Ghosh et al., ICLR 2020, arXiv 1903.12436, section 4.
"""

import dataclasses
import warnings
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Key

from aejax import _checks
from aejax._memory import check_fits
from aejax.metrics._chunked import features_in_float64
from aejax.metrics.frechet import Moments, covariance_factor

__all__ = ["BY_NAME", "GaussianSampler", "MixtureSampler", "PriorSampler", "Sampler"]

Real = np.ndarray | Array


@runtime_checkable
class Sampler(Protocol):
  """Draws latents to decode."""

  @classmethod
  def fit(cls, latents: Float[Real, "n d"], *, key: Key[Array, ""]) -> "Sampler":
    """The sampler of these training latents."""
    ...

  def sample(self, key: Key[Array, ""], num: int) -> Float[Array, "{num} d"]:
    """`num` independent latents, one a row."""
    ...


@dataclasses.dataclass(frozen=True)
class PriorSampler:
  """N(0, I), as the objective asked for.

  Attributes:
    dim: of the latents.
  """

  dim: int

  def __post_init__(self):
    _checks.integer("dim", self.dim)

  @classmethod
  def fit(cls, latents: Float[Real, "n d"], *, key: Key[Array, ""] | None = None) -> "PriorSampler":
    """N(0, I) in the dimension of the latents; nothing else is taken from them.

    Raises:
      ValueError: if `latents` is not a finite floating-point [n, d].
    """
    del key
    return cls(features_in_float64("latents", latents).shape[1])

  def sample(self, key: Key[Array, ""], num: int) -> Float[Array, "{num} d"]:
    """`num` independent latents, one a row."""
    _check_draw(key, num, self.dim)
    return jax.random.normal(key, (num, self.dim))


@dataclasses.dataclass(frozen=True, eq=False)
class GaussianSampler:
  """A Gaussian N(mean, F Fᵀ) with a full covariance.

  Attributes:
    mean: of the latents.
    factor: F, with a column for each dimension that the latents really have.
  """

  mean: Float[np.ndarray, " d"]
  factor: Float[np.ndarray, "d r"]

  @classmethod
  def fit(
    cls, latents: Float[Real, "n d"], *, key: Key[Array, ""] | None = None
  ) -> "GaussianSampler":
    """The mean of the latents, and their covariance with n − 1; nothing is random.

    Raises:
      ValueError: if `latents` is not a finite floating-point [n, d] with n at least 2.
    """
    del key
    moments = Moments.of(features_in_float64("latents", latents, least=2))
    return cls(moments.mean, covariance_factor(moments.covariance))

  def sample(self, key: Key[Array, ""], num: int) -> Float[Array, "{num} d"]:
    """`num` independent latents, one a row."""
    _check_draw(key, num, len(self.mean))
    noise = jax.random.normal(key, (num, self.factor.shape[1]))
    spread = jnp.matmul(noise, _float32(self.factor).T, precision=lax.Precision.HIGHEST)
    return _float32(self.mean) + spread


@dataclasses.dataclass(frozen=True, eq=False)
class MixtureSampler:
  """A mixture of Gaussians Σ_k weights_k N(means_k, F_k F_kᵀ) with full covariances.

  Attributes:
    weights: which sum to one.
    means: one a row.
    factors: F_k, one for each component.
  """

  weights: Float[np.ndarray, " k"]
  means: Float[np.ndarray, "k d"]
  factors: Float[np.ndarray, "k d d"]

  @classmethod
  def fit(
    cls, latents: Float[Real, "n d"], *, key: Key[Array, ""], components: int = 10
  ) -> "MixtureSampler":
    """A mixture fitted by expectation–maximisation, with scikit-learn.

    Args:
      latents: training latents, one a row.
      key: of the initial centres.
      components: how many Gaussians; the ten of Ghosh et al.

    Raises:
      ValueError: if `latents` is not a finite floating-point [n, d] with two rows at least for each
        component, or `components` is not positive.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    _checks.integer("components", components)
    _checks.key("key", key)
    rows = features_in_float64("latents", latents, least=2 * components)
    seed = int(jax.random.bits(key, dtype=jnp.uint32))
    with warnings.catch_warnings():
      # Collapsed latents have fewer clusters than components: the covariances' floor serves them.
      warnings.simplefilter("ignore", ConvergenceWarning)
      mixture = GaussianMixture(components, max_iter=500, random_state=seed).fit(rows)
    weights, means = np.asarray(mixture.weights_), np.asarray(mixture.means_)
    return cls(weights, means, np.linalg.cholesky(np.asarray(mixture.covariances_)))

  def sample(self, key: Key[Array, ""], num: int) -> Float[Array, "{num} d"]:
    """`num` independent latents, one a row."""
    _check_draw(key, num, self.means.size)
    which, noise = jax.random.split(key)
    k = jax.random.categorical(which, jnp.log(_float32(self.weights)), shape=(num,))
    noise = jax.random.normal(noise, (num, self.means.shape[1]))
    # Every component's factor on every draw: gathering one each would take num × d × d.
    factors = _float32(self.factors)
    spread = jnp.einsum("kde,ne->knd", factors, noise, precision=lax.Precision.HIGHEST)
    return _float32(self.means)[k] + spread[k, jnp.arange(num)]


BY_NAME: dict[str, type[Sampler]] = {
  "prior": PriorSampler,
  "gaussian": GaussianSampler,
  "mixture": MixtureSampler,
}
"""The samplers by their names on the command line."""


def _check_draw(key: Any, num: Any, dim: int) -> None:
  _checks.key("key", key)
  check_fits("num", num, 4 * _checks.integer("num", num) * dim)


def _float32(values: np.ndarray) -> Array:
  return jnp.asarray(values, jnp.float32)
