"""Objectives whose encoder gives a Gaussian for each image."""

import dataclasses
from typing import ClassVar

import jax.numpy as jnp

from aejax import _checks, distances
from aejax.autoencoder import Posterior
from aejax.distances.kernels import check_kernel
from aejax.objectives.base import AxisName, Objective, Scalar, check_weight

__all__ = ["VAE", "InfoVAE"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class VAE(Objective):
  """The variational autoencoder: mean KL(N(μ(x), σ²(x)) ‖ N(0, I)), in nats.

  Attributes:
    beta: the weight; with the squared error, 1 stands for a decoder of variance 1/2.

  Reference: Kingma & Welling, ICLR 2014, arXiv 1312.6114; β: Higgins et al., ICLR 2017.
  """

  beta: float = 1.0
  gaussian_encoder: ClassVar[bool] = True

  @property
  def penalty_weight(self) -> float:
    """β."""
    return self.beta

  def penalty(self, posterior: Posterior, *, key, axis_name: AxisName = None) -> Scalar:
    """Mean divergence of the posteriors from N(0, I)."""
    return jnp.mean(distances.kl_divergence(posterior.mean, posterior.log_variance))


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfoVAE(Objective):
  """The information-maximising VAE: (1 − α) KL + (α + λ − 1) MMD.

  The Kullback–Leibler term draws each posterior to the prior; the discrepancy draws only their
  mixture. α = 0, λ = 1 is the VAE, α = 1 the MMD-VAE, which leaves the single posteriors alone.

  Attributes:
    alpha: α, how much of the KL is taken away.
    weight: λ, how much the latents' whole distribution counts.
    kernel: of the MMD; the seven-scale inverse multiquadric by default.

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
    check_weight("weight", self.weight)
    check_weight("1 − alpha", 1 - self.alpha)
    check_weight("alpha + weight − 1", self.alpha + self.weight - 1)

  @property
  def penalty_weight(self) -> float:
    """One: both weights are inside the penalty."""
    return 1.0

  def penalty(self, posterior: Posterior, *, key, axis_name: AxisName = None) -> Scalar:
    """The weighted sum of the mean KL and of the MMD of one draw from each posterior."""
    assert posterior.log_variance is not None
    kl = jnp.mean(distances.kl_divergence(posterior.mean, posterior.log_variance))
    latents = self.latents(posterior, key=key, axis_name=axis_name)
    mmd = distances.mmd(latents, kernel=self.kernel, axis_name=axis_name)
    return (1 - self.alpha) * kl + (self.alpha + self.weight - 1) * mmd
