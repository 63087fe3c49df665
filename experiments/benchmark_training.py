"""Measures what a training step costs, beside PyTorch, pythae and the matrix products alone.

  python experiments/benchmark_training.py --out results/training

On two CPU cores the default takes about 8 minutes, --quick one. The folder then holds
results.json, results.md with its tables and targets, and step_time.png. Interrupted, the same
command goes on from there. To have other libraries beside: pip install 'aejax[bench]'.
"""

import dataclasses
import sys
from pathlib import Path

from benchmarks.run import Interrupted, configure
from benchmarks.training import benchmark_training
from benchmarks.training_plan import make_plan

from aejax import _checks
from aejax._command_line import parse
from aejax._user_errors import user_errors


@dataclasses.dataclass(frozen=True)
class Options:
  """Measures what a training step costs, for each method and network.

  Attributes:
    out: the folder of results.json, results.md and the figure; goes on from what is there.
    quick: a minute: fewer methods, shorter timings, no torch.compile.
    methods: names as train.py has them; by default ae, vae, wae-mmd, cwae, swae, sigreg, energy.
    networks: mlp and convolutional by default.
    side: pixels a side of the grey images.
    latent_dim: dimension of the latents.
    batch_size: images a step.
    seeds: train so many runs together beside one.
    peers: set PyTorch and pythae beside ours, if they are installed.
    torch_compile: the most seconds that torch.compile may take for a method; 0 leaves it out.
  """

  out: Path = Path("results/training")
  quick: bool = False
  methods: tuple[str, ...] = ()
  networks: tuple[str, ...] = ()
  side: int = 28
  latent_dim: int = 8
  batch_size: int = 256
  seeds: int = 4
  peers: bool = True
  torch_compile: float = 120.0


def main(options: Options) -> None:
  """Measures, then writes tables and a figure."""
  plan = make_plan(
    methods=options.methods,
    networks=options.networks,
    side=options.side,
    latent_dim=options.latent_dim,
    batch_size=options.batch_size,
    seeds=options.seeds,
    peers=options.peers,
    torch_compile=options.torch_compile,
    quick=options.quick,
  )
  configure(None)
  _checks.folder("out", options.out)
  try:
    paths = benchmark_training(plan, options.out)
  except Interrupted as interrupted:
    print(interrupted, file=sys.stderr)
    sys.exit(128 + interrupted.signal_number)
  for path in paths:
    print(path)


if __name__ == "__main__":
  with user_errors():
    main(parse(Options))
