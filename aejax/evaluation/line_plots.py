"""Plots of signals: lines over the steps, one colour for each channel."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from aejax.evaluation._palette import BLUE, COLOURS, INK
from aejax.evaluation.diagnostics import panels, save_figure

__all__ = ["save_signal_interpolations", "save_signal_reconstructions", "save_signals"]

_SIGNALS = 16
_COLUMNS = 4
_SIZE = (230, 130)


def save_signals(
  path: str | Path, samples: Float[np.ndarray, "n t c"], real: Float[np.ndarray, "m t c"]
) -> Path:
  """Saves the first 16 generated signals, on the axis of the real ones."""
  shown = samples[:_SIGNALS]
  figure, axes = panels(len(shown), columns=_COLUMNS, size=_SIZE, gap=34)
  for panel, signal in zip(axes, shown, strict=True):
    _lines(panel, signal)
    panel.set_ylim(*_limits(real))
  return save_figure(path, figure)


def save_signal_reconstructions(
  path: str | Path,
  signals: Float[np.ndarray, "n t c"],
  reconstructions: Float[np.ndarray, "n t c"],
) -> Path:
  """Saves the first 16 signals as grey lines, and their reconstructions over them."""
  count = min(len(signals), _SIGNALS)
  figure, axes = panels(count, columns=_COLUMNS, size=_SIZE, gap=34)
  for panel, signal, copy in zip(axes, signals[:count], reconstructions[:count], strict=True):
    panel.plot(signal, color=INK, linewidth=2.4, alpha=0.3)
    _lines(panel, copy)
    panel.set_ylim(*_limits(signals))
  axes[0].set_title("grey: original", fontsize=9, color=INK, loc="left")
  return save_figure(path, figure)


def save_signal_interpolations(path: str | Path, walks: Float[np.ndarray, "rows k t c"]) -> Path:
  """Saves each walk in a panel: the first channel of its signals, from black to blue."""
  figure, axes = panels(len(walks), columns=_COLUMNS, size=_SIZE, gap=34)
  for panel, walk in zip(axes, walks, strict=True):
    for k, signal in enumerate(walk[..., 0]):
      share = k / max(len(walk) - 1, 1)
      panel.plot(signal, color=_between(INK, BLUE, share), linewidth=1)
  return save_figure(path, figure)


def _lines(panel, signal: Float[np.ndarray, "t c"]) -> None:
  for channel, values in enumerate(signal.T):
    panel.plot(values, color=COLOURS[channel % len(COLOURS)], linewidth=1.2)


def _limits(real: Float[np.ndarray, "m t c"]) -> tuple[float, float]:
  low, high = float(real.min()), float(real.max())
  margin = 0.05 * (high - low) or 1.0
  return low - margin, high + margin


def _between(first: str, second: str, share: float) -> tuple[float, ...]:
  """Returns a colour between two of the form #rrggbb."""
  ends = [np.array([int(each[i : i + 2], 16) for i in (1, 3, 5)]) / 255 for each in (first, second)]
  return tuple((1 - share) * ends[0] + share * ends[1])
