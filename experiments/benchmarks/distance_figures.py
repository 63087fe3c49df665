"""Figures of times and memory: ours in blue, peers in orange, lower bounds in grey."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aejax._files import replacing
from benchmarks.distances import DISTANCES, NORMAL, SAMPLES
from benchmarks.results import LOWER_BOUND, OURS, Row, gradient_rows, select

if TYPE_CHECKING:
  from matplotlib.axes import Axes

__all__ = ["draw_figures"]

_INK, _OURS, _PEER, _LOWER_BOUND = "#333333", "#3f90da", "#d97f00", "#94a4a2"
_COLUMNS = 3
_TIME = "Value and gradient, in milliseconds"
# Space to the right of the data for the names of the lines, in widths of the data.
_MARGIN = 0.45
# Names closer than this, in heights of a panel, would overlap.
_MIN_GAP = 0.085


@dataclasses.dataclass(frozen=True)
class _Line:
  name: str
  points: Mapping[float, float]
  colour: str
  style: str = "-"
  width: float = 1.2


def draw_figures(rows: list[Row], out: Path) -> list[Path]:
  """Plots time over n, D and the number of directions, and memory over n, where there are rows.

  Returns:
    The paths of the figures.
  """
  figures = {
    "time_over_n": (
      {name: _lines(_times(rows, name, d=64), "n") for name in DISTANCES},
      "latents n (D = 64; 50 directions)",
      _TIME,
    ),
    "time_over_dimension": (
      {name: _lines(_times(rows, name, n=1024), "d") for name in DISTANCES},
      "dimension D (n = 1024; 50 directions)",
      _TIME,
    ),
    "time_over_slices": (
      {
        name: _lines(select(gradient_rows(rows, name), n=1024, d=64), "slices")
        for name, distance in DISTANCES.items()
        if distance.slices
      },
      "number of directions (n = 1024, D = 64)",
      _TIME,
    ),
    "memory_over_n": (
      {name: _memory_lines(rows, name) for name in DISTANCES},
      "latents n (D = 64; 50 directions)",
      "Peak memory of value and gradient beyond the inputs, in MiB",
    ),
  }
  paths = []
  for stem, (panels, x_label, title) in figures.items():
    panels = {name: lines for name, lines in panels.items() if lines}
    if panels:
      paths.append(_draw(panels, x_label, title, out / f"{stem}.png"))
  return paths


def _times(rows: list[Row], name: str, **size: int) -> list[Row]:
  """Returns rows of value and gradient with 50 directions, or the smallest number measured."""
  found = select(gradient_rows(rows, name), **size)
  numbers = {row["slices"] for row in found}
  slices = 50 if 50 in numbers else min(filter(None, numbers), default=None)
  return select(found, slices=slices)


def _lines(rows: list[Row], axis: str) -> list[_Line]:
  """Returns lines of ours, the lower bound and the peers over a field; none for a single value."""
  lines: dict[str, _Line] = {}
  for name, form in dict.fromkeys((row["contestant"], row["form"]) for row in rows):
    same = select(rows, contestant=name, form=form)
    points = {row[axis]: row["median"] * 1e3 for row in same}
    if name == OURS and form == NORMAL:
      lines[OURS] = _Line(OURS, points, _OURS, width=1.8)
    elif name == OURS and form == SAMPLES:
      lines[f"{OURS}, samples"] = _Line(f"{OURS}, samples", points, _OURS, "--")
    elif name == LOWER_BOUND:
      lines[name] = _Line("lower bound", points, _LOWER_BOUND, ":", 1.6)
    elif name not in lines and name != OURS:
      lines[name] = _Line(name, points, _PEER)
  return list(lines.values()) if any(len(line.points) > 1 for line in lines.values()) else []


def _memory_lines(rows: list[Row], name: str) -> list[_Line]:
  found = select(rows, kind="memory", distance=name, status="measured")
  lines = []
  for implementation in dict.fromkeys(row["contestant"] for row in found):
    of_one = select(found, contestant=implementation)
    points = {row["n"]: row["bytes"] / 2**20 for row in of_one}
    colour, width = (_OURS, 1.8) if implementation == OURS else (_PEER, 1.2)
    lines.append(_Line(implementation, points, colour, width=width))
  sizes = sorted({row["n"] for row in found})
  if lines:
    matrix = {n: 4 * n * n / 2**20 for n in sizes}
    lines.append(_Line("one n × n", matrix, _LOWER_BOUND, ":", 1.6))
  return lines


def _draw(panels: Mapping[str, list[_Line]], x_label: str, title: str, path: Path) -> Path:
  from matplotlib.figure import Figure

  columns = min(_COLUMNS, len(panels))
  count = -(-len(panels) // columns)
  figure = Figure(figsize=(3.3 * columns, 2.5 * count + 0.3), dpi=120, layout="constrained")
  grid = np.ravel(figure.subplots(count, columns, sharey=True, squeeze=False))
  for axes in grid[len(panels) :]:
    axes.remove()
  every = [line for lines in panels.values() for line in lines]
  x_values = sorted({x for line in every for x in line.points})
  heights = [y for line in every for y in line.points.values()]
  for axes, (name, lines) in zip(grid, panels.items(), strict=False):
    _prepare(axes, name, x_values, (min(heights) / 2, max(heights) * 3))
    _plot(axes, lines)
  for axes in grid[max(0, len(panels) - columns) : len(panels)]:
    axes.set_xlabel(x_label, fontsize=8, color=_INK)
  figure.suptitle(title, fontsize=10, color=_INK, x=0.01, ha="left")
  with replacing(path) as temporary:
    figure.savefig(temporary, format="png")
  return path


def _prepare(
  axes: "Axes", name: str, x_values: Sequence[float], y_limits: tuple[float, float]
) -> None:
  axes.set(xscale="log", yscale="log", ylim=y_limits)
  left, right = x_values[0] / 1.15, x_values[-1]
  axes.set_xlim(left, right * (right / left) ** _MARGIN)
  axes.set_xticks(x_values, [_short(x) for x in x_values])
  axes.set_xticks([], minor=True)
  axes.set_title(name, fontsize=9, color=_INK, loc="left")
  axes.spines[["top", "right"]].set_visible(False)
  axes.spines[["left", "bottom"]].set_color(_INK)
  axes.tick_params(colors=_INK, labelsize=7)
  axes.tick_params(axis="y", which="minor", length=0)
  axes.grid(axis="y", color="#e6e6e6", linewidth=0.6)
  axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")


def _short(x: float) -> str:
  return f"{x / 1024:g}k" if x % 1024 == 0 else f"{x:g}"


def _plot(axes: "Axes", lines: Iterable[_Line]) -> None:
  from matplotlib import patheffects

  ends = []
  for line in lines:
    x, y = zip(*sorted(line.points.items()), strict=True)
    axes.plot(x, y, line.style, color=line.colour, linewidth=line.width, marker=".", markersize=3.5)
    ends.append((line, x[-1], y[-1]))
  left, right = np.log(axes.get_xlim())
  bottom, top = np.log(axes.get_ylim())
  gap = 0.04 * (right - left)
  last = max((x for _, x, _ in ends), default=1.0)
  for line, x, y in ends:
    if x < last:  # the name of a line that ends early goes above its end
      axes.annotate(
        line.name,
        (x, y),
        xytext=(0, 5),
        textcoords="offset points",
        ha="center",
        fontsize=7,
        color=line.colour,
        path_effects=[patheffects.withStroke(linewidth=2.5, foreground="white")],
      )
  ends = sorted((end for end in ends if end[1] == last), key=lambda end: end[2])
  heights = [(np.log(y) - bottom) / (top - bottom) for _, _, y in ends]
  for (line, x, y), height in zip(ends, _spread(heights), strict=True):
    axes.annotate(
      line.name,
      (x, y),
      xytext=(np.exp(np.log(x) + gap), np.exp(bottom + height * (top - bottom))),
      fontsize=7,
      color=line.colour,
      va="center",
      annotation_clip=False,
      arrowprops={"arrowstyle": "-", "color": line.colour, "linewidth": 0.4, "shrinkA": 0},
    )


def _spread(heights: list[float]) -> list[float]:
  """Moves rising heights as little as possible until they are `_MIN_GAP` apart.

  Heights that are too close form a clump, which is spread around its mean.
  """
  clumps: list[list[float]] = []
  for height in heights:
    clumps.append([height])
    while len(clumps) > 1 and _mean(clumps[-1]) - _mean(clumps[-2]) < (
      _MIN_GAP * (len(clumps[-1]) + len(clumps[-2])) / 2
    ):
      clumps[-2:] = [clumps[-2] + clumps[-1]]
  return [
    _mean(clump) + _MIN_GAP * (i - (len(clump) - 1) / 2)
    for clump in clumps
    for i in range(len(clump))
  ]


def _mean(clump: list[float]) -> float:
  return sum(clump) / len(clump)
