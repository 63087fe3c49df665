"""Measures the time until the first training step in a fresh process.

    python -m benchmarks.first_step '{"method": "cwae", "network": "mlp"}'

prints a line of JSON: the seconds that making model, data and state takes, and the seconds that
compiling the loop and taking the first step takes.
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
  """Yields the seconds of a process with an empty compilation cache, then of one with a full one.

  Raises:
    RuntimeError: if a process fails or takes longer than `timeout` seconds.
  """
  with tempfile.TemporaryDirectory() as cache:
    for cached in (False, True):
      yield {"cached": cached, **_in_process(workload, method, cache, timeout)}


def _in_process(workload: Workload, method: str, cache: str, timeout: float) -> dict[str, float]:
  request = {**dataclasses.asdict(workload), "method": method}
  environment = {
    "JAX_ENABLE_COMPILATION_CACHE": "true",
    "JAX_COMPILATION_CACHE_DIR": cache,
    # The value that `aejax._command_line.compilation_cache` sets.
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
  }
  start = time.perf_counter()
  lines = run_module("benchmarks.first_step", request, timeout=timeout, environment=environment)
  found = json.loads(lines[-1])
  return {**found, "process_seconds": time.perf_counter() - start}


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
