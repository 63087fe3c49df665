"""The runs of a report: what their folders hold, their names, and which differ in the seed only."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aejax import _checks
from aejax._files import read_json
from aejax.evaluation.report_tables import flat
from aejax.training.log import read_lines

__all__ = ["ReportRun", "by_setting", "group_name", "names_of", "open_run"]

# What the examples are called, by the number of axes of one of them.
_KINDS = {1: "vectors", 2: "signals", 3: "images", 4: "volumes"}


@dataclasses.dataclass(frozen=True)
class ReportRun:
  """A scored run.

  Attributes:
    name: name of the run in the report.
    folder: its work directory.
    plots: folder of its plots: of several seeds, that of the first.
    summary: content of summary.json.
    settings: content of config.json.
  """

  name: str
  folder: Path
  plots: Path
  summary: dict[str, Any]
  settings: dict[str, Any]

  @property
  def kind(self) -> str:
    """What its examples are called."""
    return _kind(self.settings)

  @property
  def histories(self) -> list[list[dict[str, Any]]]:
    """The lines of metrics.jsonl, of each seed."""
    folders = sorted(self.folder.glob("seed-*")) if self.plots != self.folder else [self.folder]
    return [read_lines(folder / "metrics.jsonl") for folder in folders]


def open_run(folder: Path, name: str) -> ReportRun:
  """Reads what the work directory of a scored run holds.

  Raises:
    ValueError: if it holds no scored run, or a damaged summary.
  """
  summary, settings = _read_summary(folder), _read(folder, "config.json")
  plots = folder
  if not (folder / "samples.png").is_file() and settings.get("seeds", 1) != 1:
    plots = folder / f"seed-{settings.get('seed')}"
  return ReportRun(name, folder, plots, summary, settings)


def names_of(folders: Sequence[str | Path]) -> list[str]:
  """Returns names of the folders that differ: their own, or parents too, without a common end."""
  paths = [Path(os.path.abspath(folder)).parts for folder in folders]
  for depth in range(1, max(map(len, paths)) + 1):
    names = [path[-depth:] for path in paths]
    if len(set(names)) == len(names):
      while len({name[-1] for name in names}) == 1 < min(map(len, names)):
        names = [name[:-1] for name in names]
      return ["/".join(name) for name in names]
  return [str(folder) for folder in folders]


def by_setting(runs: Sequence[ReportRun]) -> list[list[ReportRun]]:
  """Returns the runs by setting: runs of one group differ in the seed only."""
  groups: dict[str, list[ReportRun]] = {}
  for run in runs:
    rows = flat(run.settings)
    if run.settings.get("seeds", 1) != 1 or "seed" not in rows:
      groups[run.name] = [run]
      continue
    setting = {name: value for name, value in rows.items() if name != "seed"}
    found = groups.setdefault(repr(setting), [])
    if any(flat(other.settings)["seed"] == rows["seed"] for other in found):
      groups[run.name] = [run]  # the same run again, or trained elsewhere
    else:
      found.append(run)
  return list(groups.values())


def group_name(runs: Sequence[ReportRun]) -> str:
  """Returns the common part of the names of seeds, or the folder that holds them."""
  if len(runs) == 1:
    return runs[0].name
  parts = [run.name.split("/") for run in runs]
  common = [names[0] for names in zip(*parts, strict=False) if len(set(names)) == 1]
  return "/".join(common) or runs[0].folder.resolve().parent.name or runs[0].name


def _read_summary(folder: Path) -> dict[str, Any]:
  summary = _read(folder, "summary.json")
  types = {"method": str, "dataset": str, "test_images": int}
  for entry, expected in types.items():
    if not isinstance(found := summary.get(entry), expected):
      _damaged(folder, entry, found)
  for entry in ("normal_latents", "prior_latents"):
    if not isinstance(found := summary.get(entry, {}), dict):
      _damaged(folder, entry, found)
  return summary


def _read(folder: Path, name: str) -> dict[str, Any]:
  if not os.path.isfile(folder / name):
    raise ValueError(
      f"{folder} holds no scored run: there is no {name} in it. Score a trained run with "
      "`aejax evaluate`."
    )
  values = read_json(folder / name)
  if not isinstance(values, dict):
    raise ValueError(f"{folder / name} must hold an object, but holds {_checks.type_name(values)}.")
  return values


def _damaged(folder: Path, entry: str, found: Any) -> None:
  path = folder / "summary.json"
  raise ValueError(f"{path} is damaged: its {entry} is {_checks.short_repr(found)}.")


def _kind(settings: dict[str, Any]) -> str:
  """Returns what the examples of a run are called."""
  shape = settings.get("image_shape")
  return _KINDS.get(len(shape) if isinstance(shape, list) else 3, "examples")
