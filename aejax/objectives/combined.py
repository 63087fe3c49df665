"""Penalties added up, and the one that is no distance."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Key

from aejax.autoencoder import Autoencoder, Posterior
from aejax.objectives.base import AxisName, Objective, Scalar, check_weight

__all__ = ["RAE", "Combined"]


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
    super().__post_init__()
    if len({term.reconstruction for term in self.terms}) != 1:
      raise ValueError("Objectives with different reconstruction terms cannot be added.")

  @classmethod
  def of(cls, *objectives: Objective) -> "Combined":
    """Adds objectives, themselves perhaps sums."""
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class RAE(Objective):
  """The regularised autoencoder: small latents, and a smooth decoder by weight decay (RAE-L2).

  Its latents are no sample of any prior: fit a density to them afterwards to generate.

  Attributes:
    weight: of |z|²/2, the mean over the batch.
    decay: of the sum of the squared parameters of the decoder.

  Reference: Ghosh et al., ICLR 2020, arXiv 1903.12436, eq. (6) and (8).
  """

  weight: float = 1e-2
  decay: float = 1e-6

  def __post_init__(self):
    super().__post_init__()
    check_weight("decay", self.decay)

  def penalty(self, posterior: Posterior, *, key, axis_name: AxisName = None) -> Scalar:
    """Half the mean squared norm of the latents."""
    return jnp.mean(jnp.sum(posterior.mean**2, axis=1)) / 2

  def decay_of(self, model: Autoencoder) -> Scalar | float:
    """The decay of the decoder's parameters."""
    parameters = jax.tree.leaves(nnx.state(model.decoder, nnx.Param))
    return self.decay * sum(jnp.sum(p**2) for p in parameters)
