"""Checks of available memory, because JAX aborts the process if an allocation is too large."""

from pathlib import Path

import jax

__all__ = ["available_bytes", "check_fits", "host_bytes"]

# Smaller allocations are not checked.
_MIN_CHECKED = 2**30


def check_fits(name: str, value: object, num_bytes: int) -> None:
  """Raises a ValueError if an argument needs more memory than is available.

  Args:
    name: name of the argument.
    value: value of the argument, for the sentence.
    num_bytes: memory that it needs.
  """
  if num_bytes <= _MIN_CHECKED:
    return
  available = available_bytes()
  if num_bytes > available:
    raise ValueError(
      f"{name} must be less, but is {value}: that would take "
      f"{num_bytes / 2**30:,.0f} GiB of memory, but {available / 2**30:,.0f} GiB are available."
    )


def available_bytes() -> float:
  """Returns the free memory of the accelerator, or of the machine if there is none.

  Returns infinity where the system does not report it.
  """
  stats = jax.local_devices()[0].memory_stats()
  if stats and "bytes_limit" in stats:
    return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
  return host_bytes()


def host_bytes() -> float:
  """Returns the free memory of the machine, or infinity where the system does not report it."""
  try:
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    free = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines}["MemAvailable"]
  except (OSError, KeyError, ValueError, IndexError):
    return float("inf")
  try:
    group = Path("/sys/fs/cgroup")
    limit = int((group / "memory.max").read_text(encoding="utf-8"))
    used = int((group / "memory.current").read_text(encoding="utf-8"))
    return min(free, limit - used)
  except (OSError, ValueError):  # no control group, or its limit is "max"
    return free
