"""A pool of processes, each bound to one processor core.

Small networks train faster in such a pool than one after another on all cores, because the threads
of a step of a few milliseconds mostly wait for each other.
"""

import collections
import contextlib
import dataclasses
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from aejax.training.interruption import interruption

__all__ = ["Job", "cores", "run"]

_POLL_SECONDS = 0.2


@dataclasses.dataclass(frozen=True)
class Job:
  """A command to run.

  Attributes:
    label: name of the job.
    command: program and arguments.
    log: file to which the output is appended.
  """

  label: str
  command: Sequence[str | os.PathLike[str]]
  log: Path


def cores() -> list[int]:
  """Returns the cores that this process may use; only core 0 where processes cannot be bound."""
  return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else [0]


def run(jobs: Sequence[Job], cores: Sequence[int], on_success: Callable[[Job], None]) -> int | None:
  """Runs jobs in their order, one on each core at a time.

  After Ctrl-C or SIGTERM, or when a job fails, the running jobs get a SIGTERM, and this function
  waits for them.

  Args:
    jobs: jobs to run.
    cores: numbers of the cores, as `cores()` returns them.
    on_success: function called in this process with each job that succeeded.

  Returns:
    The number of the signal that asked to stop, or None.

  Raises:
    ValueError: if a job fails, with the last line of its log.
  """
  waiting, free = collections.deque(jobs), list(cores)
  running: dict[subprocess.Popen[bytes], tuple[Job, int]] = {}
  with interruption() as interrupted, _terminated_at_exit(running):
    while (waiting or running) and not interrupted():
      while waiting and free:
        job, core = waiting.popleft(), free.pop()
        running[_start(job, core)] = job, core
      for process in [process for process in running if process.poll() is not None]:
        job, core = running.pop(process)
        free.append(core)
        if process.returncode != 0 and not interrupted():
          raise ValueError(f"{job.label} failed; the end of {job.log}: {_last_line(job.log)}")
        if process.returncode == 0:
          on_success(job)
      time.sleep(_POLL_SECONDS)
    return interrupted()


def _start(job: Job, core: int) -> subprocess.Popen[bytes]:
  job.log.parent.mkdir(parents=True, exist_ok=True)
  with job.log.open("ab") as log, _affinity(core):
    return subprocess.Popen(job.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


@contextlib.contextmanager
def _affinity(core: int) -> Iterator[None]:
  """Binds processes started in the block to a core: they inherit the affinity of this process."""
  if not hasattr(os, "sched_setaffinity"):
    yield
    return
  before = os.sched_getaffinity(0)
  os.sched_setaffinity(0, {core})
  try:
    yield
  finally:
    os.sched_setaffinity(0, before)


@contextlib.contextmanager
def _terminated_at_exit(running: dict[subprocess.Popen[bytes], tuple[Job, int]]) -> Iterator[None]:
  """Terminates the processes that are left after the block, and waits while they save."""
  try:
    yield
  finally:
    for process in running:
      process.terminate()
    for process in running:
      process.wait()


def _last_line(path: Path) -> str:
  lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
  return next((line.strip() for line in reversed(lines) if line.strip()), "nothing")
