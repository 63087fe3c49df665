"""How long calls take: warmed up, in turns with each other, quartiles over many repetitions."""

import contextlib
import dataclasses
import gc
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

__all__ = ["Timing", "alternate", "contention", "measure", "time_limit"]

Name = TypeVar("Name")
Clock = Callable[[], float]

# Turns spread a slow phase of the machine over all calls.
_TURNS = 5
# Calls below this many seconds are slowed by the call before: cold caches, or another library's
# threads that still spin. The first call of each turn is then not counted.
_SHORT_CALL = 0.05
_MIN_PAIRS = 5
_STAT = Path("/proc/stat")


@dataclasses.dataclass(frozen=True)
class Timing:
  """Seconds per call.

  Attributes:
    median: median over the repetitions.
    lower: first quartile.
    upper: third quartile.
    repetitions: number of calls timed; 1 if a call is too slow to be repeated.
  """

  median: float
  lower: float
  upper: float
  repetitions: int


def measure(
  calls: Mapping[Name, Callable[[], object]],
  *,
  seconds: float = 0.3,
  max_seconds: float = math.inf,
  clock: Clock = time.perf_counter,
) -> dict[Name, Timing]:
  """Times calls that block until their result is ready, in turns, without garbage collection.

  Each call is made at least three times after a warm-up, but only once if three calls would take
  longer than `max_seconds`.

  Args:
    calls: the calls by name.
    seconds: seconds to spend on each call.
    max_seconds: maximum number of seconds to spend on each call after the first.
    clock: clock in seconds.
  """
  with _no_garbage_collection():
    schedules = {name: _schedule(call, seconds, max_seconds, clock) for name, call in calls.items()}
    for turn in range(_TURNS):
      for name in calls if turn % 2 == 0 else reversed(list(calls)):
        _take_turn(calls[name], schedules[name], turn, clock)
  return {name: schedule.timing() for name, schedule in schedules.items()}


@dataclasses.dataclass
class _Schedule:
  estimate: float
  repetitions: int
  times: list[float]

  def timing(self) -> Timing:
    lower, median, upper = np.quantile(self.times, (0.25, 0.5, 0.75)).tolist()
    return Timing(median, lower, upper, len(self.times))


def _schedule(
  call: Callable[[], object], seconds: float, max_seconds: float, clock: Clock
) -> _Schedule:
  estimate = _time(call, clock)
  if 3 * estimate > max_seconds:
    return _Schedule(estimate, 0, [estimate])
  if estimate < seconds:
    estimate = _time(call, clock)
  return _Schedule(estimate, max(3, round(seconds / max(estimate, 1e-7))), [])


def _take_turn(call: Callable[[], object], schedule: _Schedule, turn: int, clock: Clock) -> None:
  # Seven repetitions in five turns are 1, 1, 2, 1, 2.
  repetitions = schedule.repetitions
  count = repetitions * (turn + 1) // _TURNS - repetitions * turn // _TURNS
  if count and schedule.estimate < _SHORT_CALL:
    call()
  schedule.times += [_time(call, clock) for _ in range(count)]


def _time(call: Callable[[], object], clock: Clock) -> float:
  start = clock()
  call()
  return clock() - start


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
  enabled = gc.isenabled()
  gc.collect()
  gc.disable()
  try:
    yield
  finally:
    if enabled:
      gc.enable()


def alternate(
  first: Callable[[], object],
  second: Callable[[], object],
  *,
  seconds: float,
  clock: Clock = time.perf_counter,
) -> list[tuple[float, float]]:
  """Times two calls in pairs, so that a drift of the machine's speed affects both equally.

  Every other pair is in reverse order, because a call may slow down the one after it. There are at
  least five pairs.

  Args:
    first: a call that blocks until its result is ready.
    second: another such call.
    seconds: seconds to spend in total.
    clock: clock in seconds.

  Returns:
    Seconds of the first and of the second call, for each pair.
  """
  _time(first, clock)
  _time(second, clock)
  both = _time(first, clock) + _time(second, clock)
  pairs = []
  for number in range(max(_MIN_PAIRS, round(seconds / max(both, 1e-7)))):
    if number % 2:
      after = _time(second, clock)
      pairs.append((_time(first, clock), after))
    else:
      pairs.append((_time(first, clock), _time(second, clock)))
  return pairs


def contention() -> Callable[[], float | None]:
  """Starts to measure how much CPU time other processes take.

  Returns:
    A function that returns the share of all processors that other processes used since the start,
    from 0 to 1; None if the system does not report it. CPU time that a hypervisor withholds counts
    as used by others.
  """
  start = _cpu_seconds()

  def share() -> float | None:
    end = _cpu_seconds()
    if start is None or end is None:
      return None
    wall, busy, local = (b - a for a, b in zip(start, end, strict=True))
    # The kernel counts in hundredths of a second.
    return min(1.0, max(0.0, (busy - local) / max(wall, 0.01) / (os.cpu_count() or 1)))

  return share


def _cpu_seconds() -> tuple[float, float, float] | None:
  """Returns wall time, CPU time of all processes, and CPU time of this process."""
  try:
    fields = map(int, _STAT.read_text(encoding="utf-8").splitlines()[0].split()[1:9])
    user, nice, system, _idle, _waiting, interrupt, soft, stolen = fields
    tick = os.sysconf("SC_CLK_TCK")
  except (OSError, ValueError, IndexError):
    return None
  times = os.times()
  busy = (user + nice + system + interrupt + soft + stolen) / tick
  return time.monotonic(), busy, times.user + times.system


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
  """Ends the block after a number of seconds, on systems that have alarm signals.

  Raises:
    TimeoutError: if the block takes longer.
  """
  if not hasattr(signal, "SIGALRM") or (threading.current_thread() is not threading.main_thread()):
    yield
    return

  def stop(number, frame):
    raise TimeoutError(f"took longer than {seconds:g} s")

  previous = signal.signal(signal.SIGALRM, stop)
  signal.setitimer(signal.ITIMER_REAL, seconds)
  try:
    yield
  finally:
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, previous)
