"""Measures what each distance costs, next to lower bounds and other libraries.

  python experiments/benchmark_distances.py --out results/distances

The default sizes take about 20 minutes on two CPU cores; `--quick` takes a minute and a half. The
folder then holds results.json, results.md with tables and targets, and figures. After an
interruption, the same command continues. To compare with other libraries: pip install
'aejax[bench]'.
"""

import dataclasses
from pathlib import Path

from benchmarks.distance_benchmark import benchmark_distances
from benchmarks.distance_plan import plan_distances
from benchmarks.tasks import configure, run_script

from aejax import _checks
from aejax._command_line import parse
from aejax._user_errors import user_errors


@dataclasses.dataclass(frozen=True)
class Options:
  """Measures what each distance costs, forward and with its gradient.

  Attributes:
    out: folder of results.json, results.md and the figures; a run in it is continued.
    quick: take a minute and a half: two sizes, calls of at most half a second, no memory.
    distances: names of distances, such as cramer_wold mmd_imq; all by default.
    sizes: numbers of latents and dimensions, such as 256,64 8192,64.
    slices: numbers of directions of the sliced distances, such as 50 1000.
    cutoff: seconds; a call that takes longer is left out.
    devices: also spread the batch over this many devices, which are simulated on a CPU; all
      accelerators by default.
    peers: compare with other libraries, those that are installed.
    torch_compile: also time PyTorch functions with torch.compile, which takes many minutes.
  """

  out: Path = Path("results/distances")
  quick: bool = False
  distances: tuple[str, ...] = ()
  sizes: tuple[str, ...] = ()
  slices: tuple[int, ...] = ()
  cutoff: float = 30.0
  devices: int | None = None
  peers: bool = True
  torch_compile: bool = False


def main(options: Options) -> None:
  """Measures, then writes tables and figures."""
  plan = plan_distances(
    distances=options.distances,
    sizes=options.sizes,
    slices=options.slices,
    cutoff=options.cutoff,
    devices=configure(options.devices),
    peers=options.peers,
    torch_compile=options.torch_compile,
    quick=options.quick,
  )
  _checks.folder("out", options.out)
  run_script(lambda: benchmark_distances(plan, options.out))


if __name__ == "__main__":
  with user_errors():
    main(parse(Options))
