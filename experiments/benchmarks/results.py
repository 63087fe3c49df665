"""Rows of measurements in a JSON file, and Markdown pages made from them."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aejax._files import read_json, replacing, write_json
from benchmarks.environment import difference

__all__ = [
  "LOWER_BOUND",
  "OURS",
  "Results",
  "Row",
  "Target",
  "gradient_rows",
  "left_out",
  "markdown",
  "milliseconds",
  "ratio",
  "section",
  "select",
  "size",
  "targets_section",
  "write_page",
]

Row = dict[str, Any]

# Names of implementations in the field `contestant` of a row. The names of fields, and the value
# "floor", are older than the words of the code: stored results have them.
OURS, LOWER_BOUND = "aejax", "floor"

_GOALS = "The developers of aejax set these goals before they measured. Not all of them are met."


class Results:
  """The rows of one run, with the environment they were measured in.

  Every row belongs to a task, whose fields all its rows share. The file is written after each task,
  so an interrupted run loses at most one task.
  """

  def __init__(
    self,
    path: Path,
    environment: Mapping[str, Any],
    settings: Mapping[str, Any],
    *,
    is_stale: Callable[[Row], bool] = lambda row: False,
  ):
    """Reads the rows in `path`, if the file exists.

    Args:
      path: the JSON file.
      environment: environment of this run.
      settings: other settings that must be equal for rows to be comparable.
      is_stale: whether the task of a stored row should be measured again.

    Raises:
      ValueError: if the file was measured in another environment, or is damaged.
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
        f"{path} holds results of another environment or other settings ({different}): choose "
        "another --out, or remove the file."
      )
    self.environment = before["environment"]
    self.rows = before["rows"]

  def has(self, fields: Mapping[str, Any]) -> bool:
    """Returns whether a task was measured and none of its rows is stale."""
    rows = select(self.rows, **fields)
    return bool(rows) and not any(map(self._is_stale, rows))

  def add(self, fields: Mapping[str, Any], rows: Iterable[Row]) -> None:
    """Replaces the rows of a task, and writes the file."""
    old = select(self.rows, **fields)
    self.rows = [row for row in self.rows if row not in old]
    self.rows += [_rounded({**fields, **row}) for row in rows]
    content = {"environment": self.environment, "settings": self.settings, "rows": self.rows}
    write_json(self.path, content)


def _rounded(row: Row) -> Row:
  """Rounds floats to five digits, more than a repetition reproduces."""
  return {k: float(f"{v:.5g}") if isinstance(v, float) else v for k, v in row.items()}


def select(rows: Iterable[Row], **fields: Any) -> list[Row]:
  """Returns the rows that have these fields; None also matches a missing field."""
  return [row for row in rows if all(row.get(k) == value for k, value in fields.items())]


def gradient_rows(rows: Iterable[Row], name: str, slices: int | None = None) -> list[Row]:
  """Returns the rows of value and gradient of a distance, in float32 on one device."""
  fields = {"kind": "time", "distance": name, "mode": "gradient", "status": "measured"}
  found = select(rows, **fields, dtype="float32", devices=1)
  return [row for row in found if slices is None or row["slices"] == slices]


@dataclasses.dataclass(frozen=True)
class Target:
  """A target of the library, and the measurement to compare it with.

  Attributes:
    wanted: the target, in words.
    measured: the measurement, in words; empty if there is none.
    met: whether the target is met; None if nothing was measured.
  """

  wanted: str
  measured: str = ""
  met: bool | None = None


def targets_section(targets: Iterable[Target]) -> str:
  """Returns a section with a table of targets; an empty text if there are none."""
  lines = [[t.wanted, t.measured, "yes" if t.met else "**no**"] for t in targets]
  table = markdown(["goal", "measured", "met"], lines) if lines else ""
  return section("Goals of the developers", table, _GOALS)


def left_out(rows: Iterable[Row], absent: Mapping[str, str], describe: Callable[[Row], str]) -> str:
  """Returns a Markdown list of what was not measured, with the reasons.

  Args:
    rows: all rows; those with status "skipped", "failed" or "disagrees" are listed.
    absent: libraries that could not be compared, and why.
    describe: names the measurement of a row.
  """
  lines = [f"- {name}: {reason}." for name, reason in sorted(absent.items())]
  for row in rows:
    if row.get("status") in ("skipped", "failed", "disagrees"):
      verdict = "disagrees with ours: " if row["status"] == "disagrees" else ""
      lines.append(f"- {describe(row)}: {verdict}{row['reason']}.")
  return "\n".join(dict.fromkeys(lines))


def section(title: str, body: str, introduction: str = "") -> str:
  """Returns a section with a heading; an empty text if the body is empty."""
  return "\n\n".join(filter(None, [f"## {title}", introduction.strip(), body])) if body else ""


def write_page(path: Path, sections: Iterable[str]) -> Path:
  """Writes the sections that are not empty as a page, and returns its path."""
  page = "\n\n".join(text.strip() for text in sections if text)
  with replacing(path) as temporary:
    temporary.write_text(page + "\n", encoding="utf-8")
  return path


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
  """Returns a Markdown table, the first column aligned left and the others right."""
  lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
  return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def milliseconds(seconds: float | None) -> str:
  """Returns seconds as milliseconds with three digits; an empty text for None."""
  return "" if seconds is None else _three_digits(seconds * 1e3)


def ratio(value: float | None) -> str:
  """Returns a factor such as "3.20×"; an empty text for None."""
  return "" if value is None else f"{_three_digits(value)}×"


def size(num_bytes: float) -> str:
  """Returns a number of bytes such as "1.50 MiB"."""
  for unit in ("B", "KiB", "MiB"):
    if num_bytes < 1024:
      return f"{_three_digits(num_bytes)} {unit}"
    num_bytes /= 1024
  return f"{_three_digits(num_bytes)} GiB"


def _three_digits(value: float) -> str:
  if value >= 99.95:
    return f"{value:,.0f}"
  return f"{value:.1f}" if value >= 9.995 else f"{value:.2g}" if value < 0.0995 else f"{value:.2f}"
