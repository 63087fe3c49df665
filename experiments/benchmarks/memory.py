"""Measures the peak memory of value and gradient in a fresh process.

    python -m benchmarks.memory '{"distance": "cramer_wold", "contestant": "aejax",
      "form": "N(0, I)", "d": 64, "sizes": [1024, 4096]}'

prints a line of JSON for each size. The peak is that of the process's resident memory on a CPU, and
that of the device's allocator on an accelerator. Memory held before the call, such as the inputs,
is subtracted.
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
from benchmarks.distances import DISTANCES, Cell
from benchmarks.implementations import Implementation, implementations
from benchmarks.peers import PEERS

__all__ = ["MEMORY_SLICES", "measure_memory", "peak_bytes"]

# Number of directions of sliced distances.
MEMORY_SLICES = 50
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def measure_memory(
  distance: str, contestant: str, form: str, d: int, sizes: list[int], *, timeout: float
) -> dict[int, int]:
  """Returns the peak bytes by number of latents, measured in increasing order.

  Raises:
    RuntimeError: if the process fails or takes longer than `timeout` seconds.
  """
  request = {"distance": distance, "contestant": contestant, "form": form, "d": d, "sizes": sizes}
  lines = run_module("benchmarks.memory", request, timeout=timeout)
  answers = [json.loads(line) for line in lines if line.startswith('{"n"')]
  return {answer["n"]: answer["bytes"] for answer in answers}


def peak_bytes(call: Callable[[], Any]) -> int:
  """Returns by how many bytes memory rises during a call."""
  stats = jax.devices()[0].memory_stats()
  if stats and "peak_bytes_in_use" in stats:
    before = stats["bytes_in_use"]
    call()
    after = jax.devices()[0].memory_stats() or {}
    return after["peak_bytes_in_use"] - before
  gc.collect()
  _give_back()
  _forget_peak()
  before = _resident("VmRSS")
  call()
  return max(0, _resident("VmHWM") - before)


def _resident(field: str) -> int:
  if _STATUS.exists():
    for line in _STATUS.read_text(encoding="utf-8").splitlines():
      if line.startswith(field + ":"):
        return int(line.split()[1]) * 1024
  import resource

  # KiB, on macOS bytes. This peak never falls, so only growing sizes change it.
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return peak if sys.platform == "darwin" else peak * 1024


def _forget_peak() -> None:
  if _CLEAR.exists():
    _CLEAR.write_text("5", encoding="utf-8")


def _give_back() -> None:
  """Returns freed memory to the system, since a call that reuses it would not raise the peak."""
  with contextlib.suppress(OSError, AttributeError):  # there is no glibc
    ctypes.CDLL("libc.so.6").malloc_trim(0)


def _find(cell: Cell, name: str, form: str) -> Implementation:
  return next(c for c in implementations(cell, PEERS) if (c.name, c.form) == (name, form))


def _serve(request: dict[str, Any]) -> Iterator[dict[str, int]]:
  distance, sizes = request["distance"], sorted(request["sizes"])
  slices = MEMORY_SLICES if DISTANCES[distance].slices else None
  # The first call loads libraries and starts threads, so a small one comes first.
  for n in [min(128, *sizes), *sizes]:
    cell = Cell(distance, n, request["d"], slices)
    calls = _find(cell, request["contestant"], request["form"]).prepare(cell)
    num_bytes = peak_bytes(calls["gradient"])
    if n in sizes:
      yield {"n": n, "bytes": num_bytes}


if __name__ == "__main__":
  for answer in _serve(json.loads(sys.argv[1])):
    print(json.dumps(answer), flush=True)
