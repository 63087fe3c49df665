"""What the scripts of this folder share: the look of a figure, a Markdown table, error bars."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from aejax._files import replacing

__all__ = ["COLOURS", "INK", "jackknife", "new_figure", "print_table", "save"]

INK = "#333333"
# Petroff, 2021, arXiv 2107.02270: apart under colour-vision deficiencies.
COLOURS = ("#3f90da", "#ffa90e", "#bd1f01", "#832db6", "#94a4a2", "#a96b59")


def new_figure(width: float, height: float, **subplots):
  """A figure of that many inches and its axes, by the object API: no display, no global state."""
  figure = Figure(figsize=(width, height), dpi=144, layout="constrained")
  axes = figure.subplots(**subplots)
  for one in np.ravel(axes):
    one.spines[["top", "right"]].set_visible(False)
    one.spines[["left", "bottom"]].set_color(INK)
    one.tick_params(colors=INK, labelsize=9)
  return figure, axes


def save(figure: Figure, script: str):
  """Writes the PNG beside the script that made it."""
  with replacing(Path(script).with_suffix(".png")) as temporary:
    figure.savefig(temporary, format="png")


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]):
  """Prints a Markdown table, numbers to the right."""
  print(f"| {' | '.join(header)} |")
  print(f"|---|{'---:|' * (len(header) - 1)}")
  for row in rows:
    print(f"| {' | '.join(row)} |")
  print()


def jackknife(
  statistic: Callable[[np.ndarray], np.ndarray | float], draws: np.ndarray, blocks: int = 50
) -> tuple[np.ndarray, np.ndarray]:
  """The statistic of independent draws (along the first axis) and its standard error."""
  keep = np.arange(len(draws)) * blocks // len(draws)
  left_out = np.stack([statistic(draws[keep != block]) for block in range(blocks)])
  return np.asarray(statistic(draws)), np.sqrt((blocks - 1) * left_out.var(0))
