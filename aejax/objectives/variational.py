"""Objectives whose encoder returns a Gaussian for each image."""

import dataclasses

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
    beta: β, the weight of the divergence; with the squared error, 1 corresponds to a decoder of
      variance 1/2.

  Reference: Kingma & Welling, ICLR 2014, arXiv 1312.6114; β: Higgins et al., ICLR 2017.
  """

  beta: float = 1.0

  @property
  def gaussian_encoder(self) -> bool:
    """True, because the divergence needs a log-variance."""
    return True

  @property
  def penalty_weight(self) -> float:
    """The weight β of the divergence."""
    return self.beta

  def penalty(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Scalar:
    """Returns the mean divergence of the posteriors from N(0, I)."""
    return _mean_divergence(posterior)


@dataclasses.dataclass(frozen=True, kw_only=True)
class InfoVAE(Objective):
  """The information-maximising VAE: (1 − α) KL + (α + λ − 1) MMD.

  The KL divergence pulls each posterior towards the prior, the MMD only the mixture of all
  posteriors. α = 0, λ = 1 is the VAE. α = 1 is the MMD-VAE, which has no KL term.

  Attributes:
    alpha: α, which reduces the weight of the KL divergence to 1 − α.
    weight: λ, which sets the weight of the MMD to α + λ − 1.
    kernel: kernel of the MMD; by default the seven-scale inverse multiquadric.

  Reference: Zhao, Song & Ermon, AAAI 2019, arXiv 1706.02262, eq. (7).
  """

  alpha: float = 0.5
  weight: float = 10.0
  kernel: distances.Kernel = distances.imq()

  def __post_init__(self) -> None:
    super().__post_init__()
    check_kernel(self.kernel)
    _checks.finite("alpha", self.alpha)
    _checks.not_negative("weight", self.weight)
    _checks.not_negative("1 − alpha", 1 - self.alpha)
    _checks.not_negative("alpha + weight − 1", self.alpha + self.weight - 1)

  @property
  def gaussian_encoder(self) -> bool:
    """True, because the divergence needs a log-variance."""
    return True

  @property
  def penalty_weight(self) -> float:
    """One, because the penalty includes both weights."""
    return 1.0

  def penalty(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Scalar:
    """Returns the weighted sum of the mean KL and the MMD of one sample of each posterior."""
    kl = _mean_divergence(posterior)
    latents = self.latents(posterior, key=key, axis_name=axis_name)
    mmd = distances.mmd(latents, kernel=self.kernel, axis_name=axis_name)
    return (1 - self.alpha) * kl + (self.alpha + self.weight - 1) * mmd


def _mean_divergence(posterior: Posterior) -> Scalar:
  """Returns the mean KL divergence of the posteriors from N(0, I)."""
  if posterior.log_variance is None:
    raise ValueError("The KL divergence needs a Gaussian encoder: see networks.build(gaussian=).")
  return jnp.mean(distances.kl_divergence(posterior.mean, posterior.log_variance))
