"""Kullback–Leibler divergence of the VAE's Gaussian posteriors from N(0, I)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from aejax.distances._arguments import as_latents, public_jit

__all__ = ["kl_divergence"]


@public_jit
@jax.jit
def kl_divergence(
  mean: Float[Array, "n d"], log_variance: Float[Array, "n d"]
) -> Float[Array, " n"]:
  """KL(N(μ, σ²) ‖ N(0, I)) of each example, in nats.

  −½ Σ_d (1 + log σ² − μ² − σ²), with σ² − 1 − log σ² from `expm1`: at the prior itself the value
  is 0, not a rounding error.

  Args:
    mean: posterior means μ, one a row.
    log_variance: log σ², of the same shape.

  Returns:
    One divergence an example; their mean is the VAE's penalty.

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
