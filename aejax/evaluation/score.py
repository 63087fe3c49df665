"""Scores a trained autoencoder on the test set, and draws what it does."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from aejax._files import read_json, write_json
from aejax._messages import warn
from aejax.autoencoder import pixels
from aejax.data import Dataset
from aejax.evaluation import diagnostics, figures
from aejax.evaluation.generation import (
  FEWEST,
  fit_samplers,
  generation_metrics,
  likelihood_metrics,
  nearest,
)
from aejax.evaluation.image_grid import as_figure, as_pixels, tile, write_png
from aejax.evaluation.report import write_report
from aejax.metrics.collapse import active_units, collapse
from aejax.metrics.features import CLASSIFIERS, Extractor, classifier
from aejax.metrics.latents import latent_metrics, reconstruction_error
from aejax.metrics.normality import normal_baseline
from aejax.training import Run, TrainedAutoencoder

__all__ = ["evaluate", "plot_run", "score", "summarise", "table"]

_SAMPLES = 64
_RECONSTRUCTIONS = 24
_INTERPOLATIONS, _STEPS = 8, 11
_PLANE, _EXTENT = 20, 2.5
_TILES, _REACH, _POINTS = 40, 3.0, 1000  # of the interactive plane


def score(
  run: Run,
  *,
  extractor: Extractor | None = None,
  timing: Mapping[str, float] | None = None,
) -> tuple[dict[str, Any], list[Path]]:
  """Scores a trained run and plots what it does; with several seeds, each of them.

  Args:
    run: the run; its checkpoints are read, and its summary, plots and report are written.
    extractor: features to compare generated images by; see `evaluate`.
    timing: the training's, for the summary; see `evaluate`.

  Returns:
    The summary, and the paths of the plots and of the report.
  """
  summaries, plots = [], []
  for one in run.seeds:
    trained = one.load()
    summaries.append(
      evaluate(one.workdir, trained, run.dataset, extractor=extractor, timing=timing)
    )
    plots += plot_run(one.workdir, trained, run.dataset)
  summary = summaries[0] if len(summaries) == 1 else summarise(run.workdir, summaries)
  report = write_report(run.workdir / "report.html", [one.workdir for one in run.seeds])
  return summary, [*plots, report]


def evaluate(
  workdir: Path,
  trained: TrainedAutoencoder,
  dataset: Dataset,
  *,
  extractor: Extractor | None = None,
  timing: Mapping[str, float] | None = None,
) -> dict[str, Any]:
  """Writes summary.json: the run in brief, and its figures of merit on the whole test set.

  Args:
    workdir: of the run.
    trained: what it trained.
    dataset: the data set that it was trained on; of `dataset.train` only the densities fitted
      afterwards are made.
    extractor: of features to compare generated images by, such as `inception`; beside those of
      the classifier, where one comes with aejax.
    timing: of the training, as `train` returns it, for the summary; an earlier one's is kept.

  Returns:
    The summary.

  Raises:
    ValueError: if a figure is not finite, or the test images are too few, or of too many channels,
      for the extractor.
  """
  if extractor is not None and len(dataset.test) < FEWEST:
    raise ValueError(
      f"Features of {extractor.name} are compared for {FEWEST} test images at least, but "
      f"{dataset.name} has {len(dataset.test)}."
    )
  path = workdir / "summary.json"
  noise_key, directions_key = jax.random.split(jax.random.key(0))
  # The equation compares P_E(X) with the prior: of a VAE, draws and not means.
  latents = trained.encode(dataset.test, key=noise_key)
  reconstructions = trained.reconstruct(dataset.test)
  configuration = trained.configuration
  before = read_json(path) if path.exists() else {}
  kept = {name: before[name] for name in ("seconds", "images_per_second") if name in before}
  summary = {
    "method": configuration.method,
    "dataset": configuration.dataset,
    "network": configuration.network,
    "latent_dim": configuration.latent_dim,
    "steps": trained.step,
    "test_images": len(dataset.test),
    "reconstruction_error": reconstruction_error(pixels(dataset.test), reconstructions),
    **latent_metrics(latents, key=directions_key),
  }
  _check_finite(summary, workdir)
  summary |= _of_generated(trained, dataset, extractor) | kept | dict(timing or {})
  references = normal_baseline(*latents.shape, key=jax.random.key(2))
  summary["normal_latents"] = {name: reference.mean for name, reference in references.items()}
  _check_finite(summary, workdir)
  means = np.asarray(trained.encode(dataset.test))
  gaussian = configuration.make_objective().gaussian_encoder
  if gaussian:
    summary["active_units"] = active_units(means)
  if (sentence := collapse(means, gaussian=gaussian)) is not None:
    warn(f"{workdir}: {sentence}")
  write_json(path, summary)
  return summary


def _of_generated(
  trained: TrainedAutoencoder, dataset: Dataset, extractor: Extractor | None
) -> dict[str, Any]:
  """What generated images are worth, where there are features to tell; a VAE's likelihood."""
  fit_key, generation_key, likelihood_key = jax.random.split(jax.random.key(1), 3)
  configuration = trained.configuration
  found = likelihood_metrics(trained, dataset, key=likelihood_key)
  extractors = []
  if configuration.dataset in CLASSIFIERS and configuration.image_size is None:
    extractors.append(classifier(configuration.dataset))
  if extractor is not None:
    extractors.append(extractor)
  if extractors:
    samplers = fit_samplers(trained, dataset, key=fit_key)
    for each in extractors:
      found |= generation_metrics(trained, dataset, each, samplers, key=generation_key)
  return found


def _check_finite(summary: dict[str, Any], workdir: Path) -> None:
  for name, value in summary.items():
    if isinstance(value, float) and not math.isfinite(value):
      raise ValueError(f"The {name} of the run in {workdir} is {value}: its training diverged.")


def summarise(workdir: Path, summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
  """Writes the summary.json of several seeds: their mean, and its standard error.

  Args:
    workdir: that the seeds' work directories are in.
    summaries: theirs, two at least.

  Returns:
    The summary of what all of them have: what they agree on as it is, of each other figure the
    mean, and under its name with `_standard_error` the standard deviation over √seeds.
  """
  summary: dict[str, Any] = {"seeds": len(summaries)}
  for name, first in summaries[0].items():
    # A run that was killed while it was scored and scored again has no timing.
    values = [run[name] for run in summaries if name in run]
    if len(values) < len(summaries):
      continue
    if all(value == first for value in values):
      summary[name] = first
    elif isinstance(first, float | int):
      summary[name] = float(np.mean(values))
      error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
      summary[f"{name}_standard_error"] = error
  write_json(workdir / "summary.json", summary)
  return summary


def plot_run(workdir: Path, trained: TrainedAutoencoder, dataset: Dataset) -> list[Path]:
  """Draws samples, reconstructions, interpolations and latents, and makes the report.

  Returns:
    The paths of the pictures.
  """
  some = dataset.test[:_RECONSTRUCTIONS]
  samples = trained.generate(jax.random.key(trained.configuration.seed), _SAMPLES)
  drawn = [
    figures.save_grid(workdir / "samples.png", samples),
    figures.save_reconstructions(
      workdir / "reconstructions.png", pixels(some), trained.reconstruct(some)
    ),
    figures.save_interpolations(workdir / "interpolations.png", _interpolate(trained, dataset)),
  ]
  if (found := nearest(samples[:_RECONSTRUCTIONS], dataset)) is not None:
    neighbours = pixels(np.asarray(dataset.train)[found.indices[:, 0]])
    drawn.append(
      figures.save_reconstructions(
        workdir / "neighbours.png",
        samples[:_RECONSTRUCTIONS],
        neighbours,
        names=("sample", "nearest in training set"),
      )
    )
  noise_key, directions_key = jax.random.split(jax.random.key(0))
  latents = trained.encode(dataset.test, key=noise_key)
  log = workdir / "metrics.jsonl"
  if log.is_file() and (lines := log.read_text(encoding="utf-8").splitlines()):
    epochs = [json.loads(line) for line in lines]
    drawn.append(diagnostics.save_curves(workdir / "curves.png", epochs))
  drawn.append(diagnostics.save_marginals(workdir / "marginals.png", latents))
  drawn.append(diagnostics.save_quantiles(workdir / "quantiles.png", latents, key=directions_key))
  if trained.configuration.latent_dim > 1:
    drawn.append(diagnostics.save_pairs(workdir / "pairs.png", latents))
  if trained.configuration.latent_dim == 2:
    _write_plane(workdir, trained, dataset)
    drawn += [
      figures.save_latent_scatter(workdir / "latents.png", latents, dataset.test_labels),
      figures.save_decoded_plane(
        workdir / "plane.png",
        _decode_plane(trained, _PLANE, _EXTENT),
        extent=(-_EXTENT, _EXTENT, -_EXTENT, _EXTENT),
      ),
    ]
  return drawn


def _write_plane(workdir: Path, trained: TrainedAutoencoder, dataset: Dataset) -> None:
  """What the report's interactive plane is made of: decoded tiles, and the latents as points."""
  tiles = _decode_plane(trained, _TILES, _REACH)
  canvas, _ = tile(as_pixels("tiles", tiles, rank=5), gap=0)
  write_png(workdir / "plane_tiles.png", as_figure(canvas))
  latents = np.asarray(trained.encode(dataset.test[:_POINTS])).round(3)
  labels = np.zeros(len(latents), int)
  if dataset.test_labels is not None:
    labels = np.unique(dataset.test_labels[:_POINTS], return_inverse=True)[1]
  colours = figures.class_colours(int(labels.max()) + 1)
  points = [[*map(float, z), colours[label]] for z, label in zip(latents, labels, strict=True)]
  write_json(workdir / "plane.json", {"extent": _REACH, "side": _TILES, "points": points})


def _interpolate(trained: TrainedAutoencoder, dataset: Dataset) -> np.ndarray:
  """Straight lines in latent space from one test image to another, decoded."""
  rows = min(_INTERPOLATIONS, len(dataset.test) // 2) or 1
  ends = np.asarray(trained.encode(dataset.test[: 2 * rows]))
  first, second = ends[:rows, None], ends[-rows:, None]
  t = np.linspace(0, 1, _STEPS, dtype=np.float32)[:, None]
  path = (1 - t) * first + t * second
  images = trained.decode(path.reshape(-1, path.shape[-1]))
  return np.asarray(images).reshape(rows, _STEPS, *images.shape[1:])


def _decode_plane(trained: TrainedAutoencoder, side: int, extent: float) -> np.ndarray:
  """A square of the latent plane, decoded point by point, the top row first."""
  line = np.linspace(-extent, extent, side, dtype=np.float32)
  x, y = np.meshgrid(line, line[::-1])
  images = trained.decode(np.stack([x, y], -1).reshape(-1, 2))
  return np.asarray(images).reshape(side, side, *images.shape[1:])


def table(summary: dict[str, Any]) -> str:
  """A summary as lines for the terminal: each figure, and what truly normal latents score."""
  shown = {name: value for name, value in summary.items() if not isinstance(value, dict)}
  width = max(20, *map(len, shown)) + 2
  references = summary.get("normal_latents", {})
  lines = []
  for name, value in shown.items():
    line = f"{name:{width}}{value:.5g}" if isinstance(value, float) else f"{name:{width}}{value}"
    if name in references:
      line = f"{line:{width + 14}}normal latents {references[name]:.2g}"
    lines.append(line)
  return "\n".join(lines)
