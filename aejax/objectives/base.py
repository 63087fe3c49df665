"""The cost of an autoencoder: reconstruction(X, D(E(X))) + λ · d(P_E(X), P_Z).

An objective is a frozen dataclass that defines d. Its weight is λ, which means the same at every
batch size and on any number of devices.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import ClassVar, Literal, TypeVar, get_args

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key

from aejax import _checks
from aejax.autoencoder import Autoencoder, Posterior
from aejax.distances._sharding import AxisName

__all__ = [
  "AE",
  "Combined",
  "Objective",
  "Scalar",
  "local_rows",
  "microbatched",
]

T = TypeVar("T")

Scalar = Float[Array, ""]
Reconstruction = Literal["squared_error", "binary_cross_entropy"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Objective:
  """The cost of an autoencoder; a subclass defines `penalty`.

  Attributes:
    reconstruction: the squared error, or the binary cross-entropy (for an `Autoencoder` whose
      output is "sigmoid"). Both are summed over pixels and averaged over the batch. A mean over
      pixels would multiply λ by the number of pixels.
  """

  reconstruction: Reconstruction = "squared_error"

  gaussian_encoder: ClassVar[bool] = False
  """Whether the encoder must return a mean and a log-variance."""

  def __post_init__(self):
    if self.reconstruction not in get_args(Reconstruction):
      raise ValueError(
        f"reconstruction must be {' or '.join(get_args(Reconstruction))}, but is "
        f"{_checks.short_repr(self.reconstruction)}."
      )
    _checks.not_negative("The weight of the penalty", self.penalty_weight)

  @property
  def penalty_weight(self) -> float:
    """The weight λ of the penalty."""
    return getattr(self, "weight", 0.0)

  def penalty(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Scalar:
    """Returns d(P_E(X), P_Z) of the global batch, which training minimises.

    Args:
      posterior: output of the encoder for this batch; for a deterministic encoder,
        `posterior.mean` holds the latents [n, d].
      key: random key, the same on all devices and a new one each step.
      axis_name: name of the mapped axis over which the batch is spread.
    """
    raise NotImplementedError

  def parameter_penalty(self, model: Autoencoder) -> Scalar | float:
    """Returns a penalty of the parameters, which is added to the loss; 0 by default."""
    del model
    return 0.0

  def latents(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Float[Array, "n d"]:
    """Returns the latents to decode: the encoder's output, or a draw from each posterior."""
    if posterior.log_variance is None:
      return posterior.mean
    noise = local_rows(
      lambda n: jax.random.normal(key, (n, posterior.mean.shape[1])), posterior.mean, axis_name
    )
    return posterior.reparameterize(noise)

  def __add__(self, other: "Objective") -> "Objective":
    """Returns the objective with both penalties, each with its weight."""
    return Combined.of(self, other)

  def __call__(
    self,
    model: Autoencoder,
    images: Float[Array, "n h w c"],
    *,
    key: Key[Array, ""],
    axis_name: AxisName = None,
    accumulate: int = 1,
  ) -> tuple[Scalar, dict[str, Scalar]]:
    """Returns the cost of a batch and its terms.

    Under a mapped axis, the means over devices of the value and of its gradient are those of the
    global batch.

    Args:
      model: the autoencoder.
      images: pixels in [0, 1].
      key: random key, the same on all devices and a new one each step.
      axis_name: name of the mapped axis over which the batch is spread.
      accumulate: number of parts of the batch that the networks process one after the other. The
        penalty and the gradient are still those of the entire batch: see `microbatched`.

    Returns:
      The cost, and `loss`, `reconstruction_error` (always the squared error), `penalty`.

    Raises:
      ValueError: if the objective needs another kind of encoder, or `accumulate` does not divide
        the batch size.
    """
    _checks.instance("model", model, Autoencoder, "an Autoencoder")
    _checks.key("key", key)
    images = _checks.array("images", images)
    if images.ndim != 4:
      raise ValueError(f"images must have shape [n, h, w, c], but have {list(images.shape)}.")
    posterior = microbatched(model.posterior, _checks.integer("accumulate", accumulate), images)
    if (posterior.log_variance is not None) != self.gaussian_encoder:
      kind = "a Gaussian" if self.gaussian_encoder else "a deterministic"
      raise ValueError(
        f"{type(self).__name__} needs {kind} encoder: see networks.build(gaussian=)."
      )
    noise_key, penalty_key = jax.random.split(key)
    latents = self.latents(posterior, key=noise_key, axis_name=axis_name)
    score = functools.partial(self._reconstruction, model)
    losses = microbatched(score, accumulate, latents, images)
    reconstruction, error = jnp.mean(losses[0]), jnp.mean(losses[1])
    penalty = self.penalty(posterior, key=penalty_key, axis_name=axis_name)
    loss = reconstruction + self.penalty_weight * penalty + self.parameter_penalty(model)
    return loss, {"loss": loss, "reconstruction_error": error, "penalty": penalty}

  def _reconstruction(
    self, model: Autoencoder, latents: Float[Array, "n d"], images: Float[Array, "n h w c"]
  ) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Returns the reconstruction loss of each image, and its squared error."""
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

  def penalty(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Scalar:
    """Returns zero."""
    return jnp.zeros(())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Combined(Objective):
  """A sum of objectives: one reconstruction and the weighted penalties of all terms.

  Attributes:
    terms: the objectives whose penalties are added.

  Example:
    >>> from aejax.objectives import CWAE, Energy
    >>> len((CWAE(weight=1.0) + Energy(weight=5.0)).terms)
    2
  """

  terms: tuple[Objective, ...]

  def __post_init__(self):
    if not isinstance(self.terms, tuple) or not self.terms:
      raise ValueError(
        f"terms must be a tuple of at least one objective, but is {_checks.short_repr(self.terms)}."
      )
    for term in self.terms:
      _checks.instance("terms", term, Objective, "objectives")
    super().__post_init__()
    if len({term.reconstruction for term in self.terms}) != 1:
      raise ValueError("Objectives with different reconstruction terms cannot be added.")

  @classmethod
  def of(cls, *objectives: Objective) -> "Combined":
    """Returns the sum of objectives, which may be sums."""
    for objective in objectives:
      _checks.instance("What is added to an objective", objective, Objective, "an objective")
    terms = [o.terms if isinstance(o, Combined) else (o,) for o in objectives]
    flat = tuple(term for several in terms for term in several)
    return cls(terms=flat, reconstruction=flat[0].reconstruction)

  @property
  def gaussian_encoder(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
    """Whether a term needs a Gaussian encoder; the other terms work with it too."""
    return any(term.gaussian_encoder for term in self.terms)

  @property
  def penalty_weight(self) -> float:
    """One; each term has its own weight."""
    return 1.0

  def penalty(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Scalar:
    """Returns the sum of the weighted penalties."""
    total = jnp.zeros(())
    for term, own_key in zip(self.terms, jax.random.split(key, len(self.terms)), strict=True):
      penalty = term.penalty(posterior, key=own_key, axis_name=axis_name)
      total += term.penalty_weight * penalty
    return total

  def parameter_penalty(self, model: Autoencoder) -> Scalar | float:
    """Returns the sum of the parameter penalties of the terms."""
    return sum(term.parameter_penalty(model) for term in self.terms)


def microbatched(function: Callable[..., T], parts: int, *rows: Array) -> T:
  """Applies a function that treats each row separately to parts of the rows, one after another.

  The gradient recomputes intermediate values part by part instead of storing them. This divides
  the memory for activations by the number of parts and computes the forward pass twice. Only the
  results are stored, for all rows, so a distance between latents sees the entire batch.

  Args:
    function: function from arrays with a leading axis of rows to arrays with one.
    parts: number of parts.
    rows: arrays with the same number of rows.

  Raises:
    ValueError: if `parts` does not divide the number of rows.
  """
  n = rows[0].shape[0]
  if n % parts:
    raise ValueError(f"accumulate must divide the batch size {n}, but is {parts}.")
  if parts == 1:
    return function(*rows)
  # Each part takes rows from the entire batch, so that a batch spread over devices stays spread.
  split = [v.reshape(n // parts, parts, *v.shape[1:]).swapaxes(0, 1) for v in rows]
  results = lax.map(lambda part: jax.checkpoint(function, prevent_cse=False)(*part), split)
  return jax.tree.map(lambda v: v.swapaxes(0, 1).reshape(n, *v.shape[2:]), results)


def _per_example(losses: Float[Array, "n h w c"]) -> Float[Array, " n"]:
  return jnp.sum(losses.reshape(losses.shape[0], -1), axis=1)


def local_rows(draw: Callable[[int], Array], like: Array, axis_name: AxisName) -> Array:
  """Returns this device's rows of `draw(global n)`, so draws do not depend on the devices."""
  n = like.shape[0]
  if axis_name is None:
    return draw(n)
  global_rows = draw(n * lax.axis_size(axis_name))
  return lax.dynamic_slice_in_dim(global_rows, lax.axis_index(axis_name) * n, n)
