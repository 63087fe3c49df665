"""Measures how much of the machine other processes use during a measurement."""

import os
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["cpu_contention"]

_STAT = Path("/proc/stat")


def cpu_contention() -> Callable[[], float | None]:
  """Returns a function that gives the share of CPU time used by others since now, from 0 to 1.

  Time that a hypervisor withholds counts as used by others. The share is None on systems without
  /proc/stat.
  """
  start = _seconds()

  def share() -> float | None:
    end = _seconds()
    if start is None or end is None:
      return None
    wall, busy, own = (b - a for a, b in zip(start, end, strict=True))
    # The kernel counts in hundredths of a second, so a shorter wall time gives no ratio.
    return min(1.0, max(0.0, (busy - own) / max(wall, 0.01) / (os.cpu_count() or 1)))

  return share


def _seconds() -> tuple[float, float, float] | None:
  """Returns wall time, CPU time of all processes, and CPU time of this process."""
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
