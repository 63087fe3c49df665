"""What the metrics of a summary are called, which way is better, and what they mean."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeGuard

__all__ = ["GROUPS", "Metric", "Reference", "describe", "is_number", "reference"]

Better = Literal["lower", "higher", ""]

GROUPS = ("Reconstructions", "Samples", "Latents against the prior", "Classes", "Training")
"""Groups of metrics, in the order of the report."""


@dataclasses.dataclass(frozen=True)
class Metric:
  """A metric in words.

  Attributes:
    label: plain name.
    group: one of `GROUPS`.
    better: whether lower or higher is better; empty if neither is.
    meaning: one sentence.
    unit: unit of the value; empty for a number without one.
  """

  label: str
  group: str
  better: Better
  meaning: str
  unit: str = ""


@dataclasses.dataclass(frozen=True)
class Reference:
  """What a metric is compared with.

  Attributes:
    value: the reference.
    label: what scores it.
  """

  value: float
  label: str


_ERRORS, _SAMPLES, _LATENTS, _CLASSES, _TRAINING = GROUPS
_METRICS = {
  "reconstruction_error": Metric(
    "reconstruction error",
    _ERRORS,
    "lower",
    "Squared error of a test example and its reconstruction, summed over its values.",
  ),
  "cramer_wold": Metric(
    "Cramer-Wold distance",
    _LATENTS,
    "lower",
    "Mean squared difference of smoothed densities over all directions.",
  ),
  "sliced_wasserstein": Metric(
    "sliced Wasserstein distance",
    _LATENTS,
    "lower",
    "Mean squared difference of sorted values along 1000 random directions.",
  ),
  "mmd": Metric(
    "MMD",
    _LATENTS,
    "lower",
    "Squared difference of means in the feature space of a kernel with seven scales; unbiased, so "
    "that true samples score about 0 and may score less.",
  ),
  "energy_distance": Metric(
    "energy distance",
    _LATENTS,
    "lower",
    "Squared distance from mean distances between points; unbiased, so that true samples score "
    "about 0 and may score less.",
  ),
  "mardia_skewness": Metric(
    "skewness (Mardia)",
    _LATENTS,
    "lower",
    "Asymmetry of the latents; a little above 0 for normal ones.",
  ),
  "mardia_kurtosis": Metric(
    "excess kurtosis (Mardia)",
    _LATENTS,
    "",
    "Weight of the tails of the latents: 0 for normal ones, positive for heavier tails.",
  ),
  "p_value": Metric(
    "p-value of the Cramer-Wold distance",
    _LATENTS,
    "",
    "Share of sets of samples of the prior that score at least as much as the latents.",
  ),
  "active_units": Metric(
    "active units",
    _LATENTS,
    "higher",
    "Number of latent dimensions that depend on the input.",
  ),
  "knn_accuracy": Metric(
    "accuracy of nearest neighbours",
    _CLASSES,
    "higher",
    "Share of test examples whose class most of the five nearest training latents have.",
  ),
  "linear_probe_accuracy": Metric(
    "accuracy of a linear classifier",
    _CLASSES,
    "higher",
    "Share of test examples whose class a logistic regression of the latents predicts.",
  ),
  "marginal_distance": Metric(
    "distance of features",
    _SAMPLES,
    "lower",
    "1-Wasserstein distance between samples and test vectors in one standardised feature, averaged "
    "over the features.",
  ),
  "correlation_difference": Metric(
    "difference of correlations",
    _SAMPLES,
    "lower",
    "Mean absolute difference between the correlations of two features.",
  ),
  "seconds": Metric("duration", _TRAINING, "", "Time that the training took.", "s"),
  "images_per_second": Metric(
    "speed", _TRAINING, "higher", "Training examples in a second, compilation included.", "1/s"
  ),
}

# Metrics whose names contain that of the features, F.
_PATTERNS = {
  r"frechet_(?P<F>\w+?)|(?P<fid>fid)": Metric(
    "Fréchet distance of samples",
    _SAMPLES,
    "lower",
    "Distance between test examples and decoded draws of the prior, by mean and covariance of "
    "features.",
  ),
  r"frechet_(?P<F>\w+)_gaussian|(?P<fid>fid)_gaussian": Metric(
    "Fréchet distance, Gaussian fitted",
    _SAMPLES,
    "lower",
    "The same for decoded draws of a Gaussian that is fitted to the latents after training.",
  ),
  r"frechet_(?P<F>\w+)_mixture|(?P<fid>fid)_mixture": Metric(
    "Fréchet distance, mixture fitted",
    _SAMPLES,
    "lower",
    "The same for decoded draws of a mixture that is fitted to the latents after training.",
  ),
  r"frechet_(?P<F>\w+)_reconstructions|(?P<fid>fid)_reconstructions": Metric(
    "Fréchet distance of reconstructions",
    _ERRORS,
    "lower",
    "The same for reconstructions of the test examples: the loss of the decoder alone.",
  ),
  r"kernel_(?P<F>\w+)|(?P<fid>kid)": Metric(
    "kernel distance of samples",
    _SAMPLES,
    "lower",
    "Unbiased squared MMD between features of test examples and samples.",
  ),
  r"precision_(?P<F>\w+)": Metric(
    "precision", _SAMPLES, "higher", "Share of samples that look like some test example."
  ),
  r"recall_(?P<F>\w+)": Metric(
    "recall", _SAMPLES, "higher", "Share of test examples that look like some sample."
  ),
  r"density_(?P<F>\w+)": Metric(
    "density",
    _SAMPLES,
    "higher",
    "Number of test examples near a sample; 1 on average for true ones.",
  ),
  r"coverage_(?P<F>\w+)": Metric(
    "coverage", _SAMPLES, "higher", "Share of test examples with a sample in their neighbourhood."
  ),
  r"log_likelihood_bound_(?P<draws>\d+)": Metric(
    "bound of the log-likelihood",
    _SAMPLES,
    "higher",
    "Importance-weighted lower bound, averaged over test examples.",
    "nats",
  ),
}


def describe(name: str) -> Metric:
  """Returns a metric of summary.json in words; unknown ones keep their name."""
  if name in _METRICS:
    return _METRICS[name]
  # The longest pattern that matches: frechet_F_gaussian before frechet_F.
  for pattern in reversed(_PATTERNS):
    if (match := re.fullmatch(pattern, name)) is None:
      continue
    metric, parts = _PATTERNS[pattern], match.groupdict()
    features = parts.get("F")
    if parts.get("fid"):
      label = metric.label.replace("Fréchet distance", "FID").replace("kernel distance", "KID")
      return dataclasses.replace(metric, label=label)
    if features in (None, "classifier"):
      return metric
    return dataclasses.replace(metric, label=f"{metric.label} ({features})")
  return Metric(name.replace("_", " "), _TRAINING, "", "")


def reference(name: str, summary: Mapping[str, Any]) -> Reference | None:
  """Returns what a metric of a summary is compared with, if there is something."""
  for kind, label in (("normal_latents", "normal samples"), ("prior_latents", "the prior")):
    value = summary.get(kind, {}).get(name)
    if is_number(value):
      return Reference(float(value), label)
  if name.startswith("frechet_") or name.startswith("fid"):
    features = re.sub(r"_(gaussian|mixture|reconstructions)$", "", name)
    value = summary.get(f"{features}_reconstructions")
    if is_number(value) and not name.endswith("_reconstructions"):
      return Reference(float(value), "reconstructions")
  return None


def is_number(value: Any) -> TypeGuard[float]:
  """Whether an entry of a summary is a number."""
  return isinstance(value, int | float) and not isinstance(value, bool)
