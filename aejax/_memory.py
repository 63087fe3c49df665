"""How much memory there is: what cannot fit is refused, for to try would end the process."""

from pathlib import Path

import jax

__all__ = ["available_bytes", "check_fits"]

# Less is not worth a look at how much there is.
_LITTLE = 2**30


def check_fits(name: str, value: object, num_bytes: int) -> None:
  """Raises a ValueError if what an argument asks for takes more memory than there is.

  JAX's own allocator ends the process, or the system does.
  """
  if num_bytes <= _LITTLE:
    return
  available = available_bytes()
  if num_bytes > available:
    raise ValueError(
      f"{name} must be less, but is {value}: that would take "
      f"{num_bytes / 2**30:,.0f} GiB of memory, and {available / 2**30:,.0f} can be had."
    )


def available_bytes() -> float:
  """Memory that can still be had: an accelerator's, or else the machine's.

  Infinity where nobody says.
  """
  stats = jax.local_devices()[0].memory_stats()
  if stats and "bytes_limit" in stats:
    return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
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
  except (OSError, ValueError):  # no control group, or "max": none of its own
    return free
