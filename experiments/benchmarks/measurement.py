"""Measures a case: implementations that fit the budget are checked, then timed in turns."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from aejax._memory import available_bytes
from benchmarks.distance_plan import Budget, Case
from benchmarks.distances import DISTANCES
from benchmarks.implementations import Implementation
from benchmarks.peer import Calls
from benchmarks.programs import Program
from benchmarks.results import Row, select, size
from benchmarks.timing import Timing, contention, measure

__all__ = ["MAX_CONTENTION", "expected_seconds", "measure_case", "reason_to_skip"]

MAX_CONTENTION = 0.05
"""If other processes use more of the CPU than this while a case is timed, it is timed again."""

_ATTEMPTS = 3
# Without a smaller batch to extrapolate from, a case with more than the second number of latents is
# first tried with the first number.
_PROBE, _MAX_UNTRIED = 256, 2048
# The first call may load libraries, allocate and compile: the cut-off grows by this many seconds.
_WARM_UP = 5.0
# Needing more than this share of the free memory is a reason to skip.
_MAX_MEMORY = 0.85

_Timed = Mapping[tuple[Implementation, str], Callable[[], Any]]


def measure_case(
  case: Case,
  implementations: Iterable[Implementation],
  *,
  history: Iterable[Row] = (),
  budget: Budget,
) -> list[Row]:
  """Times every implementation within the budget, and records why others were skipped.

  Args:
    case: the case.
    implementations: implementations to compare.
    history: rows measured before, from which the time of a call is estimated.
    budget: how long to measure.

  Returns:
    For each implementation, one row a mode with status "measured", or one row with status "skipped"
    or "disagrees" and a reason.
  """
  rows: list[Row] = []
  calls: dict[Implementation, Calls] = {}
  history = list(history)
  for one in implementations:
    try:
      status, reason = _prepare(one, case, history, budget, calls)
    except Exception as error:
      # One implementation that fails must not end a run of twenty minutes.
      first_line = (str(error).strip().splitlines() or [""])[0]
      status, reason = "skipped", f"{type(error).__name__}: {first_line}"
    if reason:
      rows.append({**one.fields(), "status": status, "reason": reason, "cutoff": budget.cutoff})
      calls.pop(one, None)
  timed = {(one, mode): by_mode[mode] for one, by_mode in calls.items() for mode in by_mode}
  timings, share = _measure_with_least_contention(timed, budget)
  for (one, mode), timing in timings.items():
    row = {**one.fields(), "mode": mode}
    if timing.median > budget.cutoff:
      reason = _over("a call took", timing.median, budget)
      rows.append({**row, "status": "skipped", "reason": reason, "cutoff": budget.cutoff})
      continue
    row |= {"status": "measured", **dataclasses.asdict(timing), **_facts(timed[one, mode])}
    rows.append({**row, "others": share})
  return rows


def expected_seconds(one: Implementation, case: Case, history: Iterable[Row]) -> float | None:
  """Estimates the time of value and gradient from the nearest smaller batch in the history."""
  same = {"distance": case.distance, "dtype": case.dtype, "devices": case.devices}
  rows = select(history, kind="time", mode="gradient", status="measured", **same, **one.fields())
  rows = [row for row in rows if row["n"] <= case.n]
  if not rows:
    return None
  nearest = max(rows, key=lambda row: (row["n"], -abs(math.log(row["d"] / case.d))))
  return _extrapolated(nearest["median"], nearest, case)


def reason_to_skip(
  one: Implementation, case: Case, history: Iterable[Row], budget: Budget
) -> str | None:
  """Returns why an implementation should not be called (memory, or time), or None."""
  needed, free = one.num_bytes(case), available_bytes()
  if needed > _MAX_MEMORY * free:
    return f"it needs about {size(needed)} of memory, but {size(free)} are free"
  seconds = expected_seconds(one, case, history)
  if seconds is None and case.n > _MAX_UNTRIED:
    smaller = dataclasses.replace(case, n=_PROBE * case.devices)
    call = one.prepare(smaller)["gradient"]
    call()
    start = time.perf_counter()
    call()
    seconds = _extrapolated(time.perf_counter() - start, smaller.fields(), case)
  if seconds is not None and seconds > budget.cutoff:
    return _over("it would take about", seconds, budget)
  return None


def _measure_with_least_contention(
  timed: _Timed, budget: Budget
) -> tuple[dict[tuple[Implementation, str], Timing], float | None]:
  """Returns timings and contention of the best attempt; the first one without contention ends."""
  attempts = []
  for _ in range(_ATTEMPTS):
    others = contention()
    timings = measure(timed, seconds=budget.seconds, max_seconds=budget.cutoff)
    attempts.append((timings, others()))
    if (attempts[-1][1] or 0) <= MAX_CONTENTION:
      break
  return min(attempts, key=lambda attempt: attempt[1] or 0)


def _prepare(
  one: Implementation,
  case: Case,
  history: Iterable[Row],
  budget: Budget,
  calls: dict[Implementation, Calls],
) -> tuple[str, str | None]:
  """Adds the calls of an implementation; returns a status and the reason for it, if it failed."""
  reason = reason_to_skip(one, case, history, budget)
  if reason:
    return "skipped", reason
  calls[one] = one.prepare(case)
  start = time.perf_counter()
  result = calls[one]["gradient"]()
  seconds = time.perf_counter() - start
  if seconds > budget.cutoff + _WARM_UP:
    return "skipped", _over("its first call took", seconds, budget)
  return "disagrees", one.check(case, result)


def _over(what: str, seconds: float, budget: Budget) -> str:
  return f"{what} {seconds:.3g} s, over the cut-off of {budget.cutoff:g} s"


def _extrapolated(seconds: float, row: Row, case: Case) -> float:
  for field, exponent in zip(("n", "d", "slices"), DISTANCES[case.distance].growth, strict=True):
    if row[field]:
      seconds *= (getattr(case, field) / row[field]) ** exponent
  return seconds


def _facts(call: Callable[[], Any]) -> Row:
  if not isinstance(call, Program):
    return {}
  return {"compile_seconds": call.compile_seconds, "bytes": call.bytes, "flops": call.flops}
