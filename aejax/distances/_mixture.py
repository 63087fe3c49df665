"""Expectations of radial functions under a Gaussian mixture.

A radial function here is `function(squared_distance, variance)`, elementwise: an expectation under
one normal component with this variance.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from aejax.priors import GaussianMixture

__all__ = ["mixture_mean", "mixture_pair_mean"]

RadialMean = Callable[[Array, Array], Array]


def mixture_mean(
  function: RadialMean, rows: Float[Array, "n d"], mixture: GaussianMixture
) -> Float[Array, " n"]:
  """Returns Σ_k w_k f(|x − m_k|², v_k) for each row x."""
  squared_distances = jnp.sum((rows[:, None, :] - mixture.means) ** 2, -1)
  return jnp.sum(function(squared_distances, mixture.variances) * _weights(mixture), 1)


def mixture_pair_mean(function: RadialMean, mixture: GaussianMixture) -> Float[Array, ""]:
  """Returns Σ_kl w_k w_l f(|m_k − m_l|², v_k + v_l), for two independent draws."""
  weights = _weights(mixture)
  squared_distances = jnp.sum((mixture.means[:, None, :] - mixture.means) ** 2, -1)
  variances = mixture.variances[:, None] + mixture.variances
  return jnp.sum(weights[:, None] * weights * function(squared_distances, variances))


def _weights(mixture: GaussianMixture) -> Float[Array, " k"]:
  return mixture.weights / jnp.sum(mixture.weights)
