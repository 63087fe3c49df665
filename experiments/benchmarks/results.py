"""Rows of measurements in a JSON file that a later run continues, and Markdown tables."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aejax._files import read_json, write_json
from benchmarks.environment import difference

__all__ = ["Results", "Row", "markdown", "milliseconds", "ratio", "select", "size"]

Row = dict[str, Any]


class Results:
  """The rows of a run and the environment of its measurements.

  A cell is the unit of measurement; its fields are in each of its rows. The file is rewritten after
  each cell, so an interrupted run loses at most one cell.
  """

  def __init__(
    self,
    path: Path,
    environment: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    is_stale: Callable[[Row], bool] = lambda row: False,
  ):
    """Reads `path` if it exists.

    Args:
      path: path of the JSON file.
      environment: environment of this run.
      settings: settings that must be equal for rows to be comparable.
      is_stale: function that says whether the cell of an old row is measured again.

    Raises:
      ValueError: if the file is from another environment or is damaged.
    """
    self.path = path
    self.environment = dict(environment)
    self.settings = dict(settings)
    self.rows: list[Row] = []
    self._is_stale = is_stale
    if not path.exists():
      return
    before = read_json(path)
    if not isinstance(before, dict) or not {"environment", "settings", "rows"} <= set(before):
      raise ValueError(f"{path} holds no results of a benchmark.")
    different = difference(before["environment"], self.environment)
    different = different or difference(before["settings"], self.settings)
    if different:
      raise ValueError(
        f"{path} was measured elsewhere, {different}: choose another --out, or remove it."
      )
    self.environment = before["environment"]
    self.rows = before["rows"]

  def has(self, cell: Mapping[str, Any]) -> bool:
    """Returns whether the cell was measured and none of its rows is stale."""
    rows = select(self.rows, **cell)
    return bool(rows) and not any(map(self._is_stale, rows))

  def add(self, cell: Mapping[str, Any], rows: Iterable[Row]) -> None:
    """Replaces the rows of a cell and writes the file."""
    old = select(self.rows, **cell)
    self.rows = [row for row in self.rows if row not in old]
    self.rows += [_rounded({**cell, **row}) for row in rows]
    content = {"environment": self.environment, "settings": self.settings, "rows": self.rows}
    write_json(self.path, content)


def _rounded(row: Row) -> Row:
  """Rounds to five digits; the others are noise."""
  return {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in row.items()}


def select(rows: Iterable[Row], **fields: Any) -> list[Row]:
  """Returns the rows that have these fields."""
  return [row for row in rows if all(row.get(k) == value for k, value in fields.items())]


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
  """Returns a Markdown table; all columns but the first are right-aligned."""
  lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
  return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def milliseconds(seconds: float | None) -> str:
  """Formats milliseconds with three digits; None is empty."""
  return "" if seconds is None else _three_digits(seconds * 1e3)


def ratio(value: float | None) -> str:
  """Formats a factor, such as "3.20×"; None is empty."""
  return "" if value is None else f"{_three_digits(value)}×"


def size(num_bytes: float) -> str:
  """Formats a number of bytes in B, KiB, MiB or GiB."""
  for unit in ("B", "KiB", "MiB"):
    if num_bytes < 1024:
      return f"{_three_digits(num_bytes)} {unit}"
    num_bytes /= 1024
  return f"{_three_digits(num_bytes)} GiB"


def _three_digits(value: float) -> str:
  if value >= 99.95:
    return f"{value:,.0f}"
  return f"{value:.1f}" if value >= 9.995 else f"{value:.2g}" if value < 0.0995 else f"{value:.2f}"
