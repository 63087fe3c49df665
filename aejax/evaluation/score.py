"""Scores a trained run on its test set."""

import json
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
from aejax.evaluation.prior_metrics import (
  comparison_with_prior,
  is_normal,
  prior_baseline,
  prior_metrics,
)
from aejax.evaluation.report import write_report
from aejax.evaluation.run_plots import plot_run
from aejax.evaluation.summary import Summary, summarise
from aejax.metrics.collapse import active_units, collapse
from aejax.metrics.features import CLASSIFIERS, Extractor, classifier
from aejax.metrics.labels import MAX_TRAIN, label_accuracy
from aejax.metrics.latents import reconstruction_error
from aejax.training import Run, TrainedAutoencoder
from aejax.training.configuration import write

__all__ = ["evaluate", "score", "score_in"]


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
  if run.workdir is None:
    raise ValueError("This run has no work directory: give score_in a folder.")
  summaries, plots, folders = [], [], []
  for seed_run in run.seeds:
    assert seed_run.workdir is not None
    folders.append(seed_run.workdir)
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
  report = write_report(run.workdir / "report.html", folders)
  return summary, [*plots, report]


def score_in(folder: Path, run: Run, *, extractor: Extractor | None = None) -> list[Path]:
  """Scores a run without a work directory; a folder gets what its work directory would hold.

  Returns:
    The paths of the plots.
  """
  write(folder, run.configuration)
  lines = [json.dumps(line) + "\n" for line in run.history]
  (folder / "metrics.jsonl").write_text("".join(lines), encoding="utf-8")
  outputs = Outputs.of(run, run.dataset)
  evaluate(folder, run, run.dataset, outputs=outputs, extractor=extractor)
  return plot_run(folder, run, run.dataset, outputs=outputs)


def evaluate(
  workdir: Path | None,
  trained: TrainedAutoencoder,
  dataset: Dataset,
  *,
  outputs: Outputs | None = None,
  extractor: Extractor | None = None,
  timing: Mapping[str, float] | None = None,
) -> Summary:
  """Writes summary.json: the run in brief, and its metrics on the whole test set.

  Args:
    workdir: work directory of the run, or None to write nothing.
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
  path = None if workdir is None else workdir / "summary.json"
  where = "the run" if workdir is None else f"the run in {workdir}"
  outputs = Outputs.of(trained, dataset) if outputs is None else outputs
  _, directions_key = scoring_keys()
  configuration, prior = trained.configuration, trained.prior
  previous = {} if path is None or not path.exists() else read_json(path)
  kept = {name: previous[name] for name in ("seconds", "images_per_second") if name in previous}
  summary = {
    "method": configuration.method,
    "dataset": configuration.dataset,
    "network": configuration.network,
    "latent_dim": configuration.latent_dim,
    "steps": trained.step,
    "test_images": len(dataset.test),
    "reconstruction_error": _reconstruction_error(trained, dataset, outputs),
    **prior_metrics(outputs.latents, prior, key=directions_key),
  }
  if not is_normal(prior):
    summary["prior"] = type(prior).__name__
  _check_finite(summary, where)
  summary |= _sample_metrics(trained, dataset, outputs, extractor) | kept | dict(timing or {})
  references = prior_baseline(len(outputs.latents), prior, key=jax.random.key(2))
  summary["normal_latents" if is_normal(prior) else "prior_latents"] = references
  if comparison := comparison_with_prior(outputs.latents, prior, key=jax.random.key(3)):
    summary["prior_test"] = comparison
  _check_finite(summary, where)
  means = np.asarray(outputs.means)
  gaussian = trained.objective.gaussian_encoder
  if gaussian:
    summary["active_units"] = active_units(means)
  summary |= _label_metrics(trained, dataset, means)
  if (sentence := collapse(means, gaussian=gaussian)) is not None:
    warn(sentence if workdir is None else f"{workdir}: {sentence}")
  if path is not None:
    write_json(path, summary)
  return cast(Summary, summary)


def _reconstruction_error(trained: TrainedAutoencoder, dataset: Dataset, outputs: Outputs) -> float:
  """Returns the error that training minimises: of standardised values if the run has these."""
  if trained.scaling.mean is None:
    return reconstruction_error(pixels(dataset.test), outputs.reconstructions)
  return reconstruction_error(
    trained.scaling.apply(dataset.test), trained.scaling.apply(outputs.reconstructions)
  )


def _label_metrics(
  trained: TrainedAutoencoder, dataset: Dataset, means: np.ndarray
) -> dict[str, float]:
  """Returns how well the latents tell the classes, if the examples have classes."""
  labels, test_labels = dataset.train_labels, dataset.test_labels
  if labels is None or test_labels is None or len(np.unique(labels[:MAX_TRAIN])) < 2:
    return {}
  train = np.asarray(trained.encode(dataset.train[:MAX_TRAIN]))
  return label_accuracy(train, labels[:MAX_TRAIN], means, test_labels)


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


def _check_finite(summary: Mapping[str, Any], where: str) -> None:
  for name, value in summary.items():
    if isinstance(value, float) and not math.isfinite(value):
      raise ValueError(f"The {name} of {where} is {value}: its training diverged.")
