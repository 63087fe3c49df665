"""The tables of compiled programs: a JSON file for each target, and one page in Markdown."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from aejax._files import replacing, write_json
from compiled.measure import Row
from compiled.targets import TARGETS, describe, is_gpu

__all__ = ["file_name", "page", "read", "write"]

_INTRODUCTION = """# Compiled programs

XLA compiled these programs for devices that were not present: compiled, not timed.

- **Facts** of the compiled programs: that they compile, the number of kernels, operations and CUDA
  graphs, operations of matrix products, traffic without caches, temporaries, collectives, scatters,
  dilated convolutions, copies of the images.
- **A model**: a TPU's cycles are XLA's own estimate. Sorts, scatters and transfers cost nothing in
  it. Cycles compare two versions of a program; they are not a time.
- **A measurement**, of the compiler: the CPU seconds of a compilation, on two cores.

A distance is its value and gradient. A step is one turn of the compiled training loop, with the
images on the device. With several devices, all numbers are those of each device; *received* are
the bytes that it receives from the others. The programs were compiled without a device to try
algorithms on, so cuDNN's choice for a convolution is not known.

- *Alone*: kernels of a step that the host starts outside of a CUDA graph. XLA puts no cuDNN
  convolution into a graph, so only steps without convolutions are one graph.
- *Scatters* are slow on both kinds of devices. *Dilated* convolutions multiply by zeros on a GPU;
  a TPU skips these zeros, so there they are only counted.
- *Reversals*, *image copies*: instructions that reverse an array other than a parameter, or that
  write an array as large as all training images.
"""


def file_name(target: str) -> str:
  """The name of the JSON file of a target."""
  return target.replace(":", "-") + ".json"


def write(out: Path, rows: Sequence[Row], *, command: str) -> list[Path]:
  """Writes a JSON file for each target of the rows, and compiled.md for all targets in the folder.

  Args:
    out: the folder.
    rows: what was compiled, in the order of the tables.
    command: the command that made it.

  Returns:
    The paths written.
  """
  versions = {"jax": jax.__version__}
  for package in ("libtpu", "jax-cuda13-plugin"):
    try:
      versions[package] = version(package)
    except ModuleNotFoundError:
      continue
  paths = []
  for target in dict.fromkeys(row.target for row in rows):
    paths.append(out / file_name(target))
    of_target = [dataclasses.asdict(row) for row in rows if row.target == target]
    write_json(paths[-1], {"command": command, "versions": versions, "rows": of_target})
  paths.append(out / "compiled.md")
  with replacing(paths[-1]) as temporary:
    temporary.write_text(page(read(out)), encoding="utf-8")
  return paths


def read(out: Path) -> dict[str, dict[str, Any]]:
  """Reads the JSON files of a folder: command, versions and rows by target."""
  found = {}
  for target in TARGETS:
    path = out / file_name(target)
    if path.exists():
      found[target] = json.loads(path.read_text(encoding="utf-8"))
      found[target]["rows"] = [Row(**row) for row in found[target]["rows"]]
  return found


def page(found: dict[str, dict[str, Any]]) -> str:
  """The page in Markdown of what `read` found."""
  parts = [_INTRODUCTION]
  for target, content in found.items():
    versions = ", ".join(f"{name} {number}" for name, number in content["versions"].items())
    parts.append(f"## {target}\n")
    parts.append(f"{describe(target)} Made by `{content['command']}` with {versions}.\n")
    rows = content["rows"]
    failed = [row for row in rows if row.error]
    for title, part in (
      ("distance", [row for row in rows if not row.error and row.sizes.startswith("n ")]),
      ("training step", [row for row in rows if not row.error and row.sizes.startswith("batch ")]),
    ):
      if part:
        parts.append(_table(title, part, gpu=is_gpu(target)))
    parts += [f"- {r.program}, {r.sizes}, does not compile: {r.error}\n" for r in failed]
  return "\n".join(parts)


def _table(title: str, rows: Sequence[Row], *, gpu: bool) -> str:
  columns: dict[str, Callable[[Row], Any]] = {
    title: lambda row: row.program,
    "sizes": lambda row: row.sizes,
    "kernels" if gpu else "operations": lambda row: f"{row.kernels:,}",
  }
  steps = title != "distance"
  if steps and gpu:
    columns |= {"graphs": lambda row: row.graphs, "alone": lambda row: row.alone}
  if not gpu:
    columns["Mcycles (model)"] = lambda row: f"{row.cycles / 1e6:,.2f}"
  if not steps:
    columns["products, GFLOP"] = lambda row: f"{row.products / 1e9:,.2f}" if row.products else ""
  columns["traffic, MB"] = lambda row: f"{row.traffic / 1e6:,.1f}"
  columns["temporaries, MiB"] = lambda row: f"{row.temporaries / 2**20:,.1f}"
  if any(row.collectives for row in rows):
    columns["arguments, MiB"] = lambda row: f"{row.arguments / 2**20:,.1f}"
    columns["collectives"] = _collectives
    columns["received, MB"] = lambda row: f"{row.received / 1e6:,.2f}"
  columns["scatters"] = lambda row: row.scatters
  if steps:
    columns["dilated"] = lambda row: row.dilated
    columns["reversals"] = lambda row: row.reversals
    columns["image copies"] = lambda row: row.image_copies
  columns["compile, CPU s"] = lambda row: f"{row.seconds:.1f}"
  lines = [f"| {' | '.join(columns)} |", f"|---|---|{'---:|' * (len(columns) - 2)}"]
  lines += [f"| {' | '.join(str(of(row)) for of in columns.values())} |" for row in rows]
  return "\n".join(lines) + "\n"


def _collectives(row: Row) -> str:
  return ", ".join(f"{number} {kind}" for kind, number in row.collectives.items())
