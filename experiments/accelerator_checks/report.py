"""The page of one device."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.environment import describe

from accelerator_checks import distances, steps
from accelerator_checks.stages import STAGES
from aejax._files import replacing, write_json

__all__ = ["failures", "folder_name", "write"]

Rows = Sequence[Mapping[str, Any]]

_NOTES = {
  "distances": "Errors are relative to the value plus 0.1, and to the largest entry of the "
  f"gradient. More than {distances.TOLERANCE:g} is wrong.",
  "steps": "Loss and gradient of one step with float32 products, relative to the loss and to the "
  f"largest entry of the gradient. More than {steps.TOLERANCE:g} is wrong. The last column is the "
  "error in the device's default precision, in which `--precision float32` trains.",
  "tiles": "Milliseconds of value and gradient at D = 64; `default` marks what aejax uses.",
  "speed": "Medians of aejax's programs; `experiments/benchmark_distances.py` and "
  "`benchmark_training.py` measure more, and other libraries.",
  "memory": "Bytes beyond the arguments. The allocator's peak is that of the whole process.",
  "alternatives": "Milliseconds.",
}


def folder_name(device: str) -> str:
  """The name of a device as the name of a folder, such as "nvidia-h100-80gb-hbm3"."""
  return re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-") or "unknown"


def failures(results: Mapping[str, Rows]) -> list[str]:
  """What is wrong or missing, in words."""
  found = []
  for stage, rows in results.items():
    for row in rows:
      if row.get("ok") is False:
        what = " ".join(str(row[key]) for key in ("form", "method", "network", "n") if key in row)
        found.append(f"{stage}: {what} {row.get('error', 'exceeds the tolerance')}")
      if "incomplete" in row:
        found.append(f"{stage}: {row['incomplete']}")
  return found


def write(out: Path, results: Mapping[str, Rows], *, command: str) -> list[Path]:
  """Writes results.json and results.md.

  Args:
    out: folder of the device.
    results: rows by stage.
    command: the command that made them.
  """
  write_json(out / "results.json", {"command": command, **results})
  environment = results["environment"][0]
  parts = [f"# {environment['device']}\n", f"Made by `{command}`. {describe(environment)}\n"]
  if wrong := failures(results):
    parts += ["**Wrong or missing:**\n", *(f"- {line}" for line in wrong), ""]
  else:
    parts.append("All checks passed.\n")
  for stage, rows in results.items():
    if stage == "environment":
      continue
    parts += [f"## {STAGES[stage].title}\n", f"{_NOTES[stage]}\n"]
    kinds: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
      if "incomplete" not in row:
        kinds.setdefault(tuple(row)[:1], []).append(row)
    parts += [_table(kind) for kind in kinds.values()]
  page = out / "results.md"
  with replacing(page) as temporary:
    temporary.write_text("\n".join(parts), encoding="utf-8")
  return [out / "results.json", page]


def _table(rows: Rows) -> str:
  columns = list(dict.fromkeys(key for row in rows for key in row))
  lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
  lines += [f"| {' | '.join(_cell(row.get(key)) for key in columns)} |" for row in rows]
  return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
  if value is None:
    return ""
  if isinstance(value, bool):
    return "yes" if value else "no"
  if isinstance(value, float):
    return f"{value:.3g}"
  return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "/")
