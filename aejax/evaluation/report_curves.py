"""Training curves of a report: vector graphics in which all runs share the axes."""

import dataclasses
import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Series", "curves", "legend"]

_WIDTH, _HEIGHT = 460, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 10, 12, 40
_MAX_POINTS = 300
_QUANTITIES = {"reconstruction_error": "reconstruction error", "penalty": "penalty"}


@dataclasses.dataclass(frozen=True)
class Series:
  """The training of a run.

  Attributes:
    label: name of the run, or of the runs of one setting.
    colour: number of its colour.
    epochs: lines of metrics.jsonl.
  """

  label: str
  colour: int
  epochs: Sequence[Mapping[str, Any]]


def curves(series: Sequence[Series]) -> str:
  """Returns HTML with a panel for each quantity, or nothing if no run has epochs.

  The mean over each epoch on the training set is a line, the value on the test set a dashed line.
  """
  panels = [_panel(series, name, title) for name, title in _QUANTITIES.items()]
  if not any(panels):
    return ""
  tests = any(f"test_{name}" in line for s in series for line in s.epochs for name in _QUANTITIES)
  caption = "Means over each epoch on the training set" + (
    "; dashed: on the test set." if tests else "."
  )
  return (
    f'{legend([(s.label, s.colour) for s in series])}<div class="panels">{"".join(panels)}</div>'
    f'<p class="lead">{caption}</p>'
  )


def legend(entries: Sequence[tuple[str, int]]) -> str:
  """Returns names beside their colours; nothing for a single name."""
  names = dict(entries)
  if len(names) < 2:
    return ""
  items = "".join(
    f'<li><svg width="22" height="10" aria-hidden="true"><line class="{_classes(colour)}" '
    f'x1="0" y1="5" x2="22" y2="5"/></svg>{html.escape(name)}</li>'
    for name, colour in names.items()
  )
  return f'<ul class="legend">{items}</ul>'


def _classes(colour: int) -> str:
  return f"curve c{colour % 10}" + (" second" if colour >= 10 else "")


def _panel(series: Sequence[Series], name: str, title: str) -> str:
  lines = []
  for each in series:
    for key, test in ((name, False), (f"test_{name}", True)):
      points = [
        (float(line["epoch"]), float(line[key]))
        for line in each.epochs
        if _is_finite(line.get("epoch")) and _is_finite(line.get(key))
      ]
      if points:
        lines.append((each, test, _thin(points)))
  if not lines:
    return ""
  values = [y for _, _, points in lines for _, y in points]
  last = max(x for _, _, points in lines for x, _ in points)
  log = min(values) > 0 and max(values) > 10 * min(values)
  transform = math.log10 if log else float
  low, high = transform(min(values)), transform(max(values))
  margin = 0.05 * (high - low) or max(abs(low) * 0.05, 1e-3)
  low, high = low - margin, high + margin
  first = min(x for _, _, points in lines for x, _ in points)
  span = max(last - first, 1.0)

  def x(epoch: float) -> float:
    return _LEFT + (epoch - first) / span * (_WIDTH - _LEFT - _RIGHT)

  def y(value: float) -> float:
    share = (transform(value) - low) / (high - low)
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

  parts = []
  for tick in _powers(low, high) if log else _ticks(low, high, 5):
    at = y(tick)
    parts.append(
      f'<line class="grid" x1="{_LEFT}" y1="{at:.1f}" x2="{_WIDTH - _RIGHT}" y2="{at:.1f}"/>'
      f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{_text(tick)}</text>'
    )
  for tick in _ticks(first, last, 6):
    parts.append(
      f'<text x="{x(tick):.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">'
      f"{_text(tick)}</text>"
    )
  parts.append(
    f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 4}" text-anchor="middle">epoch</text>'
  )
  for each, test, points in lines:
    path = " ".join(f"{x(epoch):.1f},{y(value):.1f}" for epoch, value in points)
    classes = _classes(each.colour) + (" test" if test else "")
    if len(points) == 1:
      cx, cy = path.split(",")
      parts.append(f'<circle class="{classes} dot" cx="{cx}" cy="{cy}" r="3"/>')
    else:
      parts.append(f'<polyline class="{classes}" points="{path}"/>')
  ends = "; ".join(
    f"{each.label}{' on the test set' if test else ''} "
    f"from {points[0][1]:.4g} to {points[-1][1]:.4g}"
    for each, test, points in lines
  )
  return (
    f"<figure><h3>{title}</h3>"
    f'<svg class="curves" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
    f'aria-label="{html.escape(f"{title} over {last:g} epochs: {ends}")}">{"".join(parts)}</svg>'
    "</figure>"
  )


def _thin(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
  """Returns at most about 300 of the points, the last one among them."""
  step = -(-len(points) // _MAX_POINTS)
  return points[::-1][::step][::-1]


def _ticks(low: float, high: float, count: int) -> list[float]:
  """Returns at most about `count` round numbers from low to high."""
  raw = max(high - low, 1e-12) / count
  power = 10.0 ** math.floor(math.log10(raw))
  step = next(power * each for each in (1, 2, 5, 10) if power * each >= raw * 0.999)
  first = math.ceil(low / step - 1e-9)
  return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _powers(low: float, high: float) -> list[float]:
  """Returns 1, 2 and 5 times powers of ten from 10**low to 10**high, or powers alone if many."""
  powers = range(math.floor(low), math.ceil(high) + 1)
  factors = (1, 2, 5) if high - low < 2.5 else (1,)
  found = [factor * 10.0**power for power in powers for factor in factors]
  return [value for value in found if low <= math.log10(value) <= high]


def _text(value: float) -> str:
  return f"{value:.6g}".replace("-", "−")


def _is_finite(value: Any) -> bool:
  return isinstance(value, int | float) and math.isfinite(value)
