"""What a trained autoencoder is worth: figures of merit, and figures to look at."""

from aejax.evaluation.coverage import coverage_metrics
from aejax.evaluation.evaluate import draw, evaluate, score, summarise, table
from aejax.evaluation.figures import (
  save_decoded_plane,
  save_grid,
  save_interpolations,
  save_latent_scatter,
  save_reconstructions,
)
from aejax.evaluation.frechet import Moments, frechet_distance
from aejax.evaluation.inception import inception
from aejax.evaluation.kernel_distance import (
  KernelDistance,
  kernel_distance,
  kernel_distance_in_blocks,
)
from aejax.evaluation.likelihood import importance_weighted_bound
from aejax.evaluation.metrics import (
  latent_metrics,
  mardia_kurtosis,
  mardia_skewness,
  reconstruction_error,
)
from aejax.evaluation.neighbours import Neighbours, nearest_training_images
from aejax.evaluation.references import Reference, normal_references
from aejax.evaluation.samplers import GaussianSampler, MixtureSampler, PriorSampler, Sampler

__all__ = [
  "GaussianSampler",
  "KernelDistance",
  "MixtureSampler",
  "Moments",
  "Neighbours",
  "PriorSampler",
  "Reference",
  "Sampler",
  "coverage_metrics",
  "draw",
  "evaluate",
  "frechet_distance",
  "importance_weighted_bound",
  "inception",
  "kernel_distance",
  "kernel_distance_in_blocks",
  "latent_metrics",
  "mardia_kurtosis",
  "mardia_skewness",
  "nearest_training_images",
  "normal_references",
  "reconstruction_error",
  "save_decoded_plane",
  "save_grid",
  "save_interpolations",
  "save_latent_scatter",
  "save_reconstructions",
  "score",
  "summarise",
  "table",
]
