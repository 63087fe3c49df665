"""Measures a cell: what can be called within reason is checked, then timed in turns."""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable
from typing import Any

from aejax._memory import available_bytes
from benchmarks.contestants import Contestant
from benchmarks.distances import DISTANCES, Cell
from benchmarks.disturbance import watch
from benchmarks.peer import Calls
from benchmarks.results import Row, select, size
from benchmarks.timing import Program, measure

__all__ = [
  "DISTURBANCE",
  "Effort",
  "expected_seconds",
  "measure_cell",
  "reason_to_skip",
]

# A first guess comes from this many latents, where there could be more than the second number.
_PROBE, _UNKNOWN = 256, 2048

# A first call may load, allocate and compile: so many seconds of it are forgiven.
_WARM_UP = 5.0

# If others take more of the machine than this while a cell is timed, it is timed again.
DISTURBANCE = 0.05
_ATTEMPTS = 3


@dataclasses.dataclass(frozen=True)
class Effort:
  """How long to measure.

  Attributes:
    seconds: to spend on each call.
    cutoff: a call that takes longer, or is expected to, is left out.
  """

  seconds: float = 0.3
  cutoff: float = 30.0


def measure_cell(
  cell: Cell,
  rivals: Iterable[Contestant],
  *,
  history: Iterable[Row] = (),
  effort: Effort = Effort(),
) -> list[Row]:
  """Measures all that can be measured within the cut-off, and says of the rest why not.

  Args:
    cell: what to measure.
    rivals: of `contestants`, say.
    history: rows measured before, from which to guess how long this takes.
    effort: how long to measure.

  Returns:
    For each contestant a row for each mode, of status "measured", or one of status "skipped" or
    "disagrees" with its reason.
  """
  rows: list[Row] = []
  calls: dict[Contestant, Calls] = {}
  history = list(history)
  for one in rivals:
    try:
      status, reason = _prepare(one, cell, history, effort, calls)
    except Exception as error:
      # One that cannot be measured must not end a run of twenty minutes: its row says so.
      first_line = (str(error).strip().splitlines() or [""])[0]
      status, reason = "skipped", f"{type(error).__name__}: {first_line}"
    if reason:
      rows.append({**one.fields(), "status": status, "reason": reason, "cutoff": effort.cutoff})
      calls.pop(one, None)
  timed = {(one, mode): both[mode] for one, both in calls.items() for mode in both}
  timings, share = _measure_undisturbed(timed, effort)
  for (one, mode), timing in timings.items():
    row = {**one.fields(), "mode": mode}
    if timing.median > effort.cutoff:
      reason = _over("a call took", timing.median, effort)
      rows.append({**row, "status": "skipped", "reason": reason, "cutoff": effort.cutoff})
      continue
    row |= {"status": "measured", **dataclasses.asdict(timing), **_facts(timed[one, mode])}
    rows.append({**row, "others": share})
  return rows


def expected_seconds(one: Contestant, cell: Cell, history: Iterable[Row]) -> float | None:
  """How long value and gradient should take, by the nearest smaller batch that was measured."""
  same = {"distance": cell.distance, "dtype": cell.dtype, "devices": cell.devices}
  rows = select(history, kind="time", mode="gradient", status="measured", **same, **one.fields())
  rows = [row for row in rows if row["n"] <= cell.n]
  if not rows:
    return None
  nearest = max(rows, key=lambda row: (row["n"], -abs(math.log(row["d"] / cell.d))))
  return _scaled(nearest["median"], nearest, cell)


def reason_to_skip(
  one: Contestant, cell: Cell, history: Iterable[Row], effort: Effort
) -> str | None:
  """Why not to call it at all: too much memory, or more time than the cut-off; or None."""
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


def _measure_undisturbed(timed, effort):
  """The timings, of the attempt at which others took the least of the machine, and their share."""
  attempts = []
  for _ in range(_ATTEMPTS):
    others = watch()
    timings = measure(timed, seconds=effort.seconds, patience=effort.cutoff)
    attempts.append((timings, others()))
    if (attempts[-1][1] or 0) <= DISTURBANCE:
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
