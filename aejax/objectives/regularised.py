"""The regularised autoencoder, whose penalty is not a distance."""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Key

from aejax import _checks
from aejax.autoencoder import Autoencoder, Posterior
from aejax.distances._sharding import AxisName
from aejax.objectives.base import Objective, Scalar
from aejax.priors import Prior

__all__ = ["RAE"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RAE(Objective):
  """The regularised autoencoder RAE-L2: small latents, and weight decay of the decoder.

  The latents do not follow a prior. To generate images, fit a density to them after training.

  Attributes:
    weight: λ, the weight of the mean of |z|²/2 over the batch.
    decay: weight of the sum of the squared parameters of the decoder.

  Reference: Ghosh et al., ICLR 2020, arXiv 1903.12436, eq. (6) and (8).
  """

  weight: float = 1e-2
  decay: float = 1e-6

  def __post_init__(self) -> None:
    super().__post_init__()
    _checks.not_negative("decay", self.decay)

  def latent_prior(self, latent_dim: int) -> Prior | None:
    """Returns None: the latents are matched to nothing."""
    return None

  def penalty(
    self, posterior: Posterior, *, key: Key[Array, ""], axis_name: AxisName = None
  ) -> Scalar:
    """Returns half the mean squared norm of the latents."""
    return jnp.mean(jnp.sum(posterior.mean**2, axis=1)) / 2

  def parameter_penalty(self, model: Autoencoder) -> Scalar | float:
    """Returns the weight decay of the decoder."""
    parameters = jax.tree.leaves(nnx.state(model.decoder, nnx.Param))
    return self.decay * sum(jnp.sum(p**2) for p in parameters)
