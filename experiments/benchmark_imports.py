"""Measures the CPU seconds that `import aejax.distances` takes beyond `import jax`.

  python experiments/benchmark_imports.py

Prints a table; it takes less than a minute on two CPU cores. Every import runs in a fresh process,
and the imports take turns, so that a slow phase of the machine affects all of them.
"""

import dataclasses
import json
import statistics
import subprocess
import sys

from benchmarks.results import markdown

from aejax import _checks
from aejax._command_line import parse
from aejax._user_errors import user_errors

_MODULES = ("jax", "aejax.distances")
_CODE = """
import sys, time
start = time.process_time()
import {module}
print([time.process_time() - start, len(sys.modules)])
"""


@dataclasses.dataclass(frozen=True)
class Options:
  """Measures the CPU seconds, user and system, of imports in fresh processes.

  Attributes:
    repetitions: number of processes for each import; the median is printed.
  """

  repetitions: int = 5


def main(options: Options) -> None:
  """Measures the imports and prints a table."""
  print(table(_checks.integer("repetitions", options.repetitions)), end="")


def table(repetitions: int) -> str:
  """Returns a Markdown table: CPU seconds, seconds beyond jax, and number of loaded modules."""
  seconds: dict[str, list[float]] = {module: [] for module in _MODULES}
  counts: dict[str, int] = {}
  for _ in range(repetitions):
    for module in _MODULES:
      taken, counts[module] = _import(module)
      seconds[module].append(taken)
  medians = {module: statistics.median(times) for module, times in seconds.items()}
  rows = [
    [
      f"`import {module}`",
      f"{median:.2f}",
      "" if module == "jax" else f"{median - medians['jax']:.2f}",
      str(counts[module]),
    ]
    for module, median in medians.items()
  ]
  return markdown(["", "CPU seconds", "beyond jax", "modules"], rows)


def _import(module: str) -> tuple[float, int]:
  """Returns the CPU seconds of an import in a fresh process, and the number of modules after it."""
  command = [sys.executable, "-c", _CODE.format(module=module)]
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  if done.returncode:
    raise ValueError(f"import {module} failed: {done.stderr.strip().splitlines()[-1]}")
  taken, count = json.loads(done.stdout)
  return taken, count


if __name__ == "__main__":
  with user_errors():
    main(parse(Options))
