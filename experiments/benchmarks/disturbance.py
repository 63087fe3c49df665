"""How much of the machine other processes took while something was timed."""

import os
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["watch"]

_STAT = Path("/proc/stat")


def watch() -> Callable[[], float | None]:
  """Begins to watch, and returns a function that gives the share of others since, from 0 to 1.

  What a hypervisor withholds counts as taken by others. None where the system does not say.
  """
  start = _seconds()

  def share() -> float | None:
    end = _seconds()
    if start is None or end is None:
      return None
    wall, busy, own = (b - a for a, b in zip(start, end, strict=True))
    # The kernel counts in hundredths of a second.
    return min(1.0, max(0.0, (busy - own) / max(wall, 0.01) / (os.cpu_count() or 1)))

  return share


def _seconds() -> tuple[float, float, float] | None:
  """Wall time, all processes' time on all processors, and this process's."""
  try:
    fields = map(int, _STAT.read_text(encoding="utf-8").splitlines()[0].split()[1:9])
    user, nice, system, _idle, _waiting, interrupt, soft, stolen = fields
    tick = os.sysconf("SC_CLK_TCK")
  except (OSError, ValueError, IndexError):
    return None
  times = os.times()
  own = times.user + times.system
  busy = (user + nice + system + interrupt + soft + stolen) / tick
  return time.monotonic(), busy, own
