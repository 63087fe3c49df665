"""The results of the benchmark of training as a page of tables, with targets, and as a figure."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from aejax._files import replacing
from benchmarks.environment import describe
from benchmarks.results import (
  OURS,
  Results,
  Row,
  Target,
  left_out,
  markdown,
  milliseconds,
  ratio,
  section,
  select,
  targets_section,
  write_page,
)

__all__ = [
  "COMPILED",
  "EAGER",
  "MATRIX_PRODUCTS",
  "PYTHAE",
  "draw_figure",
  "training_targets",
  "write_training_report",
]

MATRIX_PRODUCTS, EAGER, COMPILED, PYTHAE = (
  "matrix products alone",
  "PyTorch, eager",
  "torch.compile",
  "pythae's trainer",
)
_PEERS = (EAGER, COMPILED, PYTHAE)
_COLOURS = {OURS: "#3f90da", EAGER: "#d97f00", COMPILED: "#a96b59", PYTHAE: "#832db6"}
# The height of a bar is that of at least this many bars in a panel.
_MIN_BARS = 12
_INK, _BOUND_COLOUR = "#333333", "#94a4a2"
# Quartiles farther apart than this factor make a time unsteady.
_MAX_SPREAD = 1.3

_INTRODUCTION = """\
Times are medians in milliseconds per step, with quartiles in brackets. They are of calls of many
steps, taken in turns in one process on the same number of threads. Every implementation trains on
{side}×{side} grey images with D = {latent_dim}, batches of {batch_size}, Adam and float32. Ours is
the compiled loop of `train`, with the data on the device as uint8.

The column of a peer (another library) is its time over ours. PyTorch has the same layers with the
same weights (the same number of parameters and, for ae and cwae, the same first losses), the same
data on its device, and the published formulas of the distances. torch.compile compiles the loss,
and uses the fused Adam. pythae's trainer includes its data loader. *Unsteady* marks a time whose
quartiles are more than a factor of 1.3 apart, or that was taken fewer than three times. Measure it
again on an idle machine.
"""
_OVERHEAD = """\
Time of a step over that of the plain autoencoder: the median ratio of calls in pairs, with
quartiles in brackets.
"""
_FIRST = """\
Seconds in a fresh process: to make model, data and state, and to compile the loop and take its
first step. The whole process includes imports. *Cached* is the next process, which finds the
compiled programs on disk.
"""


def training_targets(rows: list[Row]) -> list[Target]:
  """Returns the library's targets for training for which the rows hold a measurement."""
  return [*_against_peers(rows), *_overhead_targets(rows), *_first_step_targets(rows)]


def write_training_report(
  results: Results, path: Path, absent: Mapping[str, str], figure: Path
) -> Path:
  """Writes the page.

  Args:
    results: results of a run, finished or not.
    path: path of the page.
    absent: peers that are not installed, and why they are left out.
    figure: figure in the folder of the page.

  Returns:
    The path of the page.
  """
  rows = results.rows
  sections = [
    "# What training costs",
    describe(results.environment),
    _INTRODUCTION.format(**results.settings),
    f"![step time]({figure.name})",
    *(
      section(f"`{network}`", _steps_table(rows, network))
      for network in dict.fromkeys(row["network"] for row in select(rows, kind="step"))
    ),
    section("Over the plain autoencoder", _overhead_table(rows), _OVERHEAD),
    section("First step", _first_step_table(rows), _FIRST),
    section("Several seeds together", _seeds_list(rows)),
    section("Not measured", left_out(rows, absent, _describe)),
    targets_section(training_targets(rows)),
  ]
  return write_page(path, sections)


def draw_figure(rows: list[Row], path: Path) -> Path:
  """Plots the time of a step as bars, in one panel for each network, and returns the path."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure
  from matplotlib.lines import Line2D
  from matplotlib.patches import Patch

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
    for bound in select(here, contestant=MATRIX_PRODUCTS):
      axes.axvline(bound["median"] * 1e3, color=_BOUND_COLOUR, linestyle="--", linewidth=1)
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.set_ylim(max(position, _MIN_BARS), -1.0)
    axes.margins(x=0.14)
    axes.set_xlabel("ms per step")
    axes.set_title(network, color=_INK)
    axes.spines[["top", "right"]].set_visible(False)
  shown = [name for name in _COLOURS if select(measured, contestant=name)]
  handles: list[Any] = [Patch(color=_COLOURS[name]) for name in shown]
  if select(measured, contestant=MATRIX_PRODUCTS):
    shown.append(MATRIX_PRODUCTS)
    handles.append(Line2D([], [], color=_BOUND_COLOUR, linestyle="--", linewidth=1))
  columns = 2 if len(panels) == 1 else len(shown)
  figure.legend(handles, shown, loc="outside lower center", ncols=columns, frameon=False)
  with replacing(path) as temporary:
    figure.savefig(temporary, dpi=150)
  return path


def _against_peers(rows: list[Row]) -> Iterator[Target]:
  steps = select(rows, kind="step", status="measured")
  for peer, factors in (
    (EAGER, {"mlp": 3.0, "convolutional": 1.2}),
    (PYTHAE, {"mlp": 6.0}),
  ):
    for row in select(steps, contestant=peer):
      for ours in select(steps, contestant=OURS, network=row["network"], method=row["method"]):
        factor, found = factors[row["network"]], row["median"] / ours["median"]
        wanted = f"`{row['method']}`, {row['network']}: at least {factor:g}× as fast as {peer}"
        yield Target(wanted, ratio(found) + _doubt(row, ours), found >= factor)


def _doubt(*rows: Row) -> str:
  """Returns a remark if a time is unsteady: contention slows PyTorch's threads the most."""
  unsteady = any(row["upper"] > _MAX_SPREAD * row["lower"] for row in rows)
  # One or two repetitions say nothing about the spread.
  unsteady = unsteady or any(row.get("repetitions", 3) < 3 for row in rows)
  return " (unsteady)" if unsteady else ""


def _overhead_targets(rows: list[Row]) -> Iterator[Target]:
  for row in select(rows, kind="overhead"):
    wanted = f"`{row['method']}`, {row['network']}: a step at most 1.15× the plain autoencoder's"
    yield Target(wanted, ratio(row["median"]) + _doubt(row), row["median"] <= 1.15)


def _first_step_targets(rows: list[Row]) -> Iterator[Target]:
  for row in select(rows, kind="first step", status="measured", cached=False):
    wanted = f"`{row['method']}`, {row['network']}: first step within 5 s"
    yield Target(wanted, f"{row['seconds']:.1f} s", row["seconds"] <= 5)
  for warm in select(rows, kind="first step", status="measured", cached=True):
    same = {"kind": "first step", "network": warm["network"], "method": warm["method"]}
    for cold in select(rows, **same, cached=False):
      wanted = f"`{warm['method']}`, {warm['network']}: first step sooner from the cache"
      found = f"{warm['seconds']:.1f} s instead of {cold['seconds']:.1f} s"
      yield Target(wanted, found, warm["seconds"] < cold["seconds"])


def _steps_table(rows: list[Row], network: str) -> str:
  here = select(rows, kind="step", network=network, status="measured")
  shown = [name for name in (MATRIX_PRODUCTS, *_PEERS) if select(here, contestant=name)]
  lines = []
  for ours in select(here, contestant=OURS):
    times = [milliseconds(ours[field]) for field in ("median", "lower", "upper")]
    line = [f"`{ours['method']}`", f"{times[0]} [{times[1]}, {times[2]}]"]
    line.append(f"{ours['images_per_second']:,.0f}")
    for name in shown:
      found = select(here, contestant=name, method=ours["method"])
      line.append(ratio(found[0]["median"] / ours["median"]) if found else "–")
    lines.append(line)
  return markdown(["method", "ms per step", "images/s", *shown], lines) if lines else ""


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


def _seeds_list(rows: list[Row]) -> str:
  lines = []
  for row in select(rows, kind="seeds"):
    gain = row["median"]
    verdict = "faster" if gain > 1.05 else "slower" if gain < 0.95 else "the same"
    lines.append(
      f"{row['seeds']} runs of `{row['method']}`, {row['network']}, under one vmap train "
      f"{row['images_per_second']:,.0f} images/s in total, one run alone "
      f"{row['images_per_second_of_one']:,.0f} images/s: {gain:.2f}× [{row['lower']:.2f}, "
      f"{row['upper']:.2f}]; {verdict}."
    )
  return "\n".join(lines)


def _describe(row: Row) -> str:
  return f"{row['kind']}, `{row['method']}`, {row['network']}, {row['contestant']}"
