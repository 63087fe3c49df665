"""How good generated images are: their features beside those of the test images."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key

from aejax.data import Dataset
from aejax.metrics.density import BY_NAME, Sampler
from aejax.metrics.features import Extractor
from aejax.metrics.frechet import Moments, frechet_distance
from aejax.metrics.kernel_distance import kernel_distance_in_blocks
from aejax.metrics.likelihood import importance_weighted_bound
from aejax.metrics.neighbours import Neighbours, nearest_training_images
from aejax.metrics.prdc import prdc
from aejax.objectives import VAE
from aejax.training.trained import TrainedAutoencoder

__all__ = ["FEWEST", "fit_samplers", "generation_metrics", "likelihood_metrics", "nearest"]

# Of the importance-weighted bound: samples an image, and images.
_SAMPLES, _IMAGES = 100, 1000

FEWEST = 20
"""Features are compared in sets of at least so many."""


def fit_samplers(
  trained: TrainedAutoencoder, dataset: Dataset, *, key: Key[Array, ""]
) -> dict[str, Sampler]:
  """Each sampler of `samplers.BY_NAME`, fitted to the latents of the training images."""
  noise_key, fit_key = jax.random.split(key)
  latents = trained.encode(np.asarray(dataset.train), key=noise_key)
  fitted = {}
  for name, sampler in BY_NAME.items():
    options = {}
    if name == "mixture":  # no more components than it has ten latents for
      options["components"] = min(10, max(1, len(latents) // 10))
    fitted[name] = sampler.fit(latents, key=fit_key, **options)
  return fitted


def generation_metrics(
  trained: TrainedAutoencoder,
  dataset: Dataset,
  extractor: Extractor,
  samplers: Mapping[str, Sampler],
  *,
  key: Key[Array, ""],
) -> dict[str, float]:
  """Distances between the features of generated and of test images, as many of each.

  With F the extractor's name: `frechet_F` of decoded draws from the prior, `frechet_F_gaussian`
  and `frechet_F_mixture` of those from densities fitted afterwards, `frechet_F_reconstructions` of
  the test images' reconstructions, and for the prior's `kernel_F` with its standard error,
  `precision_F`, `recall_F`, `density_F` and `coverage_F`. With those of `inception`, `fid` and
  `kid` stand for `frechet_F` and `kernel_F`. A set of few test images gives none.

  Args:
    trained: the model.
    dataset: that it was trained on.
    extractor: of the features.
    samplers: by their names; "prior" is one of them.
    key: draws the latents.
  """
  n = len(dataset.test)
  if n < FEWEST:
    return {}
  real = extractor(dataset.test)
  moments = Moments.of(real)
  keys = dict(zip(samplers, jax.random.split(key, len(samplers)), strict=True))
  generated = {
    which: extractor(trained.decode(sampler.sample(keys[which], n)))
    for which, sampler in samplers.items()
  }
  found = {
    extractor.frechet_name + ("" if which == "prior" else f"_{which}"): frechet_distance(
      moments, own
    )
    for which, own in generated.items()
  }
  reconstructed = extractor(trained.reconstruct(dataset.test))
  found[f"{extractor.frechet_name}_reconstructions"] = frechet_distance(moments, reconstructed)
  kernel = kernel_distance_in_blocks(real, generated["prior"], key=key)
  found[extractor.kernel_name] = kernel.value
  found[f"{extractor.kernel_name}_standard_error"] = kernel.standard_error
  covered = prdc(real, generated["prior"])
  return found | {f"{which}_{extractor.name}": value for which, value in covered.items()}


def likelihood_metrics(
  trained: TrainedAutoencoder, dataset: Dataset, *, key: Key[Array, ""]
) -> dict[str, Any]:
  """Of a VAE: the importance-weighted bound in nats, its mean over the first test images.

  The name says how many samples it takes, without which the number means nothing.
  """
  objective = trained.configuration.make_objective()
  if not isinstance(objective, VAE) or objective.beta == 0:
    return {}
  bounds = importance_weighted_bound(
    trained.model, dataset.test[:_IMAGES], objective=objective, key=key, samples=_SAMPLES
  )
  return {f"log_likelihood_bound_{_SAMPLES}": float(np.mean(bounds))}


def nearest(generated: Array, dataset: Dataset) -> Neighbours | None:
  """The training images nearest to generated ones; None where all training images are the same."""
  images = np.asarray(dataset.train)
  if (images == images[0]).all():
    return None
  return nearest_training_images(generated, images)
