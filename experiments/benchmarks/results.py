"""Rows of measurements in a JSON file that a run goes on with, and Markdown tables of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aejax._files import read_json, write_json
from benchmarks.environment import difference

__all__ = ["Results", "Row", "markdown", "milliseconds", "ratio", "select", "size"]

Row = dict[str, Any]


class Results:
  """The rows of one run, with the environment they were measured in.

  A cell is what is measured at one go: fields that each of its rows has. The file is written anew
  after each cell, so that an interrupted run loses one cell at most.
  """

  def __init__(
    self,
    path: Path,
    environment: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    is_stale: Callable[[Row], bool] = lambda row: False,
  ):
    """Opens `path`, or begins it.

    Args:
      path: the JSON file.
      environment: of this run.
      settings: what else must be the same for rows to be comparable.
      is_stale: whether an old row's cell should be measured again.

    Raises:
      ValueError: if the file there was measured in another environment, or is damaged.
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
    """Whether the cell was measured, and nothing in it is stale."""
    rows = select(self.rows, **cell)
    return bool(rows) and not any(map(self._is_stale, rows))

  def add(self, cell: Mapping[str, Any], rows: Iterable[Row]) -> None:
    """Puts the rows of a cell in the place of any it had, and writes the file."""
    old = select(self.rows, **cell)
    self.rows = [row for row in self.rows if row not in old]
    self.rows += [_rounded({**cell, **row}) for row in rows]
    content = {"environment": self.environment, "settings": self.settings, "rows": self.rows}
    write_json(self.path, content)


def _rounded(row: Row) -> Row:
  """Digits that no repetition would show again are left out."""
  return {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in row.items()}


def select(rows: Iterable[Row], **fields: Any) -> list[Row]:
  """The rows that have these fields."""
  return [row for row in rows if all(row.get(k) == value for k, value in fields.items())]


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
  """A Markdown table, the first column to the left and the others to the right."""
  lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
  return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def milliseconds(seconds: float | None) -> str:
  """Three digits; nothing for None."""
  return "" if seconds is None else _three_digits(seconds * 1e3)


def ratio(value: float | None) -> str:
  """A factor, "3.2×"; nothing for None."""
  return "" if value is None else f"{_three_digits(value)}×"


def size(num_bytes: float) -> str:
  """Bytes as a person says them."""
  for unit in ("B", "KiB", "MiB"):
    if num_bytes < 1024:
      return f"{_three_digits(num_bytes)} {unit}"
    num_bytes /= 1024
  return f"{_three_digits(num_bytes)} GiB"


def _three_digits(value: float) -> str:
  if value >= 99.95:
    return f"{value:,.0f}"
  return f"{value:.1f}" if value >= 9.995 else f"{value:.2g}" if value < 0.0995 else f"{value:.2f}"
