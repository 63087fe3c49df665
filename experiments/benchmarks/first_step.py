"""Time to the first training step, in a process of its own.

    python -m benchmarks.first_step '{"method": "cwae", "network": "mlp"}'

prints one JSON object: the seconds to make model, data and state, and the seconds to compile the
training loop and take its first step. `measure_first_step` runs this command.
"""

import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any

from aejax import objectives
from benchmarks.child_process import run_module
from benchmarks.training_programs import Training, Workload

__all__ = ["measure_first_step"]


def measure_first_step(
  workload: Workload, method: str, *, timeout: float = 120.0
) -> Iterator[dict[str, Any]]:
  """Measures a process with an empty compilation cache, then one with the programs of the first.

  Raises:
    RuntimeError: if a process fails or exceeds `timeout` seconds.
  """
  request = {**dataclasses.asdict(workload), "method": method}
  with tempfile.TemporaryDirectory() as cache:
    for cached in (False, True):
      start = time.perf_counter()
      found = run_module(
        "first_step",
        request,
        timeout=timeout,
        JAX_ENABLE_COMPILATION_CACHE="true",
        JAX_COMPILATION_CACHE_DIR=cache,
        # The value that the command `aejax` sets.
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0.2",
      )
      yield {"cached": cached, **found[-1], "process_seconds": time.perf_counter() - start}


def _serve(request: dict[str, Any]) -> dict[str, float]:
  start = time.perf_counter()
  objective = objectives.make(request.pop("method"), {})
  training = Training(Workload(**request), objective)
  made = time.perf_counter()
  training(1)
  done = time.perf_counter()
  return {
    "make_seconds": made - start,
    "step_seconds": done - made,
    "seconds": done - start,
  }


if __name__ == "__main__":
  print(json.dumps(_serve(json.loads(sys.argv[1]))))
