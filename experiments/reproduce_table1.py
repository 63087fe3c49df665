"""Trains and scores the table of the Cramer-Wold paper for a data set, with seeds and error bars.

  python experiments/reproduce_table1.py --dataset fashion_mnist --out results/table1-fashion_mnist

Ten methods, three seeds, the published epochs: ten minutes on two CPU cores for digits; hours for
Fashion-MNIST, 500 epochs each. On a GPU or TPU all seeds of a small network are trained at once.
Interrupted, the same command goes on where it was, run by run and within a run. The folder holds
table.md, table.json and frechet.png of what is scored so far, and the runs, with a report each.
"""

import dataclasses
import math
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from aejax import checks, data, networks
from aejax.command_line import compilation_cache, parse, user_errors
from aejax.evaluation import inception, score
from aejax.evaluation.features import Extractor
from aejax.evaluation.table1 import ROWS, Row, write_table
from aejax.files import read_json
from aejax.training import Interrupted, Options, prepare, train
from aejax.training.configuration import read

# Each takes minutes: more of them are a mistake.
_MOST_SEEDS = 1000


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
  checks.known("data set of the table", options.dataset, data.NAMES)
  checks.whole("seeds", options.seeds, most=_MOST_SEEDS)
  if options.epochs is not None:
    checks.whole("epochs", options.epochs)
  for method in options.methods:
    checks.known("method of the table", method, dict.fromkeys(row.run for row in ROWS))
  extractor = None if options.inception is None else inception(options.inception)
  at_once = options.seeds if _pays_at_once(options) else 1
  out = options.out or Path("results") / f"table1-{options.dataset}"
  checks.folder("out", out)
  rows = [row for row in ROWS if not options.methods or row.run in options.methods]
  runs = {row.run: row for row in rows if row.sampler == "prior"}
  cells = [
    (row, seeds)
    for row in runs.values()
    for seeds in _batches(out / "runs" / row.run, options.seeds, at_once)
  ]
  cells.sort(key=lambda cell: cell[1].start)
  _write(out, rows, options)
  for number, (row, seeds) in enumerate(cells, start=1):
    folder = out / "runs" / row.run
    if not all(_is_scored(folder / f"seed-{seed}", extractor) for seed in seeds):
      which = ", ".join(map(str, seeds))
      print(f"{number}/{len(cells)}  {row.label}, seed {which}", file=sys.stderr, flush=True)
      _run(row, seeds, folder, options, extractor)
      _write(out, rows, options)
  for name in ("table.md", "table.json", "frechet.png"):
    if (out / name).exists():
      print(out / name)


def _pays_at_once(options: Table) -> bool:
  """Whether to train all seeds of a method in one program.

  One small network leaves most of an accelerator idle; a CPU takes as long for all seeds at once as
  for one after the other.
  """
  dataset = data.load(options.dataset, data_dir=options.data_dir, in_memory=False)
  small = networks.default_architecture(dataset.image_shape) == "mlp"
  return small and jax.default_backend() != "cpu"


def _batches(folder: Path, seeds: int, at_once: int) -> list[range]:
  """The seeds of a row's runs, in one range those trained at once; begun runs stay as they are."""
  if (folder / "config.json").is_file():
    at_once = read(folder).seeds
  elif folder.exists():
    at_once = 1
  return [range(at_once), *(range(seed, seed + 1) for seed in range(at_once, seeds))]


def _write(out: Path, rows: Sequence[Row], options: Table) -> None:
  """Writes the table of the runs that are scored so far, if there is one."""
  found = {
    row.run: [
      workdir
      for seed in range(options.seeds)
      if _is_scored(workdir := out / "runs" / row.run / f"seed-{seed}")
    ]
    for row in rows
  }
  summaries = {
    run: [read_json(workdir / "summary.json") for workdir in several]
    for run, several in found.items()
    if several
  }
  if not summaries:
    return
  seconds = (
    _seconds(workdir, summary)
    for run, several in summaries.items()
    for workdir, summary in zip(found[run], several, strict=True)
  )
  about = {
    "command": f"python experiments/reproduce_table1.py --dataset {options.dataset}",
    "date": time.strftime("%Y-%m-%d"),
    "hours_of_training": sum(seconds) / 3600,
    "machine": f"{platform.machine()}, {jax.device_count()} × {jax.devices()[0].device_kind}",
    "versions": f"aejax {version('aejax')}, jax {jax.__version__}, numpy {np.__version__}",
  }
  write_table(out, options.dataset, rows, summaries, about)


def _is_scored(workdir: Path, extractor: Extractor | None = None) -> bool:
  path = workdir / "summary.json"
  summary = read_json(path) if path.is_file() else {}
  return "normal_latents" in summary and (extractor is None or extractor.frechet_name in summary)


def _seconds(workdir: Path, summary: Mapping[str, Any]) -> float:
  """Of all a run's steps, at the speed of its last call: the calls before were interrupted."""
  configuration = read(workdir)
  per_epoch = configuration.train_images // configuration.batch_size * configuration.batch_size
  return configuration.epochs * per_epoch / summary.get("images_per_second", math.inf)


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
  configuration, dataset, _ = prepare(row.method, dict(row.objective), settings)
  try:
    timing = train(configuration, dataset, workdir)
  except Interrupted as interrupted:
    print("Stopped and saved; the same command goes on from there.", file=sys.stderr)
    sys.exit(128 + interrupted.signal_number)
  score(configuration, dataset, workdir, extractor=extractor, timing=timing)


if __name__ == "__main__":
  compilation_cache()
  with user_errors():
    main(parse(Table))
