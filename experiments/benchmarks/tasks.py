"""The loop of a benchmark over its tasks: shows progress, saves after each, stops at a signal."""

import contextlib
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jax
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from aejax import _checks
from aejax.training.interruption import interruption
from benchmarks.results import Results, Row

__all__ = ["Interrupted", "Task", "configure", "run_script", "run_tasks"]

# Without a terminal, progress is one line, at most once in this many seconds.
_LINE_INTERVAL = 10.0


class Interrupted(Exception):
  """A benchmark was asked to stop, and can be continued.

  Attributes:
    signal_number: number of the signal that asked.
  """

  def __init__(self, out: Path, signal_number: int):
    super().__init__(f"Interrupted; the same command continues from {out}.")
    self.signal_number = signal_number


@dataclasses.dataclass(frozen=True)
class Task:
  """A part of a benchmark, after which the results are saved.

  Attributes:
    title: text that the progress shows.
    fields: fields that all rows of this task have, and no row of another task.
    work: function that takes the rows measured so far and returns this task's rows.
  """

  title: str
  fields: Row
  work: Callable[[list[Row]], list[Row]]


def configure(devices: int | None) -> int:
  """Prepares the process before it uses a device, and returns the number of devices to use.

  Args:
    devices: number of devices, simulated if there is only a CPU; all accelerators by default.

  Raises:
    ValueError: if there are fewer devices.
  """
  if devices is not None:
    _checks.integer("devices", devices)
  # By default JAX reserves most of a GPU's memory, which leaves too little for child processes.
  os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
  # A cached program would show no compile time.
  jax.config.update("jax_enable_compilation_cache", False)
  # Both options raise a RuntimeError in a process that has used its devices, as a test's has.
  with contextlib.suppress(RuntimeError):
    if (devices or 1) > 1:
      jax.config.update("jax_num_cpu_devices", devices)
    else:
      # A CPU then computes in the calling thread, as PyTorch does. Dispatch to another thread costs
      # up to 0.1 ms per call, which a distance inside a training step does not pay.
      jax.config.update("jax_cpu_enable_async_dispatch", False)
  available = len(jax.devices())
  if devices is not None and devices > available:
    raise ValueError(
      f"devices is {devices}, but {available} can be used on this {jax.default_backend()}."
    )
  return devices or (available if jax.default_backend() != "cpu" else 1)


def run_tasks(tasks: Sequence[Task], results: Results) -> None:
  """Runs the tasks that `results` does not have yet, and saves after each.

  Raises:
    Interrupted: after the task during which SIGINT or SIGTERM came; its rows are saved.
  """
  with _shown_progress(len(tasks)) as progress, interruption() as interrupted:
    for number, task in enumerate(tasks, start=1):
      if not results.has(task.fields):
        progress(number, task.title)
        results.add(task.fields, task.work(results.rows))
      if (signal_number := interrupted()) is not None:
        raise Interrupted(results.path.parent, signal_number)


def run_script(benchmark: Callable[[], list[Path]]) -> None:
  """Runs a benchmark and prints the files it wrote; exits with the code of a signal after one."""
  try:
    paths = benchmark()
  except Interrupted as interrupted:
    print(interrupted, file=sys.stderr)
    sys.exit(128 + interrupted.signal_number)
  for path in paths:
    print(path)


@contextlib.contextmanager
def _shown_progress(total: int) -> Iterator[Callable[[int, str], None]]:
  """Yields a function of number and title of the current task: a bar on a terminal, else lines."""
  console = Console(stderr=True)
  columns = BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn()
  bar = Progress(
    *columns, TextColumn("{task.description}"), console=console, disable=not console.is_terminal
  )
  task = bar.add_task("", total=total)
  last_line = -_LINE_INTERVAL

  def show(number: int, title: str) -> None:
    nonlocal last_line
    bar.update(task, completed=number - 1, description=title)
    if bar.disable and time.monotonic() - last_line >= _LINE_INTERVAL:
      last_line = time.monotonic()
      print(f"{number}/{total}  {title}", file=sys.stderr, flush=True)

  with bar:
    yield show
    bar.update(task, completed=total)
