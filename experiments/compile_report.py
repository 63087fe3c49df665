"""Compiles the programs of aejax for accelerators that are not present, and counts their work.

  python experiments/compile_report.py h100 v5e --out results/compiled

Kernels, traffic, buffers and collectives are counted in the compiled programs; nothing is timed.
The compilers are packages: for TPUs `pip install 'jax[tpu]'`; for GPUs `pip install --no-deps
jax-cuda13-plugin jax-cuda13-pjrt nvidia-cuda-nvcc nvidia-nvvm`, the first two of JAX's own version.
All programs take about five minutes for h100 and an hour for a TPU on two CPU cores; the options
select some of them.
"""

import dataclasses
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from compiled import targets  # before JAX starts, since it sets the compilers' environment

# isort: split
import tyro
from compiled.measure import Row, measure
from compiled.programs import DISTANCES, METHODS, NETWORKS, Program, distance, train_loop
from compiled.report import write

from aejax import _checks
from aejax._command_line import parse
from aejax._user_errors import user_errors


@dataclasses.dataclass(frozen=True)
class Options:
  """Compiles distances and training steps for accelerators, and counts what the programs do.

  Attributes:
    targets: h100, v5e, v5p, v6e for one device; h100:8, v5e:2x2, v5e:4x4, v5e:16x16 for several
      that share each batch.
    out: folder of a JSON file for each target, and of the page compiled.md, which has the tables
      of all targets in the folder.
    distances: names of distances; all by default.
    sizes: numbers of latents.
    dim: dimension of the latents.
    methods: methods whose training steps are compiled; none for an empty list.
    networks: networks of those steps.
    batch_size: images of a step.
    precision: float32, highest or bfloat16, as of a run.
  """

  targets: Annotated[tuple[str, ...], tyro.conf.Positional] = ("h100", "v5e")
  out: Path = Path("results/compiled")
  distances: tuple[str, ...] = tuple(DISTANCES)
  sizes: tuple[int, ...] = (256, 2048, 8192, 65_536)
  dim: int = 64
  methods: tuple[str, ...] = METHODS
  networks: tuple[str, ...] = tuple(NETWORKS)
  batch_size: int = 256
  precision: str = "float32"


def main(options: Options) -> None:
  """Compiles one program after the other, and writes the tables after each."""
  for kind, given, known in (
    ("target", options.targets, targets.TARGETS),
    ("distance", options.distances, DISTANCES),
    ("method", options.methods, METHODS),
    ("network", options.networks, NETWORKS),
    ("precision", (options.precision,), ("float32", "highest", "bfloat16")),
  ):
    for name in given:
      _checks.one_of(kind, name, known)
  for size in (*options.sizes, options.dim, options.batch_size):
    _checks.integer("sizes, dim and batch_size", size)
  for target in options.targets:
    targets.check(target)
  _checks.folder("out", options.out)
  command = f"python experiments/compile_report.py {shlex.join(sys.argv[1:])}".strip()
  paths: dict[Path, None] = {}
  for target in options.targets:
    rows: list[Row] = []
    for program, sizes in _programs(target, options):
      rows.append(measure(program, target, sizes=sizes))
      what = rows[-1].error or f"{rows[-1].kernels:,} kernels, {rows[-1].seconds:.1f} s"
      print(f"{target}  {program.name}  {sizes}: {what}", file=sys.stderr, flush=True)
      paths |= dict.fromkeys(write(options.out, rows, command=command))
  for path in paths:
    print(path)


def _programs(target: str, options: Options) -> Iterator[tuple[Program, str]]:
  """Yields each program and its sizes in words."""
  several = ":" in target  # "v5e" alone stands for one of its chips
  for name in options.distances:
    for n in options.sizes:
      yield distance(name, n, options.dim, several=several), f"n {n:,}, D {options.dim}"
  for method in options.methods:
    for network in options.networks:
      program = train_loop(
        method,
        network,
        batch_size=options.batch_size,
        precision=options.precision,
        mesh=targets.mesh(target) if several else None,
      )
      yield program, f"batch {options.batch_size}"


if __name__ == "__main__":
  with user_errors():
    main(parse(Options))
