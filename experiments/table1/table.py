"""Table 1 of the Cramer-Wold paper: its rows, the published values, and the page.

Every row is a method with the published network, learning rate and λ. Rows called "paper" use the
samples or the approximation of the published code, where the other rows use a closed form.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aejax._files import replacing, write_json
from aejax.evaluation.image_grid import blank_figure, label_powers, write_png

__all__ = ["PUBLISHED_FID", "ROWS", "Row", "markdown", "statistics", "write_table"]


@dataclasses.dataclass(frozen=True)
class Row:
  """A row of the table.

  Attributes:
    label: label in the table.
    run: name of the folder of its runs; rows that share their runs differ in the sampler.
    method: method of the runs, as on the command line.
    objective: fields of the objective that differ from the published settings or the defaults.
    sampler: distribution of the latents that are decoded for the generation metrics: prior,
      gaussian or mixture.
  """

  label: str
  run: str
  method: str
  objective: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  sampler: str = "prior"


# SIGReg and the energy distance are not in the paper. Their λ = 100 is that of WAE-MMD and SWAE on
# Fashion-MNIST.
ROWS = (
  Row("AE", "ae", "ae"),
  Row("VAE", "vae", "vae"),
  Row("SWAE", "swae", "swae"),
  Row("SWAE, paper", "swae-paper", "swae", {"sample_prior": True}),
  Row("WAE-MMD", "wae-mmd", "wae-mmd"),
  Row("WAE-MMD, paper", "wae-mmd-paper", "wae-mmd", {"sample_prior": True}),
  Row("CWAE", "cwae", "cwae"),
  Row("CWAE, paper", "cwae-paper", "cwae", {"approximate": True}),
  Row("SIGReg-AE", "sigreg", "sigreg", {"weight": 100.0}),
  Row("Energy-AE", "energy", "energy", {"weight": 100.0}),
  Row("AE + Gaussian mixture", "ae", "ae", sampler="mixture"),
  Row("CWAE + Gaussian mixture", "cwae", "cwae", sampler="mixture"),
)

# FID with Inception's features, as gmum/cwae-pytorch reports for its own runs. Values in other
# features cannot be compared with these.
PUBLISHED_FID = {
  "mnist": {"SWAE": 30.94, "WAE-MMD": 28.71, "CWAE": 24.22},
  "fashion_mnist": {"SWAE": 55.99, "WAE-MMD": 51.74, "CWAE": 50.35},
  "cifar10": {"SWAE": 131.6, "WAE-MMD": 136.6, "CWAE": 118.1},
  "celeb_a": {"SWAE": 62.42, "WAE-MMD": 51.29, "CWAE": 48.02},
}

_COLUMNS = {
  "reconstruction_error": "reconstruction error",
  "mardia_skewness": "Mardia skewness",
  "mardia_kurtosis": "Mardia kurtosis",
  "cramer_wold": "Cramer-Wold",
  "frechet_classifier": "Fréchet (classifier)",
  "frechet_classifier_reconstructions": "of reconstructions",
  "kernel_classifier": "kernel distance",
  "precision_classifier": "precision",
  "recall_classifier": "recall",
  "fid": "FID",
  "kid": "KID",
}
_LATENT_METRICS = ("mardia_skewness", "mardia_kurtosis", "cramer_wold")
_SAMPLE_METRICS = (
  "frechet_classifier",
  "kernel_classifier",
  "precision_classifier",
  "recall_classifier",
  "fid",
  "kid",
)


def write_table(
  out: Path,
  dataset: str,
  rows: Sequence[Row],
  summaries: Mapping[str, Sequence[Mapping[str, Any]]],
  about: Mapping[str, Any],
) -> list[Path]:
  """Writes table.md, table.json and, where there are Fréchet distances, frechet.png.

  Args:
    out: folder of the table.
    dataset: name of the data set.
    rows: rows of the table.
    summaries: summaries by run, one for each seed.
    about: how, when and where the table was made.

  Returns:
    The paths of the files.
  """
  shown = [(row.label, _metrics(row, summaries[row.run])) for row in rows if row.run in summaries]
  counts = {row.label: len(summaries[row.run]) for row in rows if row.run in summaries}
  columns = {n: h for n, h in _COLUMNS.items() if any(n in metrics for _, metrics in shown)}
  listed = shown
  if len(set(counts.values())) > 1:  # some seeds are not scored yet
    columns = {"seeds": "seeds", **columns}
    listed = [(label, metrics | {"seeds": (counts[label], math.nan)}) for label, metrics in shown]
  published = PUBLISHED_FID.get(dataset, {})
  normal = next(iter(summaries.values()))[0].get("normal_latents", {})
  reference = {n: (normal[n], math.nan) for n in _LATENT_METRICS if n in normal}
  lines = [
    f"# Table 1, {dataset}",
    "",
    *(f"- {name.replace('_', ' ')}: {_plain(value)}" for name, value in about.items()),
    f"- {max(counts.values())} seeds; mean ± standard error of the mean",
    "",
    markdown(columns, [*listed, ("*truly normal latents*", reference)], published),
    "",
    "Rows called *paper* use samples of the prior (SWAE, WAE-MMD) and the approximation of φ_D",
    "(CWAE), as in the published code. The other rows use closed forms and exact values. The",
    "published Cramer-Wold distance lacks a factor, which the logarithm turns into a constant.",
    "*+ Gaussian mixture* decodes samples of ten Gaussians fitted to the training latents.",
    "",
    *_about_features("fid" in columns),
    "",
  ]
  table, data = out / "table.md", out / "table.json"
  with replacing(table) as temporary:
    temporary.write_text("\n".join(lines), encoding="utf-8")
  rows_as_data = {
    label: {n: {"mean": m, "standard_error": _or_none(e)} for n, (m, e) in metrics.items()}
    for label, metrics in shown
  }
  write_json(data, {"dataset": dataset, "seeds": counts, **about, "rows": rows_as_data})
  paths = [table, data]
  distances = [(label, m["frechet_classifier"]) for label, m in shown if "frechet_classifier" in m]
  if distances:
    paths.append(_plot_distances(out / "frechet.png", distances))
  return paths


def _about_features(has_fid: bool) -> list[str]:
  """Returns lines that say which features the distances of images use."""
  lines = [
    "Fréchet and kernel distances compare the test images with the same number of generated images",
    "in 64 features of a small classifier that comes with aejax. *Of reconstructions* is the",
    "Fréchet distance of the reconstructed test images: the decoder's part of the distance.",
  ]
  if not has_fid:
    return [
      *lines,
      "The published FID uses Inception's features, so only the order of methods can be compared.",
    ]
  return [
    *lines,
    "The published FID uses Inception's features, as FID and KID do here. Both depend on the",
    "number of images, which may differ from the published one.",
  ]


def _metrics(row: Row, summaries: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
  """Returns the metrics of a row; a fitted sampler replaces those of generated images."""
  metrics = statistics(summaries)
  if row.sampler == "prior":
    return metrics
  kept = {name: value for name, value in metrics.items() if name not in _SAMPLE_METRICS}
  fitted = {name: f"{name}_{row.sampler}" for name in ("frechet_classifier", "fid")}
  return kept | {name: metrics[key] for name, key in fitted.items() if key in metrics}


def _plot_distances(path: Path, distances: Sequence[tuple[str, tuple[float, float]]]) -> Path:
  """Plots Fréchet distances as points with standard errors, the smallest at the top."""
  ordered = sorted(distances, key=lambda row: -row[1][0])
  height = 90 + 34 * len(ordered)
  figure = blank_figure(900, height)
  axes = figure.add_axes((0.3, 60 / height, 0.67, 1 - 80 / height))
  for y, (_, (mean, error)) in enumerate(ordered):
    bar = None if math.isnan(error) else error
    axes.errorbar(mean, y, xerr=bar, fmt="o", color="#3f90da", ecolor="#333333", capsize=3)
  axes.set_yticks(range(len(ordered)), [label for label, _ in ordered], fontsize=10)
  axes.set_ylim(-0.6, len(ordered) - 0.4)
  means = [mean for _, (mean, _) in ordered]
  if min(means) > 0 and max(means) > 8 * min(means):
    axes.set_xscale("log")
    label_powers(axes.xaxis)
  else:
    axes.set_xlim(left=0)
  axes.set_xlabel("Fréchet distance of samples, classifier features (less is better)", fontsize=9)
  axes.grid(axis="x", color="#dddddd", linewidth=0.8)
  axes.set_axisbelow(True)
  for side in ("top", "right", "left"):
    axes.spines[side].set_visible(False)
  axes.tick_params(axis="y", length=0)
  return write_png(path, figure)


def _plain(value: Any) -> str:
  return f"{value:.2f}" if isinstance(value, float) else str(value)


def _or_none(value: float) -> float | None:
  return value if math.isfinite(value) else None


def statistics(summaries: Sequence[Mapping[str, Any]]) -> dict[str, tuple[float, float]]:
  """Returns mean and standard error over seeds of each metric that all summaries have.

  With one seed, the standard error is NaN.
  """
  found = {}
  for name, first in summaries[0].items():
    if not isinstance(first, float) or not all(name in summary for summary in summaries):
      continue
    values = np.array([summary[name] for summary in summaries])
    error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    found[name] = float(values.mean()), error
  return found


def markdown(
  columns: Mapping[str, str],
  rows: Sequence[tuple[str, Mapping[str, tuple[float, float]]]],
  published: Mapping[str, float],
) -> str:
  """Returns a Markdown table of means ± standard errors.

  Args:
    columns: headings by metric.
    rows: label and metrics of each row.
    published: published FID by label, for some rows.
  """
  heads = ["method", *columns.values(), *(["published FID"] if published else [])]
  lines = [f"| {' | '.join(heads)} |", "|---" + "|---:" * (len(heads) - 1) + "|"]
  for label, metrics in rows:
    values = [_rounded(metrics.get(name)) for name in columns]
    if published:
      values.append(f"{published[label]:.2f}" if label in published else "")
    lines.append(f"| {label} | {' | '.join(values)} |")
  return "\n".join(lines)


def _rounded(metric: tuple[float, float] | None) -> str:
  """Returns mean and standard error, rounded to the second digit of the error."""
  if metric is None:
    return ""
  mean, error = metric
  if not math.isfinite(error) or error == 0:
    return f"{mean:.4g}"
  digits = max(0, 1 - math.floor(math.log10(error)))
  return f"{mean:.{digits}f} ± {error:.{digits}f}"
