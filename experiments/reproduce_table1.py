"""Reproduces Table 1 of the Cramer-Wold paper for a data set, with several seeds and error bars.

  python experiments/reproduce_table1.py --dataset fashion_mnist --out results/table1-fashion_mnist

Ten methods with three seeds and the published number of epochs take ten minutes on two CPU cores
for digits, and hours for Fashion-MNIST, with 500 epochs each. Small networks are trained one run
per core on a CPU, and all seeds of a method together on a GPU or TPU. After an interruption, the
same command continues, within a run too. The folder holds table.md, table.json and frechet.png of
the runs that are scored so far, and the runs, each with a report.
"""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import jax
from table1 import process_pool
from table1.runs import is_scored, write_scored
from table1.table import ROWS, Row

from aejax import _checks, data, networks
from aejax._command_line import compilation_cache, parse
from aejax._memory import available_bytes
from aejax._user_errors import user_errors
from aejax.evaluation import score
from aejax.metrics import inception
from aejax.metrics.features import Extractor
from aejax.training import Interrupted, Options, prepare
from aejax.training.configuration import read

# A run takes minutes, so more seeds are a mistake.
_MAX_SEEDS = 1000
# Twice the peak memory of a VAE on Fashion-MNIST, scoring included.
_BYTES_PER_RUN = 2**31


@dataclasses.dataclass(frozen=True)
class Table:
  """Reproduces Table 1: reconstruction error, normality of latents, distances of samples.

  Attributes:
    dataset: digits, mnist, fashion_mnist, cifar10 or celeb_a, with the published settings of each.
    data_dir: folder with the original files of the data set, if they are on disk already.
    out: folder of the table and of its runs; default results/table1-DATASET.
    seeds: number of runs of each method; the table shows the standard error of their mean.
    epochs: number of epochs, instead of the published number.
    methods: names of runs, such as cwae vae wae-mmd-paper; all by default.
    inception: the file weights-inception-2015-12-05-6726825d.pth, for the FID of the samples.
  """

  dataset: str = "fashion_mnist"
  data_dir: Path | None = None
  out: Path | None = None
  seeds: int = 3
  epochs: int | None = None
  methods: tuple[str, ...] = ()
  inception: Path | None = None


def main(options: Table) -> None:
  """Trains and scores the missing runs, and writes the table again after each."""
  _checks.one_of("data set of the table", options.dataset, data.NAMES)
  _checks.integer("seeds", options.seeds, most=_MAX_SEEDS)
  if options.epochs is not None:
    _checks.integer("epochs", options.epochs)
  for method in options.methods:
    _checks.one_of("method of the table", method, dict.fromkeys(row.run for row in ROWS))
  extractor = None if options.inception is None else inception(options.inception)
  small, cpu = _is_small(options), jax.default_backend() == "cpu"
  out = options.out or Path("results") / f"table1-{options.dataset}"
  _checks.folder("out", out)
  rows = [row for row in ROWS if not options.methods or row.run in options.methods]
  runs = {row.run: row for row in rows if row.sampler == "prior"}
  planned = [
    (row, seeds)
    for row in runs.values()
    for seeds in _seed_ranges(out / "runs" / row.run, options.seeds, together=small and not cpu)
  ]
  planned.sort(key=lambda run: run[1].start)
  write_scored(out, options.dataset, rows, options.seeds)
  if small and cpu:
    _train_in_pool(planned, rows, out, options)
  for number, (row, seeds) in enumerate(planned, start=1):
    folder = out / "runs" / row.run
    if not all(is_scored(folder / f"seed-{seed}", extractor) for seed in seeds):
      numbers = ", ".join(map(str, seeds))
      print(f"{number}/{len(planned)}  {row.label}, seed {numbers}", file=sys.stderr, flush=True)
      _run(row, seeds, folder, options, extractor)
      write_scored(out, options.dataset, rows, options.seeds)
  for name in ("table.md", "table.json", "frechet.png"):
    if (out / name).exists():
      print(out / name)


def _is_small(options: Table) -> bool:
  """Returns whether the network is too small to keep an accelerator or several cores busy."""
  dataset = data.load(options.dataset, data_dir=options.data_dir, in_memory=False)
  return networks.default_architecture(dataset.image_shape) == "mlp"


def _seed_ranges(folder: Path, seeds: int, together: bool) -> list[range]:
  """Returns the seeds of a row; a range is trained together, and begun runs keep their range."""
  first = seeds if together and not folder.exists() else 1
  if (folder / "config.json").is_file():
    first = read(folder).seeds
  return [range(first), *(range(seed, seed + 1) for seed in range(first, seeds))]


def _train_in_pool(
  planned: Sequence[tuple[Row, range]], rows: Sequence[Row], out: Path, options: Table
) -> None:
  """Trains and scores missing runs, one on each core, if there are several runs and cores."""
  missing = [
    (row, seeds[0], folder)
    for row, seeds in planned
    if len(seeds) == 1 and not is_scored(folder := out / "runs" / row.run / f"seed-{seeds[0]}")
  ]
  cores = process_pool.cores()
  cores = cores[: max(1, int(min(len(cores), available_bytes() / _BYTES_PER_RUN)))]
  if min(len(missing), len(cores)) < 2:
    return
  jobs = [
    process_pool.Job(
      f"{row.label}, seed {seed}", _command(row, seed, folder, options), folder.with_suffix(".txt")
    )
    for row, seed, folder in missing
  ]
  logs = out / "runs" / "*" / "seed-*.txt"
  print(f"{len(jobs)} runs, {len(cores)} at a time; their logs: {logs}", file=sys.stderr)
  done = []

  def on_success(job: process_pool.Job) -> None:
    done.append(job)
    print(f"{len(done)}/{len(jobs)}  {job.label}", file=sys.stderr, flush=True)
    write_scored(out, options.dataset, rows, options.seeds)

  if (signal_number := process_pool.run(jobs, cores, on_success)) is not None:
    _stop(signal_number)


def _command(row: Row, seed: int, workdir: Path, options: Table) -> list[str]:
  """Returns the command that trains and scores one run."""
  given = {
    "dataset": options.dataset,
    "data-dir": options.data_dir,
    "workdir": workdir,
    "seed": seed,
    "epochs": options.epochs,
    **{name.replace("_", "-"): value for name, value in row.objective.items()},
  }
  words = [sys.executable, str(Path(__file__).with_name("train.py")), row.method]
  for name, value in given.items():
    if value is True:
      words.append(f"--{name}")
    elif value is not None:
      words += [f"--{name}", str(value)]
  return [*words, "--resume"] if (workdir / "config.json").is_file() else words


def _run(row: Row, seeds: range, folder: Path, options: Table, extractor: Extractor | None) -> None:
  workdir = folder if len(seeds) > 1 else folder / f"seed-{seeds[0]}"
  settings = Options(
    dataset=options.dataset,
    data_dir=options.data_dir,
    workdir=workdir,
    seed=seeds[0],
    seeds=len(seeds),
    epochs=options.epochs,
    resume=(workdir / "config.json").is_file(),
  )
  run = prepare(row.method, dict(row.objective), settings)
  try:
    timing = run.train()
  except Interrupted as interrupted:
    _stop(interrupted.signal_number)
  score(run, extractor=extractor, timing=timing)


def _stop(signal_number: int) -> NoReturn:
  print("Stopped and saved; the same command continues from there.", file=sys.stderr)
  sys.exit(128 + signal_number)


if __name__ == "__main__":
  compilation_cache()
  with user_errors():
    main(parse(Table))
