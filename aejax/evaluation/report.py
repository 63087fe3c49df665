"""Writes a report: a self-contained HTML page about one run, or about several side by side."""

import html
import string
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from aejax._files import replacing
from aejax.evaluation import report_pictures, report_tables
from aejax.evaluation.conclusion import findings
from aejax.evaluation.report_curves import Series, curves
from aejax.evaluation.report_runs import ReportRun, by_setting, group_name, names_of, open_run
from aejax.evaluation.summary import averaged
from aejax.training.options import GIVEN

__all__ = ["write_report"]

# Heading and caption of each plot, in the order of the page.
_PLOTS = {
  "samples.png": ("Samples", "Decoded draws from N(0, I)."),
  "neighbours.png": (
    "Memorisation",
    "Samples, each above the training image with the smallest pixel distance.",
  ),
  "reconstructions.png": ("Reconstructions", "Test images, each above its reconstruction."),
  "interpolations.png": (
    "Interpolations",
    "Decoded points on straight lines between the latents of two test images.",
  ),
  "correlations.png": ("Correlations", "Correlations of the features of test vectors and samples."),
  "marginals.png": (
    "Latent marginals",
    "Histograms of each coordinate of the test latents; the line is the density of N(0, 1).",
  ),
  "quantiles.png": (
    "Quantiles",
    "Quantiles of the test latents along directions, against those of N(0, 1). Normal latents lie "
    "on the diagonal.",
  ),
  "pairs.png": (
    "Pairs of coordinates",
    "Test latents, by class if they have some, with the circle |z| = 2.",
  ),
  "latents.png": ("Latents", "Test latents by class, with the circles |z| = 1, 2, 3."),
  "plane.png": ("Decoded plane", "Each image is at the latent that it is decoded from."),
}
# Words of the captions that change with another prior, whose samples the plots show.
_OTHER_PRIOR = {
  "Decoded draws from N(0, I)": "Decoded draws from the prior",
  "the line is the density of N(0, 1)": "the line is that of samples of the prior",
  "those of N(0, 1). Normal latents": "those of the prior. Samples of the prior",
  "with the circle |z| = 2": "over samples of the prior in grey",
  "with the circles |z| = 1, 2, 3": "over samples of the prior in grey",
}
# Captions that differ from those of images.
_CAPTIONS = {
  "vectors": {
    "samples.png": "Histograms of at most twelve features of decoded draws from N(0, I); the lines "
    "are those of test vectors.",
    "reconstructions.png": "At most twelve features of test vectors, reconstructed against true.",
    "interpolations.png": "Decoded points on straight lines between the latents of test vectors.",
  },
  "signals": {
    "reconstructions.png": "Test signals in grey, with their reconstructions over them.",
    "interpolations.png": "Decoded points on straight lines between the latents of test signals.",
  },
  "volumes": {
    "samples.png": "Middle slices of decoded draws from N(0, I).",
    "reconstructions.png": "Middle slices of test volumes, each above its reconstruction.",
    "interpolations.png": "Decoded points on straight lines between the latents of test volumes.",
  },
}
_WALK = (
  '<p class="lead">Point, tap or use the arrow keys on the test latents. The image beside them is '
  "decoded from the nearest point of a grid.</p>"
)
# Plots that come before the metrics.
_FIRST = ("samples.png", "reconstructions.png")


def write_report(path: str | Path, runs: Sequence[str | Path], *, title: str | None = None) -> Path:
  """Writes an HTML page about scored runs, with metrics, plots and settings.

  Args:
    path: the page to write.
    runs: work directories of scored runs, with config.json, summary.json and plots.
    title: title of the page; by default the names of the runs, or their number if there are more
      than three.

  Returns:
    The path written.

  Raises:
    ValueError: if there are no runs, or one of them is not scored.
  """
  if not runs:
    raise ValueError("runs must name one work directory or more, but is empty.")
  found = [open_run(Path(run), name) for run, name in zip(runs, names_of(runs), strict=True)]
  names, summaries = [run.name for run in found], [run.summary for run in found]
  groups = by_setting(found)
  sections = {}
  for plot in (*_FIRST, "", *(name for name in _PLOTS if name not in _FIRST)):
    if plot:
      heading, caption = _PLOTS[plot]
      sections[heading] = _side_by_side(found, plot, caption)
      continue
    sections["Metrics"] = _metrics(found, groups)
    sections["Training"] = curves(_series(found, groups))
    planes = [report_pictures.plane(run.plots, run.name) for run in found]
    if any(planes):
      sections["Walk through the latents"] = _WALK + report_pictures.side_by_side(names, planes)
  settings = [run.settings for run in found]
  sections["Settings"] = report_tables.settings_table(names, settings)
  sections = {heading: body for heading, body in sections.items() if body}
  brief = ""
  if len(groups) == 1:
    mean = summaries[0] if len(found) == 1 else averaged(summaries)
    histories = found[0].histories
    brief = report_tables.brief_table(findings(mean, histories[0] if histories else ()))
  page = string.Template(_resource("report.html")).substitute(
    title=html.escape(title or _title(found)),
    style=_resource("report.css"),
    script=_resource("report.js"),
    layout="many" if len(found) > 2 else "few",
    lead=html.escape(_lead(summaries, [run.kind for run in found])),
    brief=brief,
    contents=" ".join(f'<a href="#{_anchor(h)}">{h}</a>' for h in sections),
    sections="\n".join(
      f'<section id="{_anchor(heading)}"><h2>{heading}</h2>\n{body}\n</section>'
      for heading, body in sections.items()
    ),
  )
  path = Path(path)
  with replacing(path) as temporary:
    # JSON may contain lone surrogates, which UTF-8 cannot encode.
    temporary.write_text(page, encoding="utf-8", errors="replace")
  return path


def _resource(name: str) -> str:
  return (resources.files("aejax.evaluation") / name).read_text(encoding="utf-8")


def _title(runs: Sequence[ReportRun]) -> str:
  """Returns the names of at most three runs; of seeds of one setting, that of the setting."""
  groups = by_setting(runs)
  if len(groups) == 1 < len(runs):
    return f"{group_name(runs)}: {len(runs)} seeds"
  return ", ".join(run.name for run in runs) if len(runs) < 4 else f"{len(runs)} runs"


def _metrics(runs: Sequence[ReportRun], groups: Sequence[Sequence[ReportRun]]) -> str:
  """Returns the metrics of the runs; if some differ in the seed only, their means first."""
  names, summaries = [run.name for run in runs], [run.summary for run in runs]
  every = report_tables.metrics_table(names, summaries)
  if len(groups) == len(runs):
    return every
  heads = [
    f"{group_name(group)} (mean of {len(group)} seeds)" if len(group) > 1 else group[0].name
    for group in groups
  ]
  means = [
    averaged([run.summary for run in group]) if len(group) > 1 else group[0].summary
    for group in groups
  ]
  note = '<p class="lead">Mean ± standard error over the seeds.</p>'
  return (
    f"{report_tables.metrics_table(heads, means)}{note}"
    f"<details open><summary>Each run</summary>{every}</details>"
  )


def _series(runs: Sequence[ReportRun], groups: Sequence[Sequence[ReportRun]]) -> list[Series]:
  """Returns the training of each run; seeds of one setting have one colour."""
  single = len(groups) == 1
  numbered = [[run] for run in runs] if single else groups
  return [
    Series(group_name(group), number, epochs)
    for number, group in enumerate(numbered)
    for run in group
    for epochs in run.histories
    if epochs
  ]


def _side_by_side(runs: Sequence[ReportRun], plot: str, caption: str) -> str:
  heading = _PLOTS[plot][0]
  shown = []
  for run in runs:
    words = _caption(_CAPTIONS.get(run.kind, {}).get(plot, caption), run.summary)
    about = f"{heading} of {run.name} ({run.summary['method']}, {_dataset(run.summary['dataset'])})"
    shown.append(report_pictures.figure(run.plots / plot, words, f"{about}: {words}"))
  if not any(shown):
    return ""
  return report_pictures.side_by_side([run.name for run in runs], shown)


def _lead(summaries: Sequence[dict[str, Any]], kinds: Sequence[str]) -> str:
  methods = ", ".join(dict.fromkeys(s["method"] for s in summaries))
  counts = [
    f"{s['test_images']:,} test {kind} of {_dataset(s['dataset'])}"
    for s, kind in zip(summaries, kinds, strict=True)
  ]
  return (
    f"{methods}: scored on {', '.join(dict.fromkeys(counts))}. Latents are compared with "
    f"{_prior(summaries)}."
  )


def _dataset(name: str) -> str:
  """Returns a data set's name, without the folders of its path."""
  return "a given data set" if name.startswith(f"{GIVEN}:") else Path(name).name


def _prior(summaries: Sequence[dict[str, Any]]) -> str:
  """Returns N(0, I), or words for other priors."""
  return "the prior of each run" if any("prior" in s for s in summaries) else "N(0, I)"


def _caption(text: str, summary: dict[str, Any]) -> str:
  """Returns the caption of a plot, for the prior of the run."""
  if "prior" not in summary:
    return text
  for old, new in _OTHER_PRIOR.items():
    text = text.replace(old, new)
  return text


def _anchor(heading: str) -> str:
  return heading.lower().replace(" ", "-")
