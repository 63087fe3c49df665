"""Writes a report: a self-contained HTML page about one run, or about several side by side."""

import base64
import html
import json
import os
import string
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from aejax import _checks
from aejax._files import read_json, replacing
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
  "curves.png": ("Training", "Means over each epoch, on the training set."),
  "marginals.png": (
    "Latent marginals",
    "Histograms of each coordinate of the test latents; the line is the density of N(0, 1).",
  ),
  "quantiles.png": (
    "Quantiles",
    "Quantiles of the test latents along directions, against those of N(0, 1). Normal latents lie "
    "on the diagonal.",
  ),
  "pairs.png": ("Pairs of coordinates", "Test latents, with the circle |z| = 2."),
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
# What the examples are called, by the number of axes of one of them.
_KINDS = {1: "vectors", 2: "signals", 3: "images", 4: "volumes"}
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
_ABOUT = ("method", "dataset", "network", "latent_dim", "steps", "test_images")


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
  folders = [Path(run) for run in runs]
  summaries = [_read_summary(folder) for folder in folders]
  settings = [_read(folder, "config.json") for folder in folders]
  names = _names(folders)
  kinds = [_kind(each) for each in settings]
  sections = {"Metrics": _scores(names, summaries)}
  planes = [_plane(folder) for folder in folders]
  if any(planes):
    sections["Walk through the latent plane"] = _side_by_side(names, planes)
  for plot, (heading, caption) in _PLOTS.items():
    shown = [
      _plot(folder / plot, _caption(_CAPTIONS.get(kind, {}).get(plot, caption), summary))
      for folder, summary, kind in zip(folders, summaries, kinds, strict=True)
    ]
    if any(shown):
      sections[heading] = _side_by_side(names, shown)
  sections["Settings"] = _table(
    ["", *names], _rows(settings, lambda v: v if isinstance(v, str) else json.dumps(v))
  )
  page = string.Template(
    (resources.files("aejax.evaluation") / "report.html").read_text(encoding="utf-8")
  ).substitute(
    title=html.escape(title or (", ".join(names) if len(names) < 4 else f"{len(names)} runs")),
    lead=html.escape(_lead(summaries, kinds)),
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


def _read(folder: Path, name: str) -> dict[str, Any]:
  if not os.path.isfile(folder / name):
    raise ValueError(
      f"{folder} holds no scored run: there is no {name} in it. Score a trained run with "
      "`aejax evaluate`."
    )
  values = read_json(folder / name)
  if not isinstance(values, dict):
    raise ValueError(f"{folder / name} must hold an object, but holds {_checks.type_name(values)}.")
  return values


def _read_summary(folder: Path) -> dict[str, Any]:
  summary = {"normal_latents": {}, **_read(folder, "summary.json")}
  summary["normal_latents"] = summary.pop("prior_latents", summary["normal_latents"])
  types = {"method": str, "dataset": str, "test_images": int, "normal_latents": dict}
  for entry, expected in types.items():
    if not isinstance(found := summary.get(entry), expected):
      path = folder / "summary.json"
      raise ValueError(f"{path} is damaged: its {entry} is {_checks.short_repr(found)}.")
  return summary


def _names(folders: Sequence[Path]) -> list[str]:
  """Returns names of the folders that differ: their own, or parents too, without a common end."""
  paths = [folder.resolve().parts for folder in folders]
  for depth in range(1, max(map(len, paths)) + 1):
    names = [path[-depth:] for path in paths]
    if len(set(names)) == len(names):
      while len({name[-1] for name in names}) == 1 < min(map(len, names)):
        names = [name[:-1] for name in names]
      return ["/".join(name) for name in names]
  return [str(folder) for folder in folders]


def _kind(settings: dict[str, Any]) -> str:
  """Returns what the examples of a run are called."""
  shape = settings.get("image_shape")
  return _KINDS.get(len(shape) if isinstance(shape, list) else 3, "examples")


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


def _scores(names: Sequence[str], summaries: Sequence[dict[str, Any]]) -> str:
  """Returns a table of the metrics, with a column for each run and one for normal latents."""
  references: dict[str, Any] = {}
  for summary in summaries:
    references |= summary["normal_latents"]
  rows = []
  for name in dict.fromkeys(key for s in summaries for key in s):
    values = [s.get(name) for s in summaries]
    if name in _ABOUT or all(isinstance(v, dict) or v is None for v in values):
      continue
    row = [name.replace("_", " "), *(_number(value) for value in values)]
    rows.append([*row, _number(references.get(name))] if references else row)
  tests = [s.get("prior_test") for s in summaries]
  if any(isinstance(test, dict) for test in tests):
    row = ["p-value of cramer wold"]
    row += [_number(test.get("p_value")) if isinstance(test, dict) else "" for test in tests]
    rows.append([*row, ""] if references else row)
  kind = "prior" if any("prior" in s for s in summaries) else "normal"
  heads = ["", *names, *([f"{kind} latents"] if references else [])]
  return _table(heads, rows)


def _number(value: Any) -> str:
  if value is None:
    return ""
  if not isinstance(value, float):
    return str(value)
  return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _rows(dictionaries: Sequence[dict[str, Any]], show: Callable[[Any], str]) -> list[list[str]]:
  names = dict.fromkeys(key for d in dictionaries for key in d)
  return [[name, *(show(d[name]) if name in d else "" for d in dictionaries)] for name in names]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  head = "".join(f"<th>{html.escape(cell)}</th>" for cell in heads)
  body = "\n".join(
    "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
  )
  return (
    f'<div class="scroll"><table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>'
    "</table></div>"
  )


def _side_by_side(names: Sequence[str], bodies: Sequence[str]) -> str:
  if len(bodies) == 1:
    return f'<div class="one">{bodies[0]}</div>'
  cells = [
    f"<div><h3>{html.escape(name)}</h3>{body}</div>"
    for name, body in zip(names, bodies, strict=True)
    if body
  ]
  return f'<div class="runs">{"".join(cells)}</div>'


def _plot(path: Path, caption: str) -> str:
  if not path.is_file():
    return ""
  shown = html.escape(caption)
  return (
    f'<figure><img src="{_embedded(path)}" alt="{shown}" loading="lazy">'
    f"<figcaption>{shown}</figcaption></figure>"
  )


def _plane(folder: Path) -> str:
  """Returns the interactive plane of two-dimensional latents, if the run has one."""
  sprite, about = folder / "plane_tiles.png", folder / "plane.json"
  if not (sprite.is_file() and about.is_file()):
    return ""
  described = html.escape(json.dumps(read_json(about)), quote=True)
  return (
    f'<div class="plane" data-about="{described}" data-sprite="{_embedded(sprite)}">'
    '<canvas width="420" height="420"></canvas>'
    '<div><canvas class="tile" width="224" height="224"></canvas><br><output></output></div></div>'
    "<p class=lead>Move the pointer over the test latents. The image next to them is decoded from "
    "the point under the pointer.</p>"
  )


def _embedded(path: Path) -> str:
  return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def _anchor(heading: str) -> str:
  return heading.lower().replace(" ", "-")
