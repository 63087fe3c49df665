"""The plots of a trained run, written into its work directory."""

import json
from pathlib import Path

import jax
import numpy as np

from aejax._messages import logger
from aejax.autoencoder import pixels
from aejax.data import Dataset
from aejax.evaluation import diagnostics, examples, figures, latent_planes, table_plots
from aejax.evaluation.generation import nearest
from aejax.evaluation.outputs import Outputs, scoring_keys
from aejax.evaluation.prior_metrics import is_normal
from aejax.priors import UniformSphere
from aejax.training import TrainedAutoencoder

__all__ = ["plot_run"]

_SAMPLES = 64
_RECONSTRUCTIONS = 24
_INTERPOLATIONS, _STEPS = 8, 11
# Images a side of the decoded plane, and its largest coordinate.
_PLANE_SIDE, _PLANE_EXTENT = 20, 2.5
# The largest coordinate of the report's interactive plane.
_MAP_EXTENT = 3.0
# Samples of a prior other than N(0, I) that latents are plotted with.
_REFERENCE_SAMPLES = 2000


def plot_run(
  workdir: Path,
  trained: TrainedAutoencoder,
  dataset: Dataset,
  *,
  outputs: Outputs | None = None,
) -> list[Path]:
  """Plots samples, reconstructions, interpolations, latents and training curves of a run.

  Args:
    workdir: work directory of the run, for metrics.jsonl and the plots.
    trained: the trained autoencoder.
    dataset: the data set that it was trained on.
    outputs: latents and reconstructions of the test images, if they are computed already.

  Returns:
    The paths of the plots.
  """
  outputs = Outputs.of(trained, dataset) if outputs is None else outputs
  logger.info(f"Plotting {workdir} …")
  plots = _plot_examples(workdir, trained, dataset, outputs)
  log = workdir / "metrics.jsonl"
  if log.is_file() and (lines := log.read_text(encoding="utf-8").splitlines()):
    epochs = [json.loads(line) for line in lines]
    plots.append(diagnostics.save_curves(workdir / "curves.png", epochs))
  return plots + _plot_latents(workdir, trained, dataset, outputs)


def _plot_examples(
  workdir: Path, trained: TrainedAutoencoder, dataset: Dataset, outputs: Outputs
) -> list[Path]:
  samples = trained.generate(jax.random.key(trained.configuration.seed), _num_samples(dataset))
  shown = len(dataset.test) if dataset.kind == "vectors" else _RECONSTRUCTIONS
  plots = [
    examples.save_samples(workdir / "samples.png", samples, dataset.test),
    examples.save_example_reconstructions(
      workdir / "reconstructions.png", dataset.test[:shown], outputs.reconstructions[:shown]
    ),
  ]
  if dataset.kind == "vectors":
    plots.append(
      table_plots.save_correlations(
        workdir / "correlations.png", np.asarray(samples), np.asarray(pixels(dataset.test))
      )
    )
  else:
    walks = _interpolate(trained, np.asarray(outputs.means))
    plots.append(
      examples.save_example_interpolations(workdir / "interpolations.png", walks, dataset.test)
    )
  if (
    dataset.kind == "images"
    and trained.scaling.unit
    and (found := nearest(samples[:_RECONSTRUCTIONS], dataset)) is not None
  ):
    neighbours = pixels(np.asarray(dataset.train)[found.indices[:, 0]])
    plots.append(
      figures.save_reconstructions(
        workdir / "neighbours.png",
        samples[:_RECONSTRUCTIONS],
        neighbours,
        names=("sample", "nearest in training set"),
      )
    )
  return plots


def _num_samples(dataset: Dataset) -> int:
  """Returns the number of samples to plot: histograms need more than grids."""
  return max(_SAMPLES, len(dataset.test)) if dataset.kind == "vectors" else _SAMPLES


def _plot_latents(
  workdir: Path, trained: TrainedAutoencoder, dataset: Dataset, outputs: Outputs
) -> list[Path]:
  _, directions_key = scoring_keys()
  latents, reference, scale = outputs.latents, None, 1.0
  if not is_normal(trained.prior):
    reference = np.asarray(trained.prior.sample(jax.random.key(0), _REFERENCE_SAMPLES))
    scale = 1.1 * float(np.quantile(np.abs(reference), 0.995)) / _PLANE_EXTENT
  plots = [
    diagnostics.save_marginals(workdir / "marginals.png", latents, reference=reference),
    diagnostics.save_quantiles(
      workdir / "quantiles.png", latents, key=directions_key, reference=reference
    ),
  ]
  if latents.shape[1] > 1:
    plots.append(
      diagnostics.save_pairs(
        workdir / "pairs.png", latents, labels=dataset.test_labels, reference=reference
      )
    )
  if latents.shape[1] == 2:
    plots.append(
      figures.save_latent_scatter(
        workdir / "latents.png", latents, dataset.test_labels, reference=reference
      )
    )
  pictures = dataset.kind == "images" and trained.scaling.unit
  if latents.shape[1] > 1 and pictures and trained.configuration.image_shape[-1] in (1, 3):
    latent_planes.write_planes(
      workdir,
      trained,
      np.asarray(outputs.means),
      dataset.test_labels,
      extent=scale * _MAP_EXTENT,
      normal=reference is None,
    )
  if latents.shape[1] == 2 and pictures:
    extent = scale * _PLANE_EXTENT
    plots.append(
      figures.save_decoded_plane(
        workdir / "plane.png",
        latent_planes.decode_plane(trained, _PLANE_SIDE, extent),
        extent=(-extent, extent, -extent, extent),
      )
    )
  return plots


def _interpolate(trained: TrainedAutoencoder, means: np.ndarray) -> np.ndarray:
  """Decodes points on straight lines from one test image's latents to another's.

  If the prior is a sphere, the points lie on arcs around its centre instead.
  """
  rows = min(_INTERPOLATIONS, len(means) // 2) or 1
  ends = means[: 2 * rows]
  first, second = ends[:rows, None], ends[-rows:, None]
  t = np.linspace(0, 1, _STEPS, dtype=np.float32)[:, None]
  path = (1 - t) * first + t * second
  if isinstance(trained.prior, UniformSphere):
    norms = [np.linalg.norm(points, axis=-1, keepdims=True) for points in (first, second, path)]
    path *= ((1 - t) * norms[0] + t * norms[1]) / np.maximum(norms[2], 1e-6)
  images = trained.decode(path.reshape(-1, path.shape[-1]))
  return np.asarray(images).reshape(rows, _STEPS, *images.shape[1:])
