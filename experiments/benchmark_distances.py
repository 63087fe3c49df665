"""Measures what each distance costs, beside a physical floor and other libraries.

  python experiments/benchmark_distances.py --out results/distances

On two CPU cores the default grid takes about 20 minutes, --quick a minute and a half. The folder
then holds results.json, results.md with its tables and targets, and figures. Interrupted, the same
command goes on from there. To have other libraries beside: pip install 'aejax[bench]'.
"""

import dataclasses
import sys
from pathlib import Path

from benchmarks.plan import make_plan
from benchmarks.run import Interrupted, benchmark_distances, configure

from aejax import _checks
from aejax._command_line import parse
from aejax._user_errors import user_errors


@dataclasses.dataclass(frozen=True)
class Options:
  """Measures what each distance costs, forward and with its gradient.

  Attributes:
    out: the folder of results.json, results.md and the figures; goes on from what is there.
    quick: a minute and a half: two sizes, calls of half a second at most, no memory.
    distances: which, by default all: cramer_wold, mmd_imq, sliced_wasserstein ...
    sizes: numbers of latents and dimensions, such as 256,64 8192,64.
    slices: numbers of directions for the sliced distances, such as 50 1000.
    cutoff: seconds; what takes longer for one call is left out.
    devices: spread the batch over so many devices, too: simulated ones on a CPU. By default all
      accelerators.
    peers: set other libraries beside ours, those that are installed.
    torch_compile: time those in PyTorch by torch.compile as well; compiling takes many minutes.
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
  plan = make_plan(
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
  try:
    paths = benchmark_distances(plan, options.out)
  except Interrupted as interrupted:
    print(interrupted, file=sys.stderr)
    sys.exit(128 + interrupted.signal_number)
  for path in paths:
    print(path)


if __name__ == "__main__":
  with user_errors():
    main(parse(Options))
