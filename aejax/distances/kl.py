"""Kullback–Leibler divergence of the VAE's Gaussian posteriors from N(0, I)."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from aejax.distances._arguments import Latents, as_latents, public_jit

__all__ = ["kl_divergence"]


@public_jit()
def kl_divergence(mean: Latents, log_variance: Latents) -> Float[Array, " n"]:
  """KL(N(μ, σ²) ‖ N(0, I)) of each example, in nats.

  −½ Σ_d (1 + log σ² − μ² − σ²). σ² − 1 − log σ² is computed with `expm1`, so the value at the
  prior is exactly 0.

  Args:
    mean: posterior means μ, one a row.
    log_variance: log σ², of the same shape.

  Returns:
    One divergence for each example; their mean is the penalty of the VAE.

  Raises:
    ValueError: if the shapes differ or the arguments are not floating-point matrices.

  Example:
    >>> kl_divergence(jnp.ones((2, 4)), jnp.zeros((2, 4)))
    Array([2., 2.], dtype=float32)

  Reference: Kingma & Welling, ICLR 2014, arXiv 1312.6114, appendix B.
  """
  mean = as_latents(mean, "mean")
  log_variance = as_latents(log_variance, "log_variance")
  if mean.shape != log_variance.shape:
    raise ValueError(
      f"mean and log_variance must have the same shape, but have {list(mean.shape)} and "
      f"{list(log_variance.shape)}."
    )
  return jnp.sum(mean**2 + (jnp.expm1(log_variance) - log_variance), axis=1) / 2
