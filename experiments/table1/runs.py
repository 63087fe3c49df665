"""The runs of Table 1: which of them are scored, and the table of those."""

import math
import platform
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from aejax._files import read_json
from aejax.metrics.features import Extractor
from aejax.training.configuration import read
from table1.table import ROWS, Row, write_table

__all__ = ["is_scored", "write_scored"]


def is_scored(workdir: Path, extractor: Extractor | None = None) -> bool:
  """Returns whether a run has all its metrics, including those of the extractor if one is given."""
  path = workdir / "summary.json"
  summary = read_json(path) if path.is_file() else {}
  return "normal_latents" in summary and (extractor is None or extractor.frechet_name in summary)


def write_scored(out: Path, dataset: str, rows: Sequence[Row], seeds: int) -> None:
  """Writes the table of the runs that are scored so far, if there are any.

  Args:
    out: folder of the table; its runs are in `out/runs/ROW/seed-N`.
    dataset: name of the data set.
    rows: rows of the table.
    seeds: number of seeds of each row.
  """
  found = {
    row.run: [
      workdir
      for seed in range(seeds)
      if is_scored(workdir := out / "runs" / row.run / f"seed-{seed}")
    ]
    for row in rows
  }
  summaries = {
    run: [read_json(workdir / "summary.json") for workdir in workdirs]
    for run, workdirs in found.items()
    if workdirs
  }
  if not summaries:
    return
  seconds = (
    _seconds(workdir, summary)
    for run, of_run in summaries.items()
    for workdir, summary in zip(found[run], of_run, strict=True)
  )
  about = {
    "command": _command(dataset, rows, seeds),
    "date": time.strftime("%Y-%m-%d"),
    "hours_of_training": sum(seconds) / 3600,
    "machine": f"{platform.machine()}, {jax.device_count()} × {jax.devices()[0].device_kind}",
    "versions": f"aejax {version('aejax')}, jax {jax.__version__}, numpy {np.__version__}",
  }
  write_table(out, dataset, rows, summaries, about)


def _command(dataset: str, rows: Sequence[Row], seeds: int) -> str:
  """Returns the command that makes this table."""
  words = f"python experiments/reproduce_table1.py --dataset {dataset} --seeds {seeds}"
  if len(rows) == len(ROWS):
    return words
  return " ".join([words, "--methods", *dict.fromkeys(row.run for row in rows)])


def _seconds(workdir: Path, summary: Mapping[str, Any]) -> float:
  """Returns the training time of all steps at the speed of the last call.

  The summary has only the speed of the last call. A run that was interrupted has had several.
  """
  configuration = read(workdir)
  per_epoch = configuration.train_images // configuration.batch_size * configuration.batch_size
  return configuration.epochs * per_epoch / summary.get("images_per_second", math.inf)
