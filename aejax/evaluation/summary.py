"""The summary of a scored run: its keys, the summary of several seeds, and its table."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict, cast

import numpy as np

from aejax._files import write_json

__all__ = ["Summary", "averaged", "summarise", "table"]

_ERROR = "_standard_error"


class Summary(TypedDict):
  """The content of summary.json: a run in brief, and its metrics on the whole test set.

  A summary of several seeds holds the mean of each metric, and under the metric's name with
  `_standard_error` the standard error of this mean. An extractor of your own adds keys with its
  name in place of `classifier`, and `inception` adds `fid`, `kid` and the like; the type does not
  list these.

  Attributes:
    seeds: number of seeds, in a summary of several.
    method: name of the method, such as "cwae".
    dataset: name or path of the data set.
    network: name of the architecture.
    latent_dim: dimension of the latents.
    steps: number of training steps.
    test_images: number of test images.
    reconstruction_error: squared error, summed over pixels and averaged over images; of
      standardised values for data that are standardised.
    mardia_skewness: see `metrics.mardia_skewness`.
    mardia_kurtosis: see `metrics.mardia_kurtosis`.
    cramer_wold: squared Cramer-Wold distance from the latents to N(0, I).
    sliced_wasserstein: squared sliced 2-Wasserstein distance from the latents to N(0, I).
    mmd: unbiased squared MMD from the latents to N(0, I).
    energy_distance: unbiased squared energy distance from the latents to N(0, I).
    normal_latents: mean score of truly normal latents in each of the six metrics above.
    prior: name of the prior, if it is another than N(0, I). The distances are then those to the
      prior, Mardia's statistics are absent, and `prior_latents` replaces `normal_latents`.
    prior_latents: mean score of true samples of the prior in each of the four distances.
    prior_test: `statistic`, `null_mean`, `null_standard_deviation` and `p_value` of
      `metrics.prior_test` with the Cramer-Wold distance to the prior, in closed form.
    active_units: for a Gaussian encoder, number of dimensions that depend on the image.
    knn_accuracy: for examples with classes, see `metrics.label_accuracy`.
    linear_probe_accuracy: for examples with classes, see `metrics.label_accuracy`.
    log_likelihood_bound_100: for a VAE, importance-weighted bound in nats with 100 samples.
    marginal_distance: for vectors, see `metrics.marginal_distance`.
    correlation_difference: for vectors, see `metrics.correlation_difference`.
    frechet_classifier: squared Fréchet distance between test images and decoded draws of the prior.
    frechet_classifier_gaussian: the same for draws from a Gaussian fitted to the latents.
    frechet_classifier_mixture: the same for draws from a mixture fitted to the latents.
    frechet_classifier_reconstructions: the same for reconstructions of the test images.
    kernel_classifier: kernel distance between test images and decoded draws of the prior.
    kernel_classifier_standard_error: standard error of the kernel distance.
    precision_classifier: see `metrics.prdc`.
    recall_classifier: see `metrics.prdc`.
    density_classifier: see `metrics.prdc`.
    coverage_classifier: see `metrics.prdc`.
    seconds: duration of the training.
    images_per_second: speed of the training.
  """

  seeds: NotRequired[int]
  method: str
  dataset: str
  network: str
  latent_dim: int
  steps: int
  test_images: int
  reconstruction_error: float
  prior: NotRequired[str]
  mardia_skewness: NotRequired[float]
  mardia_kurtosis: NotRequired[float]
  cramer_wold: float
  sliced_wasserstein: float
  mmd: float
  energy_distance: float
  normal_latents: NotRequired[dict[str, float]]
  prior_latents: NotRequired[dict[str, float]]
  prior_test: NotRequired[dict[str, float]]
  active_units: NotRequired[float]
  knn_accuracy: NotRequired[float]
  linear_probe_accuracy: NotRequired[float]
  log_likelihood_bound_100: NotRequired[float]
  marginal_distance: NotRequired[float]
  correlation_difference: NotRequired[float]
  frechet_classifier: NotRequired[float]
  frechet_classifier_gaussian: NotRequired[float]
  frechet_classifier_mixture: NotRequired[float]
  frechet_classifier_reconstructions: NotRequired[float]
  kernel_classifier: NotRequired[float]
  kernel_classifier_standard_error: NotRequired[float]
  precision_classifier: NotRequired[float]
  recall_classifier: NotRequired[float]
  density_classifier: NotRequired[float]
  coverage_classifier: NotRequired[float]
  seconds: NotRequired[float]
  images_per_second: NotRequired[float]


def summarise(workdir: Path, summaries: Sequence[Mapping[str, Any]]) -> Summary:
  """Writes the summary.json of several seeds: means over the seeds, with standard errors.

  Args:
    workdir: the folder that holds the work directories of the seeds.
    summaries: summaries of at least two seeds.

  Returns:
    The summary of all entries that every seed has. An entry that is the same for all seeds is
    copied. For any other metric, the summary has the mean, and under its name with
    `_standard_error` the standard deviation over √seeds. This error replaces the one that a single
    run gives for some metrics.
  """
  summary = averaged(summaries)
  write_json(workdir / "summary.json", summary)
  return summary


def averaged(summaries: Sequence[Mapping[str, Any]]) -> Summary:
  """Returns the summary of several seeds, as `summarise` writes it."""
  summary: dict[str, Any] = {"seeds": len(summaries)}
  for name, first in summaries[0].items():
    if name.endswith(_ERROR):
      continue
    # A run that was killed during its scoring and scored again has no timing.
    values = [run[name] for run in summaries if name in run]
    if len(values) < len(summaries):
      continue
    if all(value == first for value in values):
      summary[name] = first
    elif isinstance(first, float | int):
      summary[name] = float(np.mean(values))
      summary[name + _ERROR] = float(np.std(values, ddof=1)) / math.sqrt(len(values))
  return cast(Summary, summary)


def table(summary: Mapping[str, Any]) -> str:
  """Formats a summary as lines for the terminal, with the scores of truly normal latents."""
  shown = {name: value for name, value in summary.items() if not isinstance(value, dict)}
  width = max(20, *map(len, shown)) + 2
  kind = "normal" if "normal_latents" in summary else "prior"
  references = summary.get(f"{kind}_latents", {})
  lines = []
  for name, value in shown.items():
    line = f"{name:{width}}{value:.5g}" if isinstance(value, float) else f"{name:{width}}{value}"
    if name in references:
      line = f"{line:{width + 14}}{kind} latents {references[name]:.2g}"
    lines.append(line)
  if test := summary.get("prior_test"):
    lines.append(
      f"{'prior_test':{width}}p = {test['p_value']:.2g}: cramer_wold {test['statistic']:.3g}, "
      f"samples of the prior {test['null_mean']:.3g} ± {test['null_standard_deviation']:.1g}"
    )
  return "\n".join(lines)
