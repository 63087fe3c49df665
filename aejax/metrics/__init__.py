"""Metrics of latents, samples and features, and samplers fitted to latents: functions of arrays.

None of them needs a run, a configuration or a plot.
"""

from aejax._extras import require_flax

require_flax()

from aejax.metrics.calibration import (
  NullDistribution,
  PriorTest,
  null_distribution,
  prior_test,
)
from aejax.metrics.density import GaussianSampler, MixtureSampler, PriorSampler, Sampler
from aejax.metrics.features import Extractor, classifier
from aejax.metrics.frechet import Moments, frechet_distance
from aejax.metrics.inception import inception
from aejax.metrics.kernel_distance import (
  KernelDistance,
  kernel_distance,
  kernel_distance_in_blocks,
)
from aejax.metrics.labels import label_accuracy
from aejax.metrics.latents import (
  latent_metrics,
  mardia_kurtosis,
  mardia_skewness,
  reconstruction_error,
)
from aejax.metrics.likelihood import importance_weighted_bound
from aejax.metrics.neighbours import Neighbours, nearest_training_images
from aejax.metrics.normality import Reference, normal_baseline
from aejax.metrics.prdc import prdc
from aejax.metrics.tables import correlation_difference, marginal_distance

__all__ = [
  "Extractor",
  "GaussianSampler",
  "KernelDistance",
  "MixtureSampler",
  "Moments",
  "Neighbours",
  "NullDistribution",
  "PriorSampler",
  "PriorTest",
  "Reference",
  "Sampler",
  "classifier",
  "correlation_difference",
  "frechet_distance",
  "importance_weighted_bound",
  "inception",
  "kernel_distance",
  "kernel_distance_in_blocks",
  "label_accuracy",
  "latent_metrics",
  "mardia_kurtosis",
  "mardia_skewness",
  "marginal_distance",
  "nearest_training_images",
  "normal_baseline",
  "null_distribution",
  "prdc",
  "prior_test",
  "reconstruction_error",
]
