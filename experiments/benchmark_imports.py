"""Measures the CPU time of importing aejax, beyond that of importing JAX.

  python experiments/benchmark_imports.py

Each import runs in five fresh processes, which takes about a minute.
"""

import dataclasses

from benchmarks.imports import STATEMENTS, import_seconds

from aejax import _checks
from aejax._command_line import parse
from aejax._user_errors import user_errors

_MAX_REPETITIONS = 1000


@dataclasses.dataclass(frozen=True)
class Options:
  """Measures the CPU time of importing aejax, beyond that of importing JAX.

  Attributes:
    repetitions: number of fresh processes per import; the result is their median.
  """

  repetitions: int = 5


def main(options: Options) -> None:
  """Measures each import and prints its seconds."""
  _checks.integer("repetitions", options.repetitions, most=_MAX_REPETITIONS)
  seconds = import_seconds(STATEMENTS, options.repetitions)
  base = seconds[STATEMENTS[0]]
  for statement in STATEMENTS:
    beyond = (
      f"  {seconds[statement] - base:+.2f} s beyond jax" if statement != STATEMENTS[0] else ""
    )
    print(f"{statement:23}{seconds[statement]:6.2f} s{beyond}")


if __name__ == "__main__":
  with user_errors():
    main(parse(Options))
