"""Functions that the scripts of this folder share: figures, Markdown tables, error bars."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from aejax._files import replacing

__all__ = ["COLOURS", "INK", "jackknife", "new_figure", "print_table", "save"]

INK = "#333333"
# Colours that remain distinct with colour-vision deficiencies: Petroff, 2021, arXiv 2107.02270.
COLOURS = ("#3f90da", "#ffa90e", "#bd1f01", "#832db6", "#94a4a2", "#a96b59")


def new_figure(width: float, height: float, **subplots: Any) -> tuple[Figure, Any]:
  """Returns a figure of a size in inches and its axes, without a display or global state."""
  figure = Figure(figsize=(width, height), dpi=144, layout="constrained")
  axes = figure.subplots(**subplots)
  for one in np.ravel(axes):
    one.spines[["top", "right"]].set_visible(False)
    one.spines[["left", "bottom"]].set_color(INK)
    one.tick_params(colors=INK, labelsize=9)
  return figure, axes


def save(figure: Figure, script: str) -> None:
  """Writes the figure as a PNG file next to the script, under its name."""
  with replacing(Path(script).with_suffix(".png")) as temporary:
    figure.savefig(temporary, format="png")


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
  """Prints a Markdown table whose first column is aligned left and the others right."""
  print(f"| {' | '.join(header)} |")
  print(f"|---|{'---:|' * (len(header) - 1)}")
  for row in rows:
    print(f"| {' | '.join(row)} |")
  print()


def jackknife(
  statistic: Callable[[np.ndarray], np.ndarray | float], samples: np.ndarray, blocks: int = 50
) -> tuple[np.ndarray, np.ndarray]:
  """Returns a statistic of independent samples along the first axis, and its standard error."""
  block_of = np.arange(len(samples)) * blocks // len(samples)
  left_out = np.stack([statistic(samples[block_of != block]) for block in range(blocks)])
  return np.asarray(statistic(samples)), np.sqrt((blocks - 1) * left_out.var(0))
