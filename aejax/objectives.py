"""The one equation: COST = reconstruction(X, D(E(X))) + λ · d(P_E(X), P_Z).

An objective is a small frozen dataclass that says what d is. Its weight is λ, and means the same
at every batch size and on any number of devices.
"""

import dataclasses
import math
from typing import ClassVar, Literal, get_args

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key

from aejax import distances
from aejax.autoencoder import Autoencoder, Posterior
from aejax.priors import Prior, StandardNormal

__all__ = ["AE", "BY_NAME", "CWAE", "SWAE", "VAE", "WAEMMD", "Objective"]

AxisName = str | tuple[str, ...] | None
Scalar = Float[Array, ""]
Reconstruction = Literal["squared_error", "binary_cross_entropy"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
  """The equation, for subclasses to fill in `penalty`.

  Attributes:
    reconstruction: the squared error, or the binary cross-entropy (for an `Autoencoder` whose
      output is "sigmoid"). Both are summed over pixels and averaged over the batch: a mean over
      pixels would multiply λ by their number.
  """

  reconstruction: Reconstruction = "squared_error"

  gaussian_encoder: ClassVar[bool] = False
  """Whether the encoder must give a mean and a log-variance."""

  def __post_init__(self):
    if self.reconstruction not in get_args(Reconstruction):
      raise ValueError(
        f"reconstruction must be {' or '.join(get_args(Reconstruction))}, but is "
        f"{self.reconstruction!r}."
      )
    if not 0 <= self.penalty_weight < math.inf:
      raise ValueError(
        f"The weight of the penalty must be finite and not negative, but is {self.penalty_weight}."
      )

  @property
  def penalty_weight(self) -> float:
    """λ."""
    return getattr(self, "weight", 0.0)

  def penalty(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Scalar:
    """d(P_E(X), P_Z) of the global batch, to be minimised.

    Args:
      posterior: what the encoder gave for this batch; `posterior.mean` are the latents [n, d] of
        a deterministic encoder.
      key: the same on all devices, another each step.
      axis_name: the mapped axis over which the batch is spread.
    """
    raise NotImplementedError

  def latents(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Float[Array, "n d"]:
    """What is decoded: the encoder's output, or a draw from the Gaussian posterior."""
    if posterior.log_variance is None:
      return posterior.mean
    noise = _own_rows(
      lambda n: jax.random.normal(key, (n, posterior.mean.shape[1])), posterior.mean, axis_name
    )
    return posterior.mean + jnp.exp(posterior.log_variance / 2) * noise

  def __call__(
    self,
    model: Autoencoder,
    images: Float[Array, "n h w c"],
    *,
    key: Key[Array, ""],
    axis_name: AxisName = None,
  ) -> tuple[Scalar, dict[str, Scalar]]:
    """The cost of a batch, and its terms.

    Under a mapped axis, the mean over devices of the value and of its gradient are those of the
    global batch.

    Args:
      model: the autoencoder.
      images: pixels in [0, 1].
      key: the same on all devices, another each step.
      axis_name: the mapped axis over which the batch is spread.

    Returns:
      The cost, and `loss`, `reconstruction_error` (always the squared error), `penalty`.

    Raises:
      ValueError: if the encoder is not of the kind that the objective needs.
    """
    posterior = model.posterior(images)
    if (posterior.log_variance is not None) != self.gaussian_encoder:
      kind = "a Gaussian" if self.gaussian_encoder else "a deterministic"
      raise ValueError(
        f"{type(self).__name__} needs {kind} encoder: see networks.build(gaussian=)."
      )
    noise_key, penalty_key = jax.random.split(key)
    logits = model.logits(self.latents(posterior, key=noise_key, axis_name=axis_name))
    reconstructions = model.activate(logits)
    if reconstructions.shape != images.shape:
      raise ValueError(
        f"The decoder gives images of shape {list(reconstructions.shape)} for a batch of shape "
        f"{list(images.shape)}."
      )
    error = _per_example(jnp.square(images - reconstructions))
    if self.reconstruction == "squared_error":
      reconstruction = error
    elif model.output == "sigmoid":
      # softplus(l) − x l is the cross-entropy of sigmoid(l), finite for every logit.
      reconstruction = _per_example(jax.nn.softplus(logits) - images * logits)
    else:
      raise ValueError('binary_cross_entropy needs an Autoencoder with output="sigmoid".')
    penalty = self.penalty(posterior, key=penalty_key, axis_name=axis_name)
    loss = reconstruction + self.penalty_weight * penalty
    return loss, {"loss": loss, "reconstruction_error": error, "penalty": penalty}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AE(Objective):
  """The plain autoencoder: reconstruction alone."""

  def penalty(self, posterior: Posterior, *, key, axis_name: AxisName = None) -> Scalar:
    """Zero."""
    return jnp.zeros(())


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
class _Matched(Objective):
  """An objective whose penalty is a distance between the latents of a batch and a prior."""

  weight: float = 1.0
  prior: Prior | None = None
  sample_prior: bool = False

  def target(self, latents: Float[Array, "n d"], key: Key[Array, ""], axis_name: AxisName):
    """What the distance compares with: the prior's closed form, or samples if asked for."""
    if not self.sample_prior:
      return self.prior
    prior = StandardNormal(latents.shape[1]) if self.prior is None else self.prior
    return _own_rows(lambda n: jnp.asarray(prior.sample(key, n)), latents, axis_name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WAEMMD(_Matched):
  """The Wasserstein autoencoder with the maximum mean discrepancy.

  Attributes:
    weight: λ.
    kernel: the seven-scale inverse multiquadric of the paper's code by default.
    prior: N(0, I) by default.
    sample_prior: draw as many samples of the prior as there are latents, as the paper does,
      instead of the closed form.

  Reference: Tolstikhin et al., ICLR 2018, arXiv 1711.01558, algorithm 2.
  """

  kernel: distances.Kernel = distances.imq()

  def penalty(self, posterior: Posterior, *, key, axis_name: AxisName = None) -> Scalar:
    """Unbiased squared MMD: it may be negative."""
    z = posterior.mean
    return distances.mmd(z, self.target(z, key, axis_name), kernel=self.kernel, axis_name=axis_name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CWAE(_Matched):
  """The Cramer-Wold autoencoder.

  Attributes:
    weight: λ.
    log: minimise log(d² + 1e-7), as published: the gradient keeps its size as d shrinks.
    approximate: the published approximation of φ_D instead of the exact one.
    prior: N(0, I) by default; a `priors.GaussianMixture` has a closed form too.
    sample_prior: draw as many samples of the prior as there are latents.

  Reference: Knop et al., JMLR 21(164), 2020, arXiv 1805.09235, section 5.
  """

  log: bool = True
  approximate: bool = False

  def penalty(self, posterior: Posterior, *, key, axis_name: AxisName = None) -> Scalar:
    """The squared Cramer-Wold distance, or its logarithm."""
    z = posterior.mean
    distance = distances.cramer_wold(
      z, self.target(z, key, axis_name), approximate=self.approximate, axis_name=axis_name
    )
    return jnp.log(distance + 1e-7) if self.log else distance


@dataclasses.dataclass(frozen=True, kw_only=True)
class SWAE(_Matched):
  """The sliced Wasserstein autoencoder.

  Attributes:
    weight: λ.
    num_directions: slices a step, drawn anew each step.
    prior: N(0, I) by default.
    sample_prior: draw as many samples of the prior as there are latents, as the paper does,
      instead of the exact quantiles.

  Reference: Kolouri et al., 2018, arXiv 1804.01947, algorithm 1.
  """

  num_directions: int = 50

  def __post_init__(self):
    super().__post_init__()
    if not self.num_directions >= 1:
      raise ValueError(f"num_directions must be at least 1, but is {self.num_directions}.")

  def penalty(self, posterior: Posterior, *, key, axis_name: AxisName = None) -> Scalar:
    """The squared sliced Wasserstein distance."""
    z = posterior.mean
    directions_key, prior_key = jax.random.split(key)
    directions = distances.random_directions(directions_key, self.num_directions, z.shape[1])
    return distances.sliced_wasserstein(
      z, self.target(z, prior_key, axis_name), directions=directions, axis_name=axis_name
    )


BY_NAME: dict[str, type[Objective]] = {
  "ae": AE,
  "vae": VAE,
  "wae-mmd": WAEMMD,
  "cwae": CWAE,
  "swae": SWAE,
}
"""The objectives by their names on the command line."""


def _per_example(losses: Float[Array, "n h w c"]) -> Scalar:
  return jnp.mean(jnp.sum(losses.reshape(losses.shape[0], -1), axis=1))


def _own_rows(draw, like: Array, axis_name: AxisName) -> Array:
  """This device's rows of `draw(global n)`, so that randomness does not see the devices."""
  n = like.shape[0]
  if axis_name is None:
    return draw(n)
  everyones = draw(n * lax.axis_size(axis_name))
  return lax.dynamic_slice_in_dim(everyones, lax.axis_index(axis_name) * n, n)
