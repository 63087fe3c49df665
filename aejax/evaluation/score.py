"""Scores a trained run on its test set."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import jax
import numpy as np

from aejax._files import read_json, write_json
from aejax._messages import logger, warn
from aejax.autoencoder import pixels
from aejax.data import Dataset
from aejax.evaluation.generation import (
  MIN_IMAGES,
  fit_samplers,
  generation_metrics,
  likelihood_metrics,
  table_metrics,
)
from aejax.evaluation.outputs import Outputs, scoring_keys
from aejax.evaluation.report import write_report
from aejax.evaluation.run_plots import plot_run
from aejax.evaluation.summary import Summary, summarise
from aejax.metrics.collapse import active_units, collapse
from aejax.metrics.features import CLASSIFIERS, Extractor, classifier
from aejax.metrics.latents import latent_metrics, reconstruction_error
from aejax.metrics.normality import normal_baseline
from aejax.training import Run, TrainedAutoencoder

__all__ = ["evaluate", "score"]


def score(
  run: Run,
  *,
  extractor: Extractor | None = None,
  timing: Mapping[str, float] | None = None,
) -> tuple[Summary, list[Path]]:
  """Scores a trained run and plots what it does; for several seeds, each of them.

  Writes summary.json, the plots and report.html into the work directory.

  Args:
    run: the run, with a checkpoint.
    extractor: features to compare generated images by; see `evaluate`.
    timing: `seconds` and `images_per_second` of the training; see `evaluate`.

  Returns:
    The summary, and the paths of the plots and of the report.
  """
  summaries, plots = [], []
  for seed_run in run.seeds:
    trained = seed_run.load()
    logger.info(f"Scoring {seed_run.workdir} on {len(run.dataset.test):,} test images …")
    outputs = Outputs.of(trained, run.dataset)
    summaries.append(
      evaluate(
        seed_run.workdir,
        trained,
        run.dataset,
        outputs=outputs,
        extractor=extractor,
        timing=timing,
      )
    )
    plots += plot_run(seed_run.workdir, trained, run.dataset, outputs=outputs)
  summary = summaries[0] if len(summaries) == 1 else summarise(run.workdir, summaries)
  report = write_report(run.workdir / "report.html", [seed.workdir for seed in run.seeds])
  return summary, [*plots, report]


def evaluate(
  workdir: Path,
  trained: TrainedAutoencoder,
  dataset: Dataset,
  *,
  outputs: Outputs | None = None,
  extractor: Extractor | None = None,
  timing: Mapping[str, float] | None = None,
) -> Summary:
  """Writes summary.json: the run in brief, and its metrics on the whole test set.

  Args:
    workdir: work directory of the run.
    trained: the trained autoencoder.
    dataset: the data set that it was trained on. The training images are only used to fit densities
      to their latents.
    outputs: latents and reconstructions of the test images, if they are computed already.
    extractor: features to compare generated images by, such as `inception`, in addition to those of
      the classifier that comes with aejax for some data sets.
    timing: `seconds` and `images_per_second` of the training, as `Run.train` returns them; by
      default those in an existing summary.json are kept.

  Returns:
    The summary.

  Raises:
    ValueError: if a metric is not finite, or the test images are too few for the extractor or have
      a number of channels that it does not take.
  """
  if extractor is not None and len(dataset.test) < MIN_IMAGES:
    raise ValueError(
      f"Features of {extractor.name} are compared for at least {MIN_IMAGES} test images, but "
      f"{dataset.name} has {len(dataset.test)}."
    )
  path = workdir / "summary.json"
  outputs = Outputs.of(trained, dataset) if outputs is None else outputs
  _, directions_key = scoring_keys()
  configuration = trained.configuration
  previous = read_json(path) if path.exists() else {}
  kept = {name: previous[name] for name in ("seconds", "images_per_second") if name in previous}
  summary = {
    "method": configuration.method,
    "dataset": configuration.dataset,
    "network": configuration.network,
    "latent_dim": configuration.latent_dim,
    "steps": trained.step,
    "test_images": len(dataset.test),
    "reconstruction_error": _reconstruction_error(trained, dataset, outputs),
    **latent_metrics(outputs.latents, key=directions_key),
  }
  _check_finite(summary, workdir)
  summary |= _sample_metrics(trained, dataset, outputs, extractor) | kept | dict(timing or {})
  references = normal_baseline(*outputs.latents.shape, key=jax.random.key(2))
  summary["normal_latents"] = {name: reference.mean for name, reference in references.items()}
  _check_finite(summary, workdir)
  means = np.asarray(outputs.means)
  gaussian = configuration.make_objective().gaussian_encoder
  if gaussian:
    summary["active_units"] = active_units(means)
  if (sentence := collapse(means, gaussian=gaussian)) is not None:
    warn(f"{workdir}: {sentence}")
  write_json(path, summary)
  return cast(Summary, summary)


def _reconstruction_error(trained: TrainedAutoencoder, dataset: Dataset, outputs: Outputs) -> float:
  """Returns the error that training minimises: of standardised values if the run has these."""
  if trained.scaling.mean is None:
    return reconstruction_error(pixels(dataset.test), outputs.reconstructions)
  return reconstruction_error(
    trained.scaling.apply(dataset.test), trained.scaling.apply(outputs.reconstructions)
  )


def _sample_metrics(
  trained: TrainedAutoencoder, dataset: Dataset, outputs: Outputs, extractor: Extractor | None
) -> dict[str, float]:
  """Computes metrics of generated images if there are features for them, and a VAE's likelihood."""
  fit_key, generation_key, likelihood_key = jax.random.split(jax.random.key(1), 3)
  configuration = trained.configuration
  found = likelihood_metrics(trained, dataset, key=likelihood_key)
  if dataset.kind == "vectors":
    found |= table_metrics(trained, dataset, key=generation_key)
  extractors = []
  if configuration.dataset in CLASSIFIERS and configuration.image_size is None:
    extractors.append(classifier(configuration.dataset))
  if extractor is not None:
    extractors.append(extractor)
  if extractors:
    samplers = fit_samplers(trained, dataset, key=fit_key)
    for each in extractors:
      found |= generation_metrics(
        trained,
        dataset,
        each,
        samplers,
        reconstructions=outputs.reconstructions,
        key=generation_key,
      )
  return found


def _check_finite(summary: Mapping[str, Any], workdir: Path) -> None:
  for name, value in summary.items():
    if isinstance(value, float) and not math.isfinite(value):
      raise ValueError(f"The {name} of the run in {workdir} is {value}: its training diverged.")
