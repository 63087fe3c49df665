"""Measures a cell: checks every implementation that is fast enough, then times them in turns."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable
from typing import Any

from aejax._memory import available_bytes
from benchmarks.contention import cpu_contention
from benchmarks.distances import DISTANCES, Cell
from benchmarks.implementations import Implementation
from benchmarks.peer import Calls
from benchmarks.results import Row, select, size
from benchmarks.timing import Program, measure

__all__ = [
  "MAX_CONTENTION",
  "Effort",
  "expected_seconds",
  "measure_cell",
  "reason_to_skip",
]

# Without earlier measurements, a cell with more than _UNKNOWN latents is first tried with _PROBE.
_PROBE, _UNKNOWN = 256, 2048

# The first call may load libraries, allocate and compile, so it gets these seconds in addition.
_WARM_UP = 5.0

# A cell is timed again if other processes use more than this share of the machine meanwhile.
MAX_CONTENTION = 0.05
_MAX_ATTEMPTS = 3


@dataclasses.dataclass(frozen=True)
class Effort:
  """Time limits of a measurement.

  Attributes:
    seconds: seconds to spend on each call.
    cutoff: maximum seconds of a call; slower calls are skipped.
  """

  seconds: float = 0.3
  cutoff: float = 30.0


def measure_cell(
  cell: Cell,
  candidates: Iterable[Implementation],
  *,
  history: Iterable[Row] = (),
  effort: Effort = Effort(),
) -> list[Row]:
  """Measures all implementations within the cut-off, and records why the others are skipped.

  Args:
    cell: distance and size to measure.
    candidates: implementations to compare, such as those of `implementations`.
    history: rows measured before; they give the expected time.
    effort: time limits.

  Returns:
    For each implementation one row per mode with status "measured", or one row with status
    "skipped" or "disagrees" and a reason.
  """
  rows: list[Row] = []
  calls: dict[Implementation, Calls] = {}
  history = list(history)
  for one in candidates:
    try:
      status, reason = _prepare(one, cell, history, effort, calls)
    except Exception as error:
      # A failing implementation must not end a run of twenty minutes; its row has the error.
      first_line = (str(error).strip().splitlines() or [""])[0]
      status, reason = "skipped", f"{type(error).__name__}: {first_line}"
    if reason:
      rows.append({**one.fields(), "status": status, "reason": reason, "cutoff": effort.cutoff})
      calls.pop(one, None)
  timed = {(one, mode): both[mode] for one, both in calls.items() for mode in both}
  timings, share = _measure_without_contention(timed, effort)
  for (one, mode), timing in timings.items():
    row = {**one.fields(), "mode": mode}
    if timing.median > effort.cutoff:
      reason = _over("a call took", timing.median, effort)
      rows.append({**row, "status": "skipped", "reason": reason, "cutoff": effort.cutoff})
      continue
    row |= {"status": "measured", **dataclasses.asdict(timing), **_facts(timed[one, mode])}
    rows.append({**row, "others": share})
  return rows


def expected_seconds(one: Implementation, cell: Cell, history: Iterable[Row]) -> float | None:
  """Estimates the seconds of value and gradient from the nearest smaller batch in `history`."""
  same = {"distance": cell.distance, "dtype": cell.dtype, "devices": cell.devices}
  rows = select(history, kind="time", mode="gradient", status="measured", **same, **one.fields())
  rows = [row for row in rows if row["n"] <= cell.n]
  if not rows:
    return None
  nearest = max(rows, key=lambda row: (row["n"], -abs(math.log(row["d"] / cell.d))))
  return _scaled(nearest["median"], nearest, cell)


def reason_to_skip(
  one: Implementation, cell: Cell, history: Iterable[Row], effort: Effort
) -> str | None:
  """Returns why a call would take too much memory or time, or None."""
  needed, free = one.num_bytes(cell), available_bytes()
  if needed > 0.85 * free:
    return f"it takes about {size(needed)} of memory, and {size(free)} are free"
  seconds = expected_seconds(one, cell, history)
  if seconds is None and cell.n > _UNKNOWN:
    smaller = dataclasses.replace(cell, n=_PROBE * cell.devices)
    call = one.prepare(smaller)["gradient"]
    call()
    start = time.perf_counter()
    call()
    seconds = _scaled(time.perf_counter() - start, smaller.fields(), cell)
  if seconds is not None and seconds > effort.cutoff:
    return _over("it would take about", seconds, effort)
  return None


def _measure_without_contention(timed, effort):
  """Returns the timings of the attempt with the least contention, and the share of others."""
  attempts = []
  for _ in range(_MAX_ATTEMPTS):
    others = cpu_contention()
    timings = measure(timed, seconds=effort.seconds, patience=effort.cutoff)
    attempts.append((timings, others()))
    if (attempts[-1][1] or 0) <= MAX_CONTENTION:
      break
  return min(attempts, key=lambda attempt: attempt[1] or 0)


def _prepare(one, cell, history, effort, calls) -> tuple[str, str | None]:
  reason = reason_to_skip(one, cell, history, effort)
  if reason:
    return "skipped", reason
  calls[one] = one.prepare(cell)
  start = time.perf_counter()
  result = calls[one]["gradient"]()
  seconds = time.perf_counter() - start
  if seconds > effort.cutoff + _WARM_UP:
    return "skipped", _over("its first call took", seconds, effort)
  return "disagrees", one.check(cell, result)


def _over(what: str, seconds: float, effort: Effort) -> str:
  return f"{what} {seconds:.3g} s, over the cut-off of {effort.cutoff:g} s"


def _scaled(seconds: float, row: Row, cell: Cell) -> float:
  for field, exponent in zip(("n", "d", "slices"), DISTANCES[cell.distance].growth, strict=True):
    if row[field]:
      seconds *= (getattr(cell, field) / row[field]) ** exponent
  return seconds


def _facts(call: Callable[[], Any]) -> Row:
  if not isinstance(call, Program):
    return {}
  return {"compile_seconds": call.compile_seconds, "bytes": call.bytes, "flops": call.flops}
