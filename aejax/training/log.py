"""metrics.jsonl: the mean metrics of each epoch of a run, one JSON object per line."""

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
  """Writes metrics.jsonl: each epoch once, and no epoch after the step that a run resumes from.

  With several processes, only the first writes the file.
  """

  def __init__(self, path: Path, steps_per_epoch: int, step: int, *, skips: bool = False):
    """Opens the log, and removes the epochs after `step`.

    Args:
      path: the file.
      steps_per_epoch: number of steps in an epoch.
      step: step from which the run continues.
      skips: whether the run skips steps with a loss that is not finite; otherwise such a step is
        an error.
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
    """Queues the sums of the epoch that ends with `step`; they may not be computed yet."""
    self._pending.append((step, sums))

  def flush(self) -> dict[str, Any] | None:
    """Waits for the queued sums, writes their means, and returns the means of the last epoch.

    Raises:
      Diverged: if a loss of the epoch was not finite; if the run skips such steps, only when all of
        them were.
      OSError: if an epoch cannot be written; it stays queued for the next call.
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
        # A failed write may have left part of a line.
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
    """Queues the sums of each run, as `Log.add` does."""
    for log, run_sums in zip(self._logs, sums, strict=True):
      log.add(step, run_sums)

  def flush(self, progress: TrainingProgress) -> None:
    """Writes the queued epochs, as `Log.flush` does, and shows the mean over the runs."""
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
