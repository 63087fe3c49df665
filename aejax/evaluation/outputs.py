"""What a trained autoencoder computes for the test images, once for scores and plots."""

import dataclasses

import jax
from jaxtyping import Array, Float, Key

from aejax.data import Dataset
from aejax.training import TrainedAutoencoder

__all__ = ["Outputs", "scoring_keys"]


@dataclasses.dataclass(frozen=True, eq=False)
class Outputs:
  """Latents and reconstructions of the test images of a run.

  `score` computes them once and passes them to `evaluate` and `plot_run`.

  Attributes:
    latents: a draw from each posterior. Together they are a sample of P_E(X), the distribution that
      training compares with the prior. For a deterministic encoder they are the means.
    means: means of the posteriors.
    reconstructions: decoded means.
  """

  latents: Float[Array, "n d"]
  means: Float[Array, "n d"]
  reconstructions: Float[Array, "n ..."]

  @classmethod
  def of(cls, trained: TrainedAutoencoder, dataset: Dataset) -> "Outputs":
    """Encodes the test images of a data set, and decodes their means."""
    noise_key, _ = scoring_keys()
    posterior = trained.posterior(dataset.test)
    return cls(posterior.sample(noise_key), posterior.mean, trained.decode(posterior.mean))


def scoring_keys() -> tuple[Key[Array, ""], Key[Array, ""]]:
  """Returns the fixed keys of scoring: of the draws from posteriors, and of random directions."""
  noise_key, directions_key = jax.random.split(jax.random.key(0))
  return noise_key, directions_key
