"""The base class of objectives, the plain autoencoder, and sums of objectives."""

import dataclasses
import functools
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aejax import _checks
from aejax.autoencoder import Autoencoder, Posterior
from aejax.distances._sharding import AxisName
from aejax.objectives._rows import local_rows, microbatched
from aejax.priors import Prior, StandardNormal, same_prior

__all__ = ["AE", "Combined", "Objective", "Scalar"]

Scalar = Float[Array, ""]
Reconstruction = Literal["squared_error", "binary_cross_entropy"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
  """The base class of objectives; a subclass defines `penalty`.

  Attributes:
    reconstruction: the squared error, or the binary cross-entropy (for an `Autoencoder` whose
      output is "sigmoid"). Both are summed over pixels and averaged over the batch. A mean over
      pixels would multiply λ by the number of pixels.
  """

  reconstruction: Reconstruction = "squared_error"

  def __post_init__(self) -> None:
    if self.reconstruction not in get_args(Reconstruction):
      raise ValueError(
        f"reconstruction must be {' or '.join(get_args(Reconstruction))}, but is "
        f"{_checks.short_repr(self.reconstruction)}."
      )
    _checks.not_negative("The weight of the penalty", self.penalty_weight)

  @property
  def gaussian_encoder(self) -> bool:
    """Whether the encoder must return a mean and a log-variance."""
    return False

  @property
  def penalty_weight(self) -> float:
    """The weight λ of the penalty."""
    return getattr(self, "weight", 0.0)

  def latent_prior(self, latent_dim: int) -> Prior | None:
    """Returns the prior that the latents are matched to, which a trained model generates from.

    It is the field `prior` if there is one, and N(0, I) otherwise. An objective that matches the
    latents to nothing returns None.
    """
    prior = getattr(self, "prior", None)
    return StandardNormal(latent_dim) if prior is None else prior

  def penalty(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Scalar:
    """Returns the penalty d(P_E(X), P_Z) of the global batch.

    Args:
      posterior: the encoder's output for this batch; for a deterministic encoder,
        `posterior.mean` holds the latents [n, d].
      key: random key, the same on all devices and a new one for each step.
      axis_name: mapped axis that the batch is split over.
    """
    raise NotImplementedError

  def parameter_penalty(self, model: Autoencoder) -> Scalar | float:
    """Returns the term of the loss that depends on the parameters alone; zero by default."""
    del model
    return 0.0

  def latents(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Float[Array, "n d"]:
    """Returns the latents to decode: the encoder's output, or a sample of each posterior."""
    if posterior.log_variance is None:
      return posterior.mean
    noise = local_rows(
      lambda n: jax.random.normal(key, (n, posterior.mean.shape[1])), posterior.mean, axis_name
    )
    return posterior.reparameterize(noise)

  def __add__(self, other: "Objective") -> "Objective":
    """Returns the objective that has both penalties, each with its weight."""
    return Combined.of(self, other)

  def __call__(
    self,
    model: Autoencoder,
    images: Float[Array, "n ..."],
    *,
    key: Key[Array, ""],
    axis_name: AxisName = None,
    accumulate: int = 1,
    weight_factor: Scalar | float | None = None,
  ) -> tuple[Scalar, dict[str, Scalar]]:
    """Computes the cost of a batch, and its terms.

    Under a mapped axis, average the value and its gradient over the devices to get those of the
    global batch.

    Args:
      model: the autoencoder.
      images: examples; pixels are in [0, 1].
      key: random key, the same on all devices and a new one for each step.
      axis_name: mapped axis that the batch is split over.
      accumulate: number of parts of the batch that the networks process one after the other. The
        penalty and the gradient are still those of the entire batch: see `microbatched`.
      weight_factor: factor of the weight in this step, from a schedule; by default 1.

    Returns:
      The cost, and `loss`, `reconstruction_error` (always the squared error), `penalty`. `loss` is
      the cost at the full weight, so that steps with different factors compare.

    Raises:
      ValueError: if the objective needs another kind of encoder, `accumulate` does not divide the
        batch, or `weight_factor` is negative.
    """
    _checks.instance("model", model, Autoencoder, "an Autoencoder")
    _checks.key("key", key)
    images = _checks.array("images", images)
    if images.ndim < 2:
      raise ValueError(f"images must have shape [n, ...], but have {list(images.shape)}.")
    posterior = microbatched(model.posterior, _checks.integer("accumulate", accumulate), images)
    if (posterior.log_variance is not None) != self.gaussian_encoder:
      kind = "a Gaussian" if self.gaussian_encoder else "a deterministic"
      raise ValueError(
        f"{type(self).__name__} needs {kind} encoder: see networks.build(gaussian=)."
      )
    noise_key, penalty_key = jax.random.split(key)
    latents = self.latents(posterior, key=noise_key, axis_name=axis_name)
    each = microbatched(functools.partial(self._reconstruction, model), accumulate, latents, images)
    reconstruction, error = jnp.mean(each[0]), jnp.mean(each[1])
    penalty = self.penalty(posterior, key=penalty_key, axis_name=axis_name)
    loss = reconstruction + self.penalty_weight * penalty + self.parameter_penalty(model)
    metrics = {"loss": loss, "reconstruction_error": error, "penalty": penalty}
    if weight_factor is None:
      return loss, metrics
    weight = self.penalty_weight * _checks.not_negative("weight_factor", weight_factor)
    return reconstruction + weight * penalty + self.parameter_penalty(model), metrics

  def _reconstruction(
    self, model: Autoencoder, latents: Float[Array, "n d"], images: Float[Array, "n ..."]
  ) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Returns the reconstruction loss and the squared error of each image."""
    logits = model.logits(latents)
    reconstructions = model.output_activation(logits)
    if reconstructions.shape != images.shape:
      raise ValueError(
        f"The decoder gives images of shape {list(reconstructions.shape)} for a batch of shape "
        f"{list(images.shape)}."
      )
    error = _per_example(jnp.square(images - reconstructions))
    if self.reconstruction == "squared_error":
      return error, error
    if model.output == "sigmoid":
      # softplus(l) − x l is the cross-entropy of sigmoid(l), finite for every logit.
      return _per_example(jax.nn.softplus(logits) - images * logits), error
    raise ValueError('binary_cross_entropy needs an Autoencoder with output="sigmoid".')


@dataclasses.dataclass(frozen=True, kw_only=True)
class AE(Objective):
  """The plain autoencoder, without a penalty."""

  def latent_prior(self, latent_dim: int) -> Prior | None:
    """Returns None: the latents are matched to nothing."""
    return None

  def penalty(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Scalar:
    """Returns zero."""
    return jnp.zeros(())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Combined(Objective):
  """A sum of objectives: one reconstruction term and the weighted penalty of each objective.

  Attributes:
    terms: objectives whose penalties are added.

  Example:
    >>> from aejax.objectives import CWAE, Energy
    >>> len((CWAE(weight=1.0) + Energy(weight=5.0)).terms)
    2
  """

  terms: tuple[Objective, ...]

  def __post_init__(self) -> None:
    if not isinstance(self.terms, tuple) or not self.terms:
      raise ValueError(
        f"terms must be a non-empty tuple of objectives, but is {_checks.short_repr(self.terms)}."
      )
    for term in self.terms:
      _checks.instance("terms", term, Objective, "objectives")
    super().__post_init__()
    if len({term.reconstruction for term in self.terms}) != 1:
      raise ValueError("Objectives with different reconstruction terms cannot be added.")
    self._check_priors()

  def _check_priors(self) -> None:
    """Raises a ValueError if two terms match the latents to different priors."""
    priors = [getattr(term, "prior", None) for term in self.terms]
    dims = [prior.dim for prior in priors if prior is not None]
    if dims:
      self.latent_prior(dims[0])

  def latent_prior(self, latent_dim: int) -> Prior | None:
    """Returns the prior of the terms, or None if no term has one."""
    priors = [term.latent_prior(latent_dim) for term in self.terms]
    found = [prior for prior in priors if prior is not None]
    for prior in found[1:]:
      if not same_prior(prior, found[0]):
        raise ValueError(
          f"The terms of a sum need one prior, but have {type(found[0]).__name__} and "
          f"{type(prior).__name__}, or different parameters of it."
        )
    return found[0] if found else None

  @classmethod
  def of(cls, *objectives: Objective) -> "Combined":
    """Returns the sum of objectives, some of which may be sums."""
    for objective in objectives:
      _checks.instance("What is added to an objective", objective, Objective, "an objective")
    groups = [o.terms if isinstance(o, Combined) else (o,) for o in objectives]
    flat = tuple(term for group in groups for term in group)
    return cls(terms=flat, reconstruction=flat[0].reconstruction)

  @property
  def gaussian_encoder(self) -> bool:
    """Whether any term needs a Gaussian encoder; the other terms work with one too."""
    return any(term.gaussian_encoder for term in self.terms)

  @property
  def penalty_weight(self) -> float:
    """One, because each term has its own weight."""
    return 1.0

  def penalty(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Scalar:
    """Returns the sum of the weighted penalties."""
    total = jnp.zeros(())
    for term, term_key in zip(self.terms, jax.random.split(key, len(self.terms)), strict=True):
      penalty = term.penalty(posterior, key=term_key, axis_name=axis_name)
      total += term.penalty_weight * penalty
    return total

  def parameter_penalty(self, model: Autoencoder) -> Scalar | float:
    """Returns the sum of the parameter penalties of all terms."""
    return sum(term.parameter_penalty(model) for term in self.terms)


def _per_example(losses: Float[Array, "n ..."]) -> Float[Array, " n"]:
  """Returns the sum over the pixels of each image."""
  return jnp.sum(losses.reshape(losses.shape[0], -1), axis=1)
