"""Measures what a training step costs, next to PyTorch, pythae and the matrix products alone.

  python experiments/benchmark_training.py --out results/training

The default takes about 8 minutes on two CPU cores; `--quick` takes one. The folder then holds
results.json, results.md with tables and targets, and step_time.png. After an interruption, the same
command continues. To compare with other libraries: pip install 'aejax[bench]'.
"""

import dataclasses
from pathlib import Path

from benchmarks.tasks import configure, run_script
from benchmarks.training_benchmark import benchmark_training
from benchmarks.training_plan import plan_training

from aejax import _checks
from aejax._command_line import parse
from aejax._user_errors import user_errors


@dataclasses.dataclass(frozen=True)
class Options:
  """Measures what a training step costs, for each method and network.

  Attributes:
    out: folder of results.json, results.md and the figure; a run in it is continued.
    quick: take a minute: fewer methods, shorter timings, no torch.compile.
    methods: names of methods as in train.py; by default ae, vae, wae-mmd, cwae, swae, sigreg and
      energy.
    networks: names of networks; by default mlp and convolutional.
    side: height and width of the grey images in pixels.
    latent_dim: dimension of the latents.
    batch_size: number of images per step.
    seeds: number of runs that are trained together and compared with one.
    peers: compare with PyTorch and pythae, if they are installed.
    torch_compile: maximum number of seconds for torch.compile per method; 0 leaves it out.
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
  plan = plan_training(
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
  run_script(lambda: benchmark_training(plan, options.out))


if __name__ == "__main__":
  with user_errors():
    main(parse(Options))
