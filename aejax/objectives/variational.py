"""Objectives with a Gaussian encoder."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Key

from aejax import _checks, distances
from aejax.autoencoder import Posterior
from aejax.distances._sharding import AxisName
from aejax.distances.kernels import check_kernel
from aejax.objectives.base import Objective, Scalar

__all__ = ["VAE", "InfoVAE"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class VAE(Objective):
  """The variational autoencoder: mean KL(N(μ(x), σ²(x)) ‖ N(0, I)), in nats.

  Attributes:
    beta: weight of the divergence; with the squared error, 1 corresponds to a decoder of variance
      1/2.

  Reference: Kingma & Welling, ICLR 2014, arXiv 1312.6114; β: Higgins et al., ICLR 2017.
  """

  beta: float = 1.0
  gaussian_encoder: ClassVar[bool] = True

  @property
  def penalty_weight(self) -> float:
    """The weight β of the divergence."""
    return self.beta

  def penalty(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Scalar:
    """Returns the mean divergence of the posteriors from N(0, I)."""
    assert posterior.log_variance is not None  # __call__ refuses deterministic encoders
    return jnp.mean(distances.kl_divergence(posterior.mean, posterior.log_variance))


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfoVAE(Objective):
  """The information-maximising VAE: (1 − α) KL + (α + λ − 1) MMD.

  The Kullback–Leibler term matches each posterior to the prior, the MMD only their mixture. α = 0,
  λ = 1 is the VAE; α = 1 is the MMD-VAE, which does not constrain single posteriors.

  Attributes:
    alpha: α, the part of the KL divergence that is removed.
    weight: the weight λ of the distribution of all latents.
    kernel: kernel of the MMD; the seven-scale inverse multiquadric by default.

  Reference: Zhao, Song & Ermon, AAAI 2019, arXiv 1706.02262, eq. (7).
  """

  alpha: float = 0.5
  weight: float = 10.0
  kernel: distances.Kernel = distances.imq()
  gaussian_encoder: ClassVar[bool] = True

  def __post_init__(self):
    super().__post_init__()
    check_kernel(self.kernel)
    _checks.finite("alpha", self.alpha)
    _checks.not_negative("weight", self.weight)
    _checks.not_negative("1 − alpha", 1 - self.alpha)
    _checks.not_negative("alpha + weight − 1", self.alpha + self.weight - 1)

  @property
  def penalty_weight(self) -> float:
    """One; the penalty contains both weights."""
    return 1.0

  def penalty(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Scalar:
    """Returns the weighted sum of the mean KL and of the MMD of a draw from each posterior."""
    assert posterior.log_variance is not None  # __call__ refuses deterministic encoders
    kl = jnp.mean(distances.kl_divergence(posterior.mean, posterior.log_variance))
    latents = self.latents(posterior, key=key, axis_name=axis_name)
    mmd = distances.mmd(latents, kernel=self.kernel, axis_name=axis_name)
    return (1 - self.alpha) * kl + (self.alpha + self.weight - 1) * mmd
