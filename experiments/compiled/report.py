"""The tables of compiled programs, as JSON and as Markdown."""

import dataclasses
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from aejax._files import replacing, write_json
from compiled.measure import Row
from compiled.targets import is_gpu

__all__ = ["write"]

_INTRODUCTION = """# Compiled programs

XLA compiled these programs for devices that were not present. **Facts** of the compiled programs:
that they compile, the number of kernels or operations, temporaries, traffic without caches,
collectives, scatters, dilated convolutions, copies of the images. **A model**: a TPU's cycles are
XLA's own estimate, in which sorts, scatters and transfers cost nothing. Compile times are CPU
seconds on two cores. **Nothing here was timed on an accelerator.**

A distance is its value and gradient. A step is one turn of the compiled training loop; a loop whose
length is an argument of the program counts once.
"""


def write(out: Path, rows: Sequence[Row], *, command: str) -> list[Path]:
  """Writes compiled.json and compiled.md.

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
  about = {"command": command, "versions": versions}
  write_json(out / "compiled.json", {**about, "rows": [dataclasses.asdict(row) for row in rows]})
  parts = [_INTRODUCTION, f"Made by `{command}` with {_versions(versions)}.\n"]
  for target in dict.fromkeys(row.target for row in rows):
    parts.append(f"## {target}\n")
    parts.append(_table([row for row in rows if row.target == target], gpu=is_gpu(target)))
  with replacing(out / "compiled.md") as temporary:
    temporary.write_text("\n".join(parts), encoding="utf-8")
  return [out / "compiled.json", out / "compiled.md"]


def _versions(versions: dict[str, str]) -> str:
  return ", ".join(f"{name} {number}" for name, number in versions.items())


def _table(rows: Sequence[Row], *, gpu: bool) -> str:
  heads = [
    "program",
    "sizes",
    "kernels" if gpu else "operations",
    "traffic, MB",
    "temporaries, MiB",
  ]
  heads += [] if gpu else ["Mcycles (model)"]
  heads += ["collectives", "scatters", "dilated", "image copies", "compile, CPU s"]
  lines = [f"| {' | '.join(heads)} |", f"|---|---|{'---:|' * (len(heads) - 2)}"]
  for row in rows:
    if row.error:
      lines.append(f"| {row.program} | {row.sizes} | does not compile: {row.error} |")
      continue
    collectives = ", ".join(f"{n} {kind}" for kind, n in row.collectives.items())
    if collectives:
      collectives += f" ({row.collective_bytes / 1e6:.1f} MB)"
    cells: list[Any] = [row.program, row.sizes, f"{row.kernels:,}", f"{row.traffic / 1e6:,.1f}"]
    cells += [f"{row.temporaries / 2**20:,.1f}"]
    cells += [] if gpu else [f"{row.cycles / 1e6:,.2f}"]
    cells += [collectives, row.scatters, row.dilated, row.image_copies, f"{row.seconds:.1f}"]
    lines.append(f"| {' | '.join(map(str, cells))} |")
  return "\n".join(lines) + "\n"
