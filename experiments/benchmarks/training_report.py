"""The results of training as a page of tables, with the targets, and as a figure."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aejax._files import replacing
from benchmarks.environment import describe
from benchmarks.results import Results, Row, markdown, milliseconds, ratio, select
from benchmarks.targets import Target

__all__ = [
  "COMPILED",
  "EAGER",
  "LOWER_BOUND",
  "OURS",
  "PYTHAE",
  "draw_figure",
  "targets",
  "write_report",
]

OURS, LOWER_BOUND, EAGER, COMPILED, PYTHAE = (
  "aejax",
  "matrix products alone",
  "PyTorch, eager",
  "torch.compile",
  "pythae's trainer",
)
_PEERS = (EAGER, COMPILED, PYTHAE)
_COLOURS = {OURS: "#3f90da", EAGER: "#d97f00", COMPILED: "#a96b59", PYTHAE: "#832db6"}
_BARS = 12
_INK, _BOUND_COLOUR = "#333333", "#94a4a2"

_INTRODUCTION = """\
Times are medians in milliseconds a step, quartiles in brackets, of calls of many steps, taken in
turns in one process on as many threads. All train on {side}×{side} grey images, D = {latent_dim},
batches of {batch_size}, Adam, float32. Ours is the compiled loop of `train`, the data on the device
as uint8.

Under a peer's name stands how many times as long it takes as ours. PyTorch has the same layers from
the same weights (as many parameters, and for ae and cwae the same first losses), the same data on
its device, and the published code of the distances. torch.compile has the loss compiled, and the
fused Adam. pythae's trainer includes its data loader, as its users meet it. *Unsteady* is said
where a time's quartiles lie further apart than 1.3×, or where it was taken once: something else
ran; measure again on an idle machine.
"""
_OVERHEAD = """\
How many times as long a step takes as the plain autoencoder's: median of the ratios of calls in
turns, quartiles in brackets.
"""
_FIRST = """\
Seconds in a fresh process: to make model, data and state, and to compile the loop and take its
first step. The whole process has the imports too. *Cached* is the next process, which finds the
programs on disk.
"""


def targets(rows: list[Row]) -> list[Target]:
  """What the library promises of training, as far as it was measured."""
  return [*_beside_peers(rows), *_overheads(rows), *_first_steps(rows)]


def write_report(results: Results, path: Path, absent: Mapping[str, str], figure: Path) -> Path:
  """Writes the page.

  Args:
    results: of a run, finished or not.
    path: of the page.
    absent: peers that are not here, and why.
    figure: to show, beside the page.
  """
  rows = results.rows
  lines = [[t.wanted, t.measured, "yes" if t.met else "**no**"] for t in targets(rows)]
  sections = [
    "# What training costs",
    describe(results.environment),
    _INTRODUCTION.format(**results.settings),
    f"![step time]({figure.name})",
    _titled("Targets", markdown(["target", "measured", "met"], lines) if lines else ""),
    *(
      _titled(f"`{network}`", _steps(rows, network))
      for network in dict.fromkeys(row["network"] for row in select(rows, kind="step"))
    ),
    _titled("Over the plain autoencoder", _overhead_table(rows), _OVERHEAD),
    _titled("First step", _first_step_table(rows), _FIRST),
    _titled("Several seeds together", _seeds(rows)),
    _titled("Not measured", _left_out(rows, absent)),
  ]
  with replacing(path) as temporary:
    page = "\n\n".join(section.strip() for section in sections if section)
    temporary.write_text(page + "\n", encoding="utf-8")
  return path


def draw_figure(rows: list[Row], path: Path) -> Path:
  """Draws a step's time as bars, a panel for each network."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  measured = select(rows, kind="step", status="measured")
  panels = list(dict.fromkeys(row["network"] for row in measured))
  figure = Figure(figsize=(5.4 * len(panels), 5.2), layout="constrained")
  FigureCanvasAgg(figure)
  for axes, network in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
    here = select(measured, network=network)
    position, ticks = 0.0, {}
    for method in dict.fromkeys(row["method"] for row in here):
      start = position
      for name, colour in _COLOURS.items():
        for row in select(here, method=method, contestant=name):
          milli = row["median"] * 1e3
          axes.barh(position, milli, 0.86, color=colour)
          text = f" {milliseconds(row['median'])}"
          axes.text(milli, position, text, va="center", fontsize=8, color=_INK)
          position += 1
      ticks[(start + position - 1) / 2] = method
      position += 0.6
    for floor in select(here, contestant=LOWER_BOUND):
      axes.axvline(floor["median"] * 1e3, color=_BOUND_COLOUR, linestyle="--", linewidth=1)
    axes.set_yticks(list(ticks), list(ticks.values()))
    # Few bars are not to fill the panel.
    axes.set_ylim(max(position, _BARS), -1.0)
    axes.margins(x=0.14)
    axes.set_xlabel("ms a step")
    axes.set_title(network, color=_INK)
    axes.spines[["top", "right"]].set_visible(False)
  shown = [name for name in _COLOURS if select(measured, contestant=name)]
  handles: list[Any] = [_swatch(_COLOURS[name]) for name in shown]
  if select(measured, contestant=LOWER_BOUND):
    shown.append(LOWER_BOUND)
    handles.append(_dashes())
  columns = 2 if len(panels) == 1 else len(shown)
  figure.legend(handles, shown, loc="outside lower center", ncols=columns, frameon=False)
  with replacing(path) as temporary:
    figure.savefig(temporary, dpi=150)
  return path


def _swatch(colour):
  from matplotlib.patches import Patch

  return Patch(color=colour)


def _dashes():
  from matplotlib.lines import Line2D

  return Line2D([], [], color=_BOUND_COLOUR, linestyle="--", linewidth=1)


def _titled(title: str, body: str, before: str = "") -> str:
  return "\n\n".join(filter(None, [f"## {title}", before.strip(), body])) if body else ""


def _pairs(rows: list[Row], contestant: str) -> Iterator[tuple[Row, Row]]:
  """A contestant's rows, each with ours."""
  steps = select(rows, kind="step", status="measured")
  for row in select(steps, contestant=contestant):
    for ours in select(steps, contestant=OURS, network=row["network"], method=row["method"]):
      yield row, ours


def _beside_peers(rows: list[Row]) -> Iterator[Target]:
  for peer, factors in (
    (EAGER, {"mlp": 3.0, "convolutional": 1.2}),
    (PYTHAE, {"mlp": 6.0}),
  ):
    for row, ours in _pairs(rows, peer):
      factor, found = factors[row["network"]], row["median"] / ours["median"]
      wanted = f"`{row['method']}`, {row['network']}: at least {factor:g}× as fast as {peer}"
      yield Target(wanted, ratio(found) + _doubt(row, ours), found >= factor)


def _doubt(*rows: Row) -> str:
  """A word where something else ran on the machine: it hits PyTorch's threads hardest."""
  unsteady = any(row["upper"] > 1.3 * row["lower"] for row in rows)
  # A call too slow to be repeated tells nothing of its spread.
  unsteady = unsteady or any(row.get("repetitions", 3) < 3 for row in rows)
  return " (unsteady)" if unsteady else ""


def _overheads(rows: list[Row]) -> Iterator[Target]:
  for row in select(rows, kind="overhead"):
    wanted = f"`{row['method']}`, {row['network']}: a step at most 1.15× the plain autoencoder's"
    yield Target(wanted, ratio(row["median"]) + _doubt(row), row["median"] <= 1.15)


def _first_steps(rows: list[Row]) -> Iterator[Target]:
  for row in select(rows, kind="first step", status="measured", cached=False):
    wanted = f"`{row['method']}`, {row['network']}: first step within 5 s"
    yield Target(wanted, f"{row['seconds']:.1f} s", row["seconds"] <= 5)
  for warm in select(rows, kind="first step", status="measured", cached=True):
    place = {"kind": "first step", "network": warm["network"], "method": warm["method"]}
    for cold in select(rows, **place, cached=False):
      wanted = f"`{warm['method']}`, {warm['network']}: first step sooner from the cache"
      found = f"{warm['seconds']:.1f} s for {cold['seconds']:.1f} s"
      yield Target(wanted, found, warm["seconds"] < cold["seconds"])


def _steps(rows: list[Row], network: str) -> str:
  here = select(rows, kind="step", network=network, status="measured")
  shown = [name for name in (LOWER_BOUND, *_PEERS) if select(here, contestant=name)]
  lines = []
  for ours in select(here, contestant=OURS):
    times = [milliseconds(ours[field]) for field in ("median", "lower", "upper")]
    line = [f"`{ours['method']}`", f"{times[0]} [{times[1]}, {times[2]}]"]
    line.append(f"{ours['images_per_second']:,.0f}")
    for name in shown:
      found = select(here, contestant=name, method=ours["method"])
      line.append(ratio(found[0]["median"] / ours["median"]) if found else "–")
    lines.append(line)
  return markdown(["method", "ms a step", "images/s", *shown], lines) if lines else ""


def _overhead_table(rows: list[Row]) -> str:
  lines = [
    [
      f"`{row['method']}`",
      row["network"],
      f"{row['median']:.3f} [{row['lower']:.3f}, {row['upper']:.3f}]",
      str(row["pairs"]),
    ]
    for row in select(rows, kind="overhead")
  ]
  return markdown(["method", "network", "ratio", "pairs"], lines) if lines else ""


def _first_step_table(rows: list[Row]) -> str:
  lines = []
  for row in select(rows, kind="first step", status="measured"):
    fields = ("make_seconds", "step_seconds", "seconds", "process_seconds")
    cached = "yes" if row["cached"] else "no"
    lines.append([f"`{row['method']}`", cached, *(f"{row[field]:.2f}" for field in fields)])
  header = ["method", "cached", "make", "compile and step", "both", "whole process"]
  return markdown(header, lines) if lines else ""


def _seeds(rows: list[Row]) -> str:
  lines = []
  for row in select(rows, kind="seeds"):
    gain = row["median"]
    verdict = "it pays" if gain > 1.05 else "it does not pay" if gain < 0.95 else "the same"
    lines.append(
      f"{row['seeds']} runs of `{row['method']}`, {row['network']}, under one vmap train "
      f"{row['images_per_second']:,.0f} images/s in total, one run alone "
      f"{row['images_per_second_of_one']:,.0f}: {gain:.2f}× [{row['lower']:.2f}, "
      f"{row['upper']:.2f}]; {verdict}."
    )
  return "\n".join(lines)


def _left_out(rows: list[Row], absent: Mapping[str, str]) -> str:
  lines = [f"- {name}: {reason}." for name, reason in sorted(absent.items())]
  for row in rows:
    if row.get("status") in ("failed", "disagrees"):
      where = f"{row['kind']}, `{row['method']}`, {row['network']}, {row['contestant']}"
      lines.append(f"- {where} {row['status']}: {row['reason']}.")
  return "\n".join(lines)
