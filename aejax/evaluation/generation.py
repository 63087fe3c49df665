"""Metrics of generated images, whose features are compared with those of the test images."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from aejax._messages import logger
from aejax.data import Dataset, LazyImages
from aejax.data.dataset import Examples
from aejax.data.lazy import chunks
from aejax.metrics.density import BY_NAME, Sampler
from aejax.metrics.features import Extractor
from aejax.metrics.frechet import Moments, frechet_distance
from aejax.metrics.kernel_distance import kernel_distance_in_blocks
from aejax.metrics.likelihood import importance_weighted_bound
from aejax.metrics.neighbours import Neighbours, nearest_training_images
from aejax.metrics.prdc import prdc
from aejax.metrics.tables import correlation_difference, marginal_distance
from aejax.objectives import VAE
from aejax.priors import Prior, StandardNormal
from aejax.training.trained import TrainedAutoencoder

__all__ = [
  "MIN_IMAGES",
  "fit_samplers",
  "generation_metrics",
  "likelihood_metrics",
  "nearest",
  "table_metrics",
]

# Samples of the importance-weighted bound, and images that it is averaged over.
_BOUND_SAMPLES, _BOUND_IMAGES = 100, 1000

MIN_IMAGES = 20
"""Smallest number of test images whose features are compared with those of generated images."""


def fit_samplers(
  trained: TrainedAutoencoder, dataset: Dataset, *, key: Key[Array, ""]
) -> dict[str, Sampler]:
  """Fits each sampler of `metrics.density.BY_NAME` to the latents of the training images.

  Args:
    trained: the trained autoencoder. With a Gaussian encoder, the samplers are fitted to one draw
      from each posterior.
    dataset: the data set that it was trained on.
    key: random key of the draws and of the mixture's initial centres.
  """
  noise_key, fit_key = jax.random.split(key)
  logger.info(f"Fitting densities to the latents of {len(dataset.train):,} training images …")
  latents = _encode(trained, dataset.train, key=noise_key)
  samplers: dict[str, Sampler] = {}
  for name, sampler in BY_NAME.items():
    if name == "prior":
      samplers[name] = _PriorSampler(trained.prior)
      continue
    options = {}
    if name == "mixture":  # each component needs about ten latents
      options["components"] = min(10, max(1, len(latents) // 10))
    samplers[name] = sampler.fit(latents, key=fit_key, **options)
  return samplers


@dataclasses.dataclass(frozen=True, eq=False)
class _PriorSampler:
  """The prior that a run was trained for, which is not fitted."""

  prior: Prior

  @classmethod
  def fit(cls, latents: Float[Array, "n d"], *, key: Key[Array, ""]) -> "_PriorSampler":
    """Returns N(0, I) in the dimension of the latents."""
    return cls(StandardNormal(latents.shape[1]))

  def sample(self, key: Key[Array, ""], num: int) -> Float[Array, "{num} d"]:
    """Draws `num` independent latents, one a row."""
    return jnp.asarray(self.prior.sample(key, num))


def _encode(
  trained: TrainedAutoencoder, examples: Examples | LazyImages, *, key: Key[Array, ""]
) -> Float[Array, "n d"]:
  """Returns a draw from each posterior; examples that are not in memory are read in parts."""
  if not isinstance(examples, LazyImages):
    return trained.encode(examples, key=key)
  parts = [trained.posterior(examples[rows]) for rows in chunks(examples)]
  posterior = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
  return posterior.sample(key)


def generation_metrics(
  trained: TrainedAutoencoder,
  dataset: Dataset,
  extractor: Extractor,
  samplers: Mapping[str, Sampler],
  *,
  reconstructions: Float[Array, "n ..."],
  key: Key[Array, ""],
) -> dict[str, float]:
  """Compares the features of generated images with those of the same number of test images.

  With F the extractor's name, the metrics are `frechet_F` for decoded draws from the prior;
  `frechet_F_gaussian` and `frechet_F_mixture` for decoded draws from fitted densities;
  `frechet_F_reconstructions` for the reconstructions; and for draws from the prior also `kernel_F`
  with its standard error, `precision_F`, `recall_F`, `density_F` and `coverage_F`. With the
  features of `inception`, `frechet_F` and `kernel_F` are called `fid` and `kid`.

  Args:
    trained: the trained autoencoder.
    dataset: the data set that it was trained on.
    extractor: function that computes the features.
    samplers: samplers of latents by name; one of them is "prior".
    reconstructions: reconstructions of the test images.
    key: random key that draws the latents.

  Returns:
    The metrics by name; none if there are fewer than `MIN_IMAGES` test images.
  """
  n = len(dataset.test)
  if n < MIN_IMAGES:
    return {}
  logger.info(
    f"Comparing samples with {n:,} test images by the features of {extractor.name}: "
    f"{', '.join(samplers)}, reconstructions …"
  )
  real = extractor(dataset.test)
  moments = Moments.of(real)
  keys = dict(zip(samplers, jax.random.split(key, len(samplers)), strict=True))
  generated = {
    name: extractor(trained.decode(sampler.sample(keys[name], n)))
    for name, sampler in samplers.items()
  }
  found = {
    extractor.frechet_name + ("" if name == "prior" else f"_{name}"): frechet_distance(
      moments, features
    )
    for name, features in generated.items()
  }
  reconstructed = extractor(reconstructions)
  found[f"{extractor.frechet_name}_reconstructions"] = frechet_distance(moments, reconstructed)
  kernel = kernel_distance_in_blocks(real, generated["prior"], key=key)
  found[extractor.kernel_name] = kernel.value
  found[f"{extractor.kernel_name}_standard_error"] = kernel.standard_error
  fractions = prdc(real, generated["prior"])
  return found | {f"{name}_{extractor.name}": value for name, value in fractions.items()}


def likelihood_metrics(
  trained: TrainedAutoencoder, dataset: Dataset, *, key: Key[Array, ""]
) -> dict[str, float]:
  """Computes the importance-weighted bound of a VAE in nats, averaged over the first test images.

  The name contains the number of samples, because the bound depends on it.

  Returns:
    The metric by name; none if the run is not a VAE's, or its β is zero.
  """
  objective = trained.objective
  if not isinstance(objective, VAE) or objective.beta == 0:
    return {}
  examples = dataset.test[:_BOUND_IMAGES]
  if trained.scaling.mean is not None:
    examples = trained.scaling.apply(examples)
  bounds = importance_weighted_bound(
    trained.model,
    examples,
    objective=objective,
    key=key,
    samples=_BOUND_SAMPLES,
  )
  return {f"log_likelihood_bound_{_BOUND_SAMPLES}": float(np.mean(bounds))}


def table_metrics(
  trained: TrainedAutoencoder, dataset: Dataset, *, key: Key[Array, ""]
) -> dict[str, float]:
  """Compares the features of as many generated vectors as there are test vectors, and their pairs.

  Returns:
    `marginal_distance` and `correlation_difference`; see `aejax.metrics`.
  """
  real = np.asarray(trained.scaling.apply(dataset.test))
  generated = np.asarray(trained.scaling.apply(trained.generate(key, len(real))))
  return {
    "marginal_distance": marginal_distance(generated, real),
    "correlation_difference": correlation_difference(generated, real),
  }


def nearest(generated: Array, dataset: Dataset) -> Neighbours | None:
  """Finds the training images nearest to generated images.

  Returns:
    The neighbours, or None if all training images are the same or they are not in memory.
  """
  if isinstance(dataset.train, LazyImages):
    return None
  images = np.asarray(dataset.train)
  if (images == images[0]).all():
    return None
  return nearest_training_images(generated, images)
