"""metrics.jsonl: the mean metrics of each epoch of a run, one JSON object per line."""

import functools
import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from aejax._files import replacing
from aejax.training.configuration import Configuration
from aejax.training.divergence import Diverged
from aejax.training.epoch import Sums
from aejax.training.progress import TrainingProgress
from aejax.training.step import Metrics
from aejax.training.trackers import Tracker, make_tracker

__all__ = ["Log", "LogGroup", "read_lines"]


class Log:
  """Writes metrics.jsonl: each epoch once, and no epoch after the step that a run resumes from.

  With several processes, only the first writes the file. Without a path, nothing is written.

  Attributes:
    history: lines of the file as dicts, oldest first.
  """

  def __init__(
    self,
    path: Path | None,
    steps_per_epoch: int,
    step: int,
    *,
    skips: bool = False,
    make_tracker: Callable[[], Tracker | None] = lambda: None,
  ):
    """Opens the log, and removes the epochs after `step`.

    Args:
      path: the file, or None to keep the lines in memory only.
      steps_per_epoch: number of steps in an epoch.
      step: step from which the run continues.
      skips: whether the run skips steps with a loss that is not finite; otherwise such a step is
        an error.
      make_tracker: makes what receives the lines too; called only where the file is written.
    """
    self._tracker: Tracker | None = None
    self._path = path
    self._skips = skips
    self._steps_per_epoch = steps_per_epoch
    self._pending: list[tuple[int, Sums, Metrics]] = []
    self._end = 0
    self.history: list[dict[str, Any]] = []
    self._writes = path is not None and jax.process_index() == 0
    if path is None or not self._writes:
      return
    lines = path.read_bytes().splitlines() if path.exists() else []
    lines = lines[: step // steps_per_epoch]
    with replacing(path) as temporary:
      temporary.write_bytes(b"".join(line + b"\n" for line in lines))
    self._end = path.stat().st_size
    self.history = read_lines(path)
    self._tracker = make_tracker()

  def add(self, step: int, sums: Sums, test: Metrics | None = None) -> None:
    """Queues the sums of the epoch that ends with `step`; they may not be computed yet.

    Args:
      step: number of steps taken.
      sums: sums of the metrics over the epoch.
      test: metrics on the test set at its end, if there are any.
    """
    self._pending.append((step, sums, {} if test is None else test))

  def flush(self) -> dict[str, Any] | None:
    """Waits for the queued sums, writes their means, and returns the means of the last epoch.

    Raises:
      Diverged: if a loss of the epoch was not finite; if the run skips such steps, only when all of
        them were.
      OSError: if an epoch cannot be written; it stays queued for the next call.
    """
    means = None
    while self._pending:
      step, sums, test = self._pending[0]
      means = self._means(step, sums)
      found = {name: float(value) for name, value in test.items()}
      means |= {name: value for name, value in found.items() if math.isfinite(value)}
      line = {"step": step, "epoch": step // self._steps_per_epoch, **means}
      if self._writes:
        self._append(json.dumps(line).encode() + b"\n")
      self.history.append(line)
      del self._pending[0]
    if self._tracker is not None:
      self._tracker.update(self.history)
    return means

  def close(self) -> None:
    """Closes the tracker."""
    if self._tracker is not None:
      self._tracker.close()

  def _means(self, step: int, sums: Sums) -> dict[str, Any]:
    skipped = int(sums.skipped)
    taken = self._steps_per_epoch - skipped
    if not taken or (skipped and not self._skips):
      raise Diverged(int(sums.bad_step))
    means: dict[str, Any] = {name: float(total) / taken for name, total in sums.totals.items()}
    return means | ({"skipped_steps": skipped} if skipped else {})

  def _append(self, line: bytes) -> None:
    assert self._path is not None
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


def read_lines(path: Path) -> list[dict[str, Any]]:
  """Returns the lines of a metrics.jsonl that are whole; none if there is no such file."""
  found = []
  if path.is_file():
    for line in path.read_bytes().splitlines():
      try:
        found.append(json.loads(line))
      except ValueError:  # a run that was killed may have left part of a line
        break
  return [line for line in found if isinstance(line, dict)]


class LogGroup:
  """The logs of runs that are trained together, each in its own folder."""

  def __init__(
    self,
    runs: Sequence[tuple[Configuration, Path | None]],
    steps_per_epoch: int,
    step: int,
    *,
    skips: bool = False,
  ):
    self._logs = [
      Log(
        folder and folder / "metrics.jsonl",
        steps_per_epoch,
        step,
        skips=skips,
        make_tracker=functools.partial(make_tracker, folder, configuration),
      )
      for configuration, folder in runs
    ]

  @property
  def histories(self) -> list[list[dict[str, Any]]]:
    """The lines of each log."""
    return [log.history for log in self._logs]

  def close(self) -> None:
    """Closes the trackers of the runs."""
    for log in self._logs:
      log.close()

  def add(self, step: int, sums: Sequence[Sums], test: Sequence[Metrics] | None = None) -> None:
    """Queues the sums of each run, as `Log.add` does."""
    tests = [{}] * len(self._logs) if test is None else test
    for log, run_sums, metrics in zip(self._logs, sums, tests, strict=True):
      log.add(step, run_sums, metrics)

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
