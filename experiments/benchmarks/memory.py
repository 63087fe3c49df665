"""Peak memory of value and gradient, in a process of its own.

    python -m benchmarks.memory '{"distance": "cramer_wold", "implementation": "aejax",
      "form": "N(0, I)", "d": 64, "sizes": [1024, 4096]}'

prints one JSON object for each size. `measure_memory` runs this command. On a CPU, the peak is that
of the process's resident memory; on an accelerator, that of the device's allocator. The memory that
the process held before the call, including its inputs, is subtracted.
"""

import contextlib
import ctypes
import gc
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from benchmarks.child_process import run_module
from benchmarks.distance_plan import Case
from benchmarks.distances import DISTANCES
from benchmarks.implementations import implementations
from benchmarks.peers import PEERS

__all__ = ["MEMORY_DIRECTIONS", "measure_memory", "peak_bytes"]

MEMORY_DIRECTIONS = 50
"""Number of directions of sliced distances where memory is measured."""

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def measure_memory(
  distance: str, implementation: str, form: str, d: int, sizes: list[int], *, timeout: float
) -> dict[int, int]:
  """Returns peak bytes by number of latents, each measured after the smaller ones.

  Raises:
    RuntimeError: if the process fails or exceeds `timeout` seconds.
  """
  request = {
    "distance": distance,
    "implementation": implementation,
    "form": form,
    "d": d,
    "sizes": sizes,
  }
  return {line["n"]: line["bytes"] for line in run_module("memory", request, timeout=timeout)}


def peak_bytes(call: Callable[[], Any]) -> int:
  """Returns how far memory rises during a call above its level before the call."""
  stats = jax.devices()[0].memory_stats()
  if stats and "peak_bytes_in_use" in stats:
    before = stats["bytes_in_use"]
    call()
    after = jax.devices()[0].memory_stats() or {}
    return after["peak_bytes_in_use"] - before
  gc.collect()
  _trim_heap()
  _reset_peak()
  before = _resident("VmRSS")
  call()
  return max(0, _resident("VmHWM") - before)


def _resident(field: str) -> int:
  if _STATUS.exists():
    for line in _STATUS.read_text(encoding="utf-8").splitlines():
      if line.startswith(field + ":"):
        return int(line.split()[1]) * 1024
  import resource

  # In KiB, on macOS in bytes. This is the peak of the whole process, so there is no level before
  # the call, but the differences between rising sizes are right.
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return peak if sys.platform == "darwin" else peak * 1024


def _reset_peak() -> None:
  if _CLEAR.exists():
    _CLEAR.write_text("5", encoding="utf-8")


def _trim_heap() -> None:
  """Returns freed memory to the system: the call could otherwise reuse what the compiler freed."""
  with contextlib.suppress(OSError, AttributeError):  # no glibc
    ctypes.CDLL("libc.so.6").malloc_trim(0)


def _serve(request: dict[str, Any]) -> Iterator[dict[str, int]]:
  distance, sizes = request["distance"], sorted(request["sizes"])
  wanted = request["implementation"], request["form"]
  directions = MEMORY_DIRECTIONS if DISTANCES[distance].slices else None
  # The first, uncounted call loads libraries and starts threads.
  for n in [min(128, *sizes), *sizes]:
    case = Case(distance, n, request["d"], directions)
    implementation = next(i for i in implementations(case, PEERS) if (i.name, i.form) == wanted)
    num_bytes = peak_bytes(implementation.prepare(case)["gradient"])
    if n in sizes:
      yield {"n": n, "bytes": num_bytes}


if __name__ == "__main__":
  for answer in _serve(json.loads(sys.argv[1])):
    print(json.dumps(answer), flush=True)
