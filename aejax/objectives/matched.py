"""Objectives whose penalty is a distance between the latents of a batch and a prior."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aejax import _checks, distances
from aejax.autoencoder import Posterior
from aejax.distances._arguments import NoClosedForm
from aejax.distances._sharding import AxisName
from aejax.distances.kernels import check_kernel
from aejax.objectives._rows import local_rows
from aejax.objectives.base import Objective, Scalar
from aejax.priors import Prior, StandardNormal

__all__ = ["CWAE", "SWAE", "WAEMMD", "Energy", "SIGReg", "Sinkhorn"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistanceObjective(Objective):
  """The base class of these objectives.

  Attributes:
    weight: λ, the weight of the distance.
    prior: prior that the latents are matched to; N(0, I) by default.
    sample_prior: whether the target is samples of the prior even where it has a closed form.
  """

  weight: float = 1.0
  prior: Prior | None = None
  sample_prior: bool = False

  def __post_init__(self) -> None:
    super().__post_init__()
    if self.prior is not None:
      _checks.instance("prior", self.prior, Prior, "None or a prior")
    _checks.boolean("sample_prior", self.sample_prior)

  def distance(
    self,
    latents: Float[Array, "n d"],
    target: Prior | Float[Array, "n d"] | None,
    *,
    key: Key[Array, ""],
    axis_name: AxisName = None,
  ) -> Scalar:
    """Returns the distance between latents and a prior, or samples of one."""
    raise NotImplementedError

  def penalty(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Scalar:
    """Returns the distance of the latents to the prior, or to samples of it."""
    z = posterior.mean
    return self.distance(z, self.target(z, key, axis_name), key=key, axis_name=axis_name)

  def target(
    self, latents: Float[Array, "n d"], key: Key[Array, ""], axis_name: AxisName
  ) -> Prior | Float[Array, "n d"] | None:
    """Returns the target: the prior, or samples of it.

    It is samples if `sample_prior` is true, or the distance has no closed form for the prior.
    """
    sampled = self.sample_prior or not self.has_closed_form(latents.shape[1])
    return self.samples(latents, key, axis_name) if sampled else self.prior

  def has_closed_form(self, latent_dim: int) -> bool:
    """Returns whether the distance is computed without samples of the prior.

    Raises:
      ValueError: if the prior has another dimension, or the distance to it is infinite.
    """
    if self.prior is None:
      return True
    if self.prior.dim != latent_dim:
      raise ValueError(
        f"The latents have dimension {latent_dim}, but the prior has {self.prior.dim}."
      )

    def compute(latents):
      return self.distance(latents, self.prior, key=jax.random.key(0))

    try:
      jax.eval_shape(compute, jax.ShapeDtypeStruct((4, latent_dim), jnp.float32))
    except NoClosedForm:
      return False
    return True

  def samples(
    self, latents: Float[Array, "n d"], key: Key[Array, ""], axis_name: AxisName
  ) -> Float[Array, "n d"]:
    """Returns one sample of the prior for each latent."""
    prior = StandardNormal(latents.shape[1]) if self.prior is None else self.prior
    return local_rows(lambda n: jnp.asarray(prior.sample(key, n)), latents, axis_name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WAEMMD(DistanceObjective):
  """The Wasserstein autoencoder with the maximum mean discrepancy.

  Attributes:
    weight: λ, the weight of the distance.
    kernel: kernel of the MMD; by default the seven-scale inverse multiquadric of the paper's code.
    prior: N(0, I) by default.
    sample_prior: whether to draw one sample of the prior for each latent, as the paper does, even
      where the prior has a closed form.

  Reference: Tolstikhin et al., ICLR 2018, arXiv 1711.01558, algorithm 2.
  """

  kernel: distances.Kernel = distances.imq()

  def __post_init__(self) -> None:
    super().__post_init__()
    check_kernel(self.kernel)

  def distance(
    self,
    latents: Float[Array, "n d"],
    target: Prior | Float[Array, "n d"] | None,
    *,
    key: Key[Array, ""],
    axis_name: AxisName = None,
  ) -> Scalar:
    """Returns the unbiased squared MMD, which may be negative."""
    return distances.mmd(latents, target, kernel=self.kernel, axis_name=axis_name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CWAE(DistanceObjective):
  """The Cramer-Wold autoencoder.

  Attributes:
    weight: λ, the weight of the distance.
    log: whether to minimise log(d² + 1e-7), as published; its gradient keeps its size as d shrinks.
    approximate: whether to use the published approximation of φ_D instead of the exact function.
    prior: N(0, I) by default.
    sample_prior: whether to draw one sample of the prior for each latent even where the prior has a
      closed form.

  Reference: Knop et al., JMLR 21(164), 2020, arXiv 1805.09235, section 5.
  """

  log: bool = True
  approximate: bool = False

  def __post_init__(self) -> None:
    super().__post_init__()
    _checks.boolean("log", self.log)
    _checks.boolean("approximate", self.approximate)

  def distance(
    self,
    latents: Float[Array, "n d"],
    target: Prior | Float[Array, "n d"] | None,
    *,
    key: Key[Array, ""],
    axis_name: AxisName = None,
  ) -> Scalar:
    """Returns the squared Cramer-Wold distance."""
    return distances.cramer_wold(latents, target, approximate=self.approximate, axis_name=axis_name)

  def penalty(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Scalar:
    """Returns the squared Cramer-Wold distance, or its logarithm."""
    distance = super().penalty(posterior, key=key, axis_name=axis_name)
    # Rounding can make a distance near zero negative, and its logarithm would be NaN.
    return jnp.log(jnp.maximum(distance, 0.0) + 1e-7) if self.log else distance


@dataclasses.dataclass(frozen=True, kw_only=True)
class SWAE(DistanceObjective):
  """The sliced Wasserstein autoencoder.

  Attributes:
    weight: λ, the weight of the distance.
    num_directions: number of random directions, drawn anew for each step.
    prior: N(0, I) by default.
    sample_prior: whether to draw one sample of the prior for each latent, as the paper does,
      instead of the exact quantiles.

  Reference: Kolouri et al., 2018, arXiv 1804.01947, algorithm 1.
  """

  num_directions: int = 50

  def __post_init__(self) -> None:
    super().__post_init__()
    _checks.integer("num_directions", self.num_directions)

  def distance(
    self,
    latents: Float[Array, "n d"],
    target: Prior | Float[Array, "n d"] | None,
    *,
    key: Key[Array, ""],
    axis_name: AxisName = None,
  ) -> Scalar:
    """Returns the squared sliced Wasserstein distance along random directions."""
    directions = distances.random_directions(key, self.num_directions, latents.shape[1])
    return distances.sliced_wasserstein(latents, target, directions=directions, axis_name=axis_name)

  def penalty(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Scalar:
    """Returns the squared sliced Wasserstein distance."""
    z = posterior.mean
    directions_key, prior_key = jax.random.split(key)
    target = self.target(z, prior_key, axis_name)
    return self.distance(z, target, key=directions_key, axis_name=axis_name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Energy(DistanceObjective):
  """The autoencoder with the energy distance, which has no bandwidth to choose.

  Attributes:
    weight: λ, the weight of the distance.
    prior: N(0, I) by default.
    sample_prior: whether to draw one sample of the prior for each latent even where the prior has a
      closed form.

  Reference: Székely & Rizzo, J. Stat. Plan. Inference 143, 2013; with autoencoders as the
    Radon–Sobolev distance: arXiv 1911.13135.
  """

  def distance(
    self,
    latents: Float[Array, "n d"],
    target: Prior | Float[Array, "n d"] | None,
    *,
    key: Key[Array, ""],
    axis_name: AxisName = None,
  ) -> Scalar:
    """Returns the unbiased squared energy distance, which may be negative."""
    return distances.energy_distance(latents, target, axis_name=axis_name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SIGReg(Objective):
  """The autoencoder with SIGReg, exact over all directions.

  Attributes:
    weight: λ, the weight of the statistic.

  Reference: Balestriero & LeCun, 2025, arXiv 2511.08544.
  """

  weight: float = 1.0

  def penalty(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Scalar:
    """Returns the statistic divided by n; λ would otherwise grow with the batch."""
    z = posterior.mean
    n = z.shape[0] * (1 if axis_name is None else jax.lax.axis_size(axis_name))
    return distances.sigreg(z, axis_name=axis_name) / n


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sinkhorn(DistanceObjective):
  """The Sinkhorn autoencoder, which needs the extra aejax[sinkhorn].

  Attributes:
    weight: λ, the weight of the divergence.
    prior: N(0, I) by default; one sample of it is drawn for each latent.
    epsilon: entropic regularisation, relative to 2 D, the mean cost between two samples of
      N(0, I).

  Reference: Patrini et al., UAI 2019, arXiv 1810.01118.
  """

  sample_prior: bool = dataclasses.field(default=True, init=False)  # no closed form is known
  epsilon: float = 0.05

  def __post_init__(self) -> None:
    super().__post_init__()
    _checks.positive("epsilon", self.epsilon)

  def penalty(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Scalar:
    """Returns the debiased entropic transport cost to samples of the prior."""
    z = posterior.mean
    samples = self.samples(z, key, axis_name)
    epsilon = self.epsilon * 2 * z.shape[1]
    return distances.sinkhorn_divergence(z, samples, epsilon=epsilon, axis_name=axis_name)
