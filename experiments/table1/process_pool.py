"""Commands side by side, each on a processor core of its own.

Small networks train faster so than one after the other on all cores: the threads of a step that
takes milliseconds wait for each other.
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
  """A command.

  Attributes:
    label: what it is called.
    command: the program and its arguments.
    log: the file that takes its output, after what is in it already.
  """

  label: str
  command: Sequence[str | os.PathLike[str]]
  log: Path


def cores() -> list[int]:
  """The cores that this process may use; one, called 0, where no process can be bound to one."""
  return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else [0]


def run(jobs: Sequence[Job], on: Sequence[int], finished: Callable[[Job], None]) -> int | None:
  """Runs all jobs, as many at a time as there are cores.

  After Ctrl-C or SIGTERM, or when one fails, the others get a SIGTERM and are waited for.

  Args:
    jobs: what to run, the first ones first.
    on: the numbers of the cores, of `cores()`.
    finished: called in this process after each job that ended well.

  Returns:
    The number of the signal that asked to stop, if any did.

  Raises:
    ValueError: if a job fails, with the last line of its log.
  """
  waiting, free = collections.deque(jobs), list(on)
  running: dict[subprocess.Popen[bytes], tuple[Job, int]] = {}
  with interruption() as interrupted, _ended(running):
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
          finished(job)
      time.sleep(_POLL_SECONDS)
    return interrupted()


def _start(job: Job, core: int) -> subprocess.Popen[bytes]:
  job.log.parent.mkdir(parents=True, exist_ok=True)
  with job.log.open("ab") as log, _bound_to(core):
    return subprocess.Popen(job.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


@contextlib.contextmanager
def _bound_to(core: int) -> Iterator[None]:
  """What is started here uses this core alone: a new process inherits it."""
  if not hasattr(os, "sched_setaffinity"):
    yield
    return
  own = os.sched_getaffinity(0)
  os.sched_setaffinity(0, {core})
  try:
    yield
  finally:
    os.sched_setaffinity(0, own)


@contextlib.contextmanager
def _ended(running: dict[subprocess.Popen[bytes], tuple[Job, int]]) -> Iterator[None]:
  """At the end no process is left, whatever happened; each may save first."""
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
