"""Samplers of latents: the prior, or a density fitted to the training latents.

A fitted density removes the difference that training left between the latents and the prior. It can
improve the samples of any model, and by more than the penalties do.

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
from aejax._extras import require
from aejax._memory import check_fits
from aejax.metrics._chunked import Real, features_in_float64
from aejax.metrics.frechet import Moments, covariance_factor

__all__ = ["BY_NAME", "GaussianSampler", "MixtureSampler", "PriorSampler", "Sampler"]


@runtime_checkable
class Sampler(Protocol):
  """A distribution of latents that is fitted to training latents and then sampled."""

  @classmethod
  def fit(cls, latents: Float[Real, "n d"], *, key: Key[Array, ""]) -> "Sampler":
    """Fits a sampler to training latents."""
    ...

  def sample(self, key: Key[Array, ""], num: int) -> Float[Array, "{num} d"]:
    """Draws `num` independent latents, one a row."""
    ...


@dataclasses.dataclass(frozen=True)
class PriorSampler:
  """The prior N(0, I).

  Attributes:
    dim: dimension of the latents.
  """

  dim: int

  def __post_init__(self):
    _checks.integer("dim", self.dim)

  @classmethod
  def fit(cls, latents: Float[Real, "n d"], *, key: Key[Array, ""] | None = None) -> "PriorSampler":
    """Returns N(0, I) in the dimension of the latents, whose values do not matter.

    Raises:
      ValueError: if `latents` is not a finite floating-point [n, d].
    """
    del key
    return cls(features_in_float64("latents", latents).shape[1])

  def sample(self, key: Key[Array, ""], num: int) -> Float[Array, "{num} d"]:
    """Draws `num` independent latents, one a row."""
    _check_draw(key, num, self.dim)
    return jax.random.normal(key, (num, self.dim))


@dataclasses.dataclass(frozen=True, eq=False)
class GaussianSampler:
  """A Gaussian N(mean, F Fᵀ) with a full covariance.

  Attributes:
    mean: mean of the latents.
    factor: F; the number of columns is the rank of the covariance.
  """

  mean: Float[np.ndarray, " d"]
  factor: Float[np.ndarray, "d r"]

  @classmethod
  def fit(
    cls, latents: Float[Real, "n d"], *, key: Key[Array, ""] | None = None
  ) -> "GaussianSampler":
    """Fits the mean and the unbiased covariance (with n − 1) of the latents; no key is needed.

    Raises:
      ValueError: if `latents` is not a finite floating-point [n, d] with n at least 2.
    """
    del key
    moments = Moments.of(features_in_float64("latents", latents, least=2))
    return cls(moments.mean, covariance_factor(moments.covariance))

  def sample(self, key: Key[Array, ""], num: int) -> Float[Array, "{num} d"]:
    """Draws `num` independent latents, one a row."""
    _check_draw(key, num, len(self.mean))
    noise = jax.random.normal(key, (num, self.factor.shape[1]))
    spread = jnp.matmul(noise, _float32(self.factor).T, precision=lax.Precision.HIGHEST)
    return _float32(self.mean) + spread


@dataclasses.dataclass(frozen=True, eq=False)
class MixtureSampler:
  """A mixture of Gaussians Σ_k weights_k N(means_k, F_k F_kᵀ) with full covariances.

  Attributes:
    weights: probability of each component.
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
    """Fits a mixture by expectation–maximisation, with scikit-learn.

    Args:
      latents: training latents, one a row.
      key: random key of the initial centres.
      components: number of Gaussians; ten in Ghosh et al.

    Raises:
      ValueError: if `latents` is not a finite floating-point [n, d] with at least two rows for each
        component, or `components` is not positive.
      ImportError: if scikit-learn is not installed.
    """
    require("train", "sklearn")
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    _checks.integer("components", components)
    _checks.key("key", key)
    rows = features_in_float64("latents", latents, least=2 * components)
    seed = int(jax.random.bits(key, dtype=jnp.uint32))
    with warnings.catch_warnings():
      # EM does not converge for collapsed latents with fewer clusters than components. The result
      # is still usable, because scikit-learn bounds the variances from below.
      warnings.simplefilter("ignore", ConvergenceWarning)
      mixture = GaussianMixture(components, max_iter=500, random_state=seed).fit(rows)
    weights, means = np.asarray(mixture.weights_), np.asarray(mixture.means_)
    return cls(weights, means, np.linalg.cholesky(np.asarray(mixture.covariances_)))

  def sample(self, key: Key[Array, ""], num: int) -> Float[Array, "{num} d"]:
    """Draws `num` independent latents, one a row."""
    _check_draw(key, num, self.means.size)
    component_key, noise_key = jax.random.split(key)
    k = jax.random.categorical(component_key, jnp.log(_float32(self.weights)), shape=(num,))
    noise = jax.random.normal(noise_key, (num, self.means.shape[1]))
    # Multiply each draw by the factors of all components, in memory num × k × d: gathering one
    # factor for each draw would take num × d × d.
    factors = _float32(self.factors)
    spread = jnp.einsum("kde,ne->knd", factors, noise, precision=lax.Precision.HIGHEST)
    return _float32(self.means)[k] + spread[k, jnp.arange(num)]


BY_NAME: dict[str, type[Sampler]] = {
  "prior": PriorSampler,
  "gaussian": GaussianSampler,
  "mixture": MixtureSampler,
}
"""The samplers by name, as on the command line."""


def _check_draw(key: Any, num: Any, dim: int) -> None:
  _checks.key("key", key)
  check_fits("num", num, 4 * _checks.integer("num", num) * dim)


def _float32(values: np.ndarray) -> Array:
  return jnp.asarray(values, jnp.float32)
