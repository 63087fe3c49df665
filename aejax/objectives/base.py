"""The one equation: COST = reconstruction(X, D(E(X))) + λ · d(P_E(X), P_Z).

An objective is a small frozen dataclass that says what d is. Its weight is λ, and means the same
at every batch size and on any number of devices.
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

__all__ = [
  "AE",
  "AxisName",
  "Combined",
  "Objective",
  "Scalar",
  "check_weight",
  "local_rows",
  "microbatched",
]

T = TypeVar("T")

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
        f"{_checks.short_repr(self.reconstruction)}."
      )
    check_weight("The weight of the penalty", self.penalty_weight)

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

  def decay_of(self, model: Autoencoder) -> Scalar | float:
    """What the loss charges for the parameters themselves: nothing, as a rule."""
    del model
    return 0.0

  def latents(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Float[Array, "n d"]:
    """What is decoded: the encoder's output, or a draw from the Gaussian posterior."""
    if posterior.log_variance is None:
      return posterior.mean
    noise = local_rows(
      lambda n: jax.random.normal(key, (n, posterior.mean.shape[1])), posterior.mean, axis_name
    )
    return posterior.reparameterize(noise)

  def __add__(self, other: "Objective") -> "Objective":
    """The objective with both penalties, each with its weight."""
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
    """The cost of a batch, and its terms.

    Under a mapped axis, the mean over devices of the value and of its gradient are those of the
    global batch.

    Args:
      model: the autoencoder.
      images: pixels in [0, 1].
      key: the same on all devices, another each step.
      axis_name: the mapped axis over which the batch is spread.
      accumulate: in how many parts, one after the other, the networks see the batch. The penalty
        is that of all latents still, and so is the gradient: see `in_parts`.

    Returns:
      The cost, and `loss`, `reconstruction_error` (always the squared error), `penalty`.

    Raises:
      ValueError: if the encoder is not of the kind that the objective needs, or the batch does not
        divide by `accumulate`.
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
    each = microbatched(functools.partial(self._reconstruction, model), accumulate, latents, images)
    reconstruction, error = jnp.mean(each[0]), jnp.mean(each[1])
    penalty = self.penalty(posterior, key=penalty_key, axis_name=axis_name)
    loss = reconstruction + self.penalty_weight * penalty + self.decay_of(model)
    return loss, {"loss": loss, "reconstruction_error": error, "penalty": penalty}

  def _reconstruction(self, model, latents, images):
    """The reconstruction's loss of each image, and its squared error."""
    logits = model.logits(latents)
    reconstructions = model.activate(logits)
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
  """The plain autoencoder: reconstruction alone."""

  def penalty(self, posterior: Posterior, *, key, axis_name: AxisName = None) -> Scalar:
    """Zero."""
    return jnp.zeros(())


@dataclasses.dataclass(frozen=True, kw_only=True)
class Combined(Objective):
  """The reconstruction with the weighted penalties of several objectives; made by adding them.

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
        f"terms must be objectives in a tuple, one at least, but is {_checks.short_repr(self.terms)}."
      )
    for term in self.terms:
      _checks.instance("terms", term, Objective, "objectives")
    super().__post_init__()
    if len({term.reconstruction for term in self.terms}) != 1:
      raise ValueError("Objectives with different reconstruction terms cannot be added.")

  @classmethod
  def of(cls, *objectives: Objective) -> "Combined":
    """Adds objectives, themselves perhaps sums."""
    for objective in objectives:
      _checks.instance("What is added to an objective", objective, Objective, "an objective")
    terms = [o.terms if isinstance(o, Combined) else (o,) for o in objectives]
    flat = tuple(term for several in terms for term in several)
    return cls(terms=flat, reconstruction=flat[0].reconstruction)

  @property
  def gaussian_encoder(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
    """A Gaussian encoder serves every term, a deterministic one only those that need no other."""
    return any(term.gaussian_encoder for term in self.terms)

  @property
  def penalty_weight(self) -> float:
    """One: each term has its own."""
    return 1.0

  def penalty(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Scalar:
    """The sum of the weighted penalties."""
    total = jnp.zeros(())
    for term, own_key in zip(self.terms, jax.random.split(key, len(self.terms)), strict=True):
      penalty = term.penalty(posterior, key=own_key, axis_name=axis_name)
      total += term.penalty_weight * penalty
    return total

  def decay_of(self, model: Autoencoder) -> Scalar | float:
    """The sum of what the terms charge."""
    return sum(term.decay_of(model) for term in self.terms)


def check_weight(name: str, value: float) -> None:
  """Refuses a weight under which the penalty would be maximised, or NaN.

  Raises:
    ValueError: if it is negative or not finite.
  """
  _checks.not_negative(name, value)


def microbatched(function: Callable[..., T], parts: int, *rows: Array) -> T:
  """A function of rows that treats each alone, some of the rows at a time.

  What it makes on the way is not kept for the gradient but made again, part by part: memory for
  activations falls by the number of parts, and the forward pass is computed twice. Only what it
  returns is kept, of all rows: a distance between latents then sees the whole batch.

  Args:
    function: of arrays with a leading axis of rows, to arrays with one.
    parts: how many.
    rows: arrays with the same number of rows.

  Raises:
    ValueError: if the rows do not divide by `parts`.
  """
  n = rows[0].shape[0]
  if n % parts:
    raise ValueError(f"accumulate must divide the batch of {n}, but is {parts}.")
  if parts == 1:
    return function(*rows)
  # Each part takes rows from all over the batch, so that a batch cut over devices stays so.
  cut = [v.reshape(n // parts, parts, *v.shape[1:]).swapaxes(0, 1) for v in rows]
  whole = lax.map(lambda some: jax.checkpoint(function, prevent_cse=False)(*some), cut)
  return jax.tree.map(lambda v: v.swapaxes(0, 1).reshape(n, *v.shape[2:]), whole)


def _per_example(losses: Float[Array, "n h w c"]) -> Float[Array, " n"]:
  return jnp.sum(losses.reshape(losses.shape[0], -1), axis=1)


def local_rows(draw: Callable[[int], Array], like: Array, axis_name: AxisName) -> Array:
  """This device's rows of `draw(global n)`, so that randomness does not see the devices."""
  n = like.shape[0]
  if axis_name is None:
    return draw(n)
  everyones = draw(n * lax.axis_size(axis_name))
  return lax.dynamic_slice_in_dim(everyones, lax.axis_index(axis_name) * n, n)
