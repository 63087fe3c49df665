"""The regularised autoencoder: a penalty that is no distance."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx

from aejax.autoencoder import Autoencoder, Posterior
from aejax.objectives.base import AxisName, Objective, Scalar, check_weight

__all__ = ["RAE"]


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
