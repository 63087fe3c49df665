"""Trains and scores the table of the Cramer-Wold paper for a data set, with seeds and error bars.

  python experiments/reproduce_table1.py --dataset fashion_mnist --out results/table1-fashion_mnist

Ten methods, three seeds, the published epochs: ten minutes on two CPU cores for digits; hours for
Fashion-MNIST, 500 epochs each. Of small networks a CPU trains one run a core, a GPU or TPU all
seeds of a method at once. Interrupted, the same command goes on where it was, run by run and within
a run. The folder holds table.md, table.json and frechet.png of what is scored so far, and the runs,
with a report each.
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

# Each takes minutes: more of them are a mistake.
_MOST_SEEDS = 1000
# Twice what a VAE of Fashion-MNIST takes at its peak, its scoring included.
_BYTES_A_RUN = 2**31


@dataclasses.dataclass(frozen=True)
class Table:
  """Re-runs Table 1: reconstruction, normality of the latents, Fréchet distance of the samples.

  Attributes:
    dataset: digits, mnist, fashion_mnist, cifar10 or celeb_a, with the published settings of each.
    data_dir: folder with the data set's original files, where they are on disk already.
    out: the folder of the table and of its runs; default results/table1-DATASET.
    seeds: runs of each method; the error is that of their mean.
    epochs: instead of the published number.
    methods: which runs, such as cwae vae wae-mmd-paper; by default all of them.
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
  """Trains what is missing, and writes the table anew after each run."""
  _checks.one_of("data set of the table", options.dataset, data.NAMES)
  _checks.integer("seeds", options.seeds, most=_MOST_SEEDS)
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
  cells = [
    (row, seeds)
    for row in runs.values()
    for seeds in _batches(out / "runs" / row.run, options.seeds, at_once=small and not cpu)
  ]
  cells.sort(key=lambda cell: cell[1].start)
  write_scored(out, options.dataset, rows, options.seeds)
  if small and cpu:
    _train_side_by_side(cells, rows, out, options)
  for number, (row, seeds) in enumerate(cells, start=1):
    folder = out / "runs" / row.run
    if not all(is_scored(folder / f"seed-{seed}", extractor) for seed in seeds):
      which = ", ".join(map(str, seeds))
      print(f"{number}/{len(cells)}  {row.label}, seed {which}", file=sys.stderr, flush=True)
      _run(row, seeds, folder, options, extractor)
      write_scored(out, options.dataset, rows, options.seeds)
  for name in ("table.md", "table.json", "frechet.png"):
    if (out / name).exists():
      print(out / name)


def _is_small(options: Table) -> bool:
  """Whether the network leaves most of an accelerator idle, and makes little use of many cores."""
  dataset = data.load(options.dataset, data_dir=options.data_dir, in_memory=False)
  return networks.default_architecture(dataset.image_shape) == "mlp"


def _batches(folder: Path, seeds: int, at_once: bool) -> list[range]:
  """The seeds of a row's runs, in one range those trained at once; begun runs stay as they are."""
  together = seeds if at_once and not folder.exists() else 1
  if (folder / "config.json").is_file():
    together = read(folder).seeds
  return [range(together), *(range(seed, seed + 1) for seed in range(together, seeds))]


def _train_side_by_side(
  cells: Sequence[tuple[Row, range]], rows: Sequence[Row], out: Path, options: Table
) -> None:
  """Trains and scores what is missing, a run on each core, if there are several of both."""
  missing = [
    (row, seeds[0], folder)
    for row, seeds in cells
    if len(seeds) == 1 and not is_scored(folder := out / "runs" / row.run / f"seed-{seeds[0]}")
  ]
  cores = process_pool.cores()
  cores = cores[: max(1, int(min(len(cores), available_bytes() / _BYTES_A_RUN)))]
  if min(len(missing), len(cores)) < 2:
    return
  jobs = [
    process_pool.Job(
      f"{row.label}, seed {seed}", _command(row, seed, folder, options), folder.with_suffix(".txt")
    )
    for row, seed, folder in missing
  ]
  where = out / "runs" / "*" / "seed-*.txt"
  print(f"{len(jobs)} runs, {len(cores)} at a time: {where} tell how each is", file=sys.stderr)
  done = []

  def finished(job: process_pool.Job) -> None:
    done.append(job)
    print(f"{len(done)}/{len(jobs)}  {job.label}", file=sys.stderr, flush=True)
    write_scored(out, options.dataset, rows, options.seeds)

  if (signal_number := process_pool.run(jobs, cores, finished)) is not None:
    _stop(signal_number)


def _command(row: Row, seed: int, workdir: Path, options: Table) -> list[str]:
  """What trains and scores one run, as anybody may call it."""
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
  print("Stopped and saved; the same command goes on from there.", file=sys.stderr)
  sys.exit(128 + signal_number)


if __name__ == "__main__":
  compilation_cache()
  with user_errors():
    main(parse(Table))
