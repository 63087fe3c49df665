"""Measures the CPU time of imports in fresh processes."""

import statistics
import subprocess
import sys
from collections.abc import Sequence

__all__ = ["STATEMENTS", "import_seconds"]

STATEMENTS = ("import jax", "import aejax.distances", "import aejax")

# CPU time is less sensitive to other processes than wall time.
_PROGRAM = """\
import time
start = time.process_time()
{statement}
print(time.process_time() - start)
"""


def import_seconds(statements: Sequence[str], repetitions: int) -> dict[str, float]:
  """Returns the median CPU seconds of each statement in fresh processes.

  The statements take turns, so that a slow phase of the machine affects all of them. The first
  process of each fills the file cache and is not counted.

  Args:
    statements: import statements to measure.
    repetitions: number of processes per statement.
  """
  found: dict[str, list[float]] = {statement: [] for statement in statements}
  for number in range(repetitions + 1):
    for statement in statements:
      seconds = _seconds(statement)
      if number:
        found[statement].append(seconds)
  return {statement: statistics.median(values) for statement, values in found.items()}


def _seconds(statement: str) -> float:
  done = subprocess.run(
    [sys.executable, "-c", _PROGRAM.format(statement=statement)],
    capture_output=True,
    text=True,
    check=False,
  )
  if done.returncode:
    last_line = (done.stderr.strip().splitlines() or ["killed"])[-1]
    raise RuntimeError(f"{statement} failed: {last_line}")
  return float(done.stdout.splitlines()[-1])
