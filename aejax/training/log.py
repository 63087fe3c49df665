"""The log of a run: metrics.jsonl, an object an epoch."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from aejax._files import replacing
from aejax.training.divergence import Diverged
from aejax.training.epoch import Sums
from aejax.training.progress import TrainingProgress

__all__ = ["Log", "LogGroup"]


class Log:
  """metrics.jsonl: an object an epoch, none twice, none after the step that a run resumes from.

  Of several processes the first writes it.
  """

  def __init__(self, path: Path, steps_per_epoch: int, step: int, *, skips: bool = False):
    """Takes away what is after the step.

    Args:
      path: of the file.
      steps_per_epoch: of the run.
      step: that the run goes on from.
      skips: whether steps whose loss is not finite are counted, rather than an error.
    """
    self._path = path
    self._skips = skips
    self._steps_per_epoch = steps_per_epoch
    self._pending: list[tuple[int, Sums]] = []
    self._writes = jax.process_index() == 0
    self._end = 0
    if not self._writes:
      return
    lines = path.read_bytes().splitlines() if path.exists() else []
    with replacing(path) as temporary:
      temporary.write_bytes(b"".join(line + b"\n" for line in lines[: step // steps_per_epoch]))
    self._end = path.stat().st_size

  def add(self, step: int, sums: Sums) -> None:
    """Takes the sums of the epoch that ends with `step`, which may still be computing."""
    self._pending.append((step, sums))

  def flush(self) -> dict[str, Any] | None:
    """Waits for the sums that were added, writes their means, and returns the last of them.

    Raises:
      Diverged: if a step of an epoch had no finite loss; where these are skipped, if all had none.
      OSError: if they cannot be written; nothing of them then is, and the next call tries again.
    """
    means = None
    while self._pending:
      step, sums = self._pending[0]
      means = self._means(step, sums)
      if self._writes:
        epoch = step // self._steps_per_epoch
        self._append(json.dumps({"step": step, "epoch": epoch, **means}).encode() + b"\n")
      del self._pending[0]
    return means

  def _means(self, step: int, sums: Sums) -> dict[str, Any]:
    skipped = int(sums.skipped)
    taken = self._steps_per_epoch - skipped
    if not taken or (skipped and not self._skips):
      raise Diverged(int(sums.bad_step))
    means: dict[str, Any] = {name: float(total) / taken for name, total in sums.totals.items()}
    return means | ({"skipped_steps": skipped} if skipped else {})

  def _append(self, line: bytes) -> None:
    try:
      with self._path.open("r+b", buffering=0) as file:
        # A write that failed may have left a part of its line.
        file.truncate(self._end)
        file.seek(self._end)
        written = 0
        while written < len(line):
          written += file.write(line[written:])
        os.fsync(file.fileno())
    except OSError as error:
      error.filename = str(self._path)
      raise
    self._end += len(line)


class LogGroup:
  """The logs of runs that are trained together, each in its own folder."""

  def __init__(
    self, folders: Sequence[Path], steps_per_epoch: int, step: int, *, skips: bool = False
  ):
    self._logs = [
      Log(folder / "metrics.jsonl", steps_per_epoch, step, skips=skips) for folder in folders
    ]

  def add(self, step: int, sums: Sequence[Sums]) -> None:
    """Takes the sums of each run, as `Log.add` does."""
    for log, own in zip(self._logs, sums, strict=True):
      log.add(step, own)

  def flush(self, progress: TrainingProgress) -> None:
    """Writes what is pending, as `Log.flush` does, and shows the mean of the runs."""
    written = []
    for k, log in enumerate(self._logs):
      try:
        means = log.flush()
      except Diverged as error:
        raise Diverged(error.step, k) from error
      written += [means] if means else []
    if written:
      names = ("loss", "reconstruction_error", "penalty")
      progress.epoch({name: sum(m[name] for m in written) / len(written) for name in names})
