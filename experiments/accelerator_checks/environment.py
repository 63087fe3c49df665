"""The device and the versions."""

from collections.abc import Iterator
from typing import Any

from benchmarks.environment import environment

import aejax
from accelerator_checks.devices import cpu_and_device

__all__ = ["rows"]


def rows(quick: bool) -> Iterator[dict[str, Any]]:
  """Yields one row: device, machine, versions and a digest of aejax's code."""
  del quick
  _, device = cpu_and_device()
  libraries = ("flax", "optax", "jax-cuda13-plugin", "jax-cuda12-plugin", "libtpu", "ott-jax")
  limit = (device.memory_stats() or {}).get("bytes_limit")
  yield {
    "device": device.device_kind,
    "memory_gib": None if limit is None else round(limit / 2**30, 1),
    **environment([aejax], libraries),
  }
