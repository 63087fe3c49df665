"""The device under test, and the CPU in the same process that it is compared with."""

import functools
import os
from typing import Any

__all__ = ["clear_programs", "cpu_and_device", "on", "platform"]

# JAX opens only the platforms that are named; the comparison needs the CPU too.
if (_named := os.environ.get("JAX_PLATFORMS")) and "cpu" not in _named.split(","):
  os.environ["JAX_PLATFORMS"] = f"{_named},cpu"
# Each stage is a process of its own and leaves the memory to the next.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax


@functools.cache
def cpu_and_device() -> tuple[Any, Any]:
  """The CPU, and the first device of the default platform, which may be the CPU itself."""
  return jax.devices("cpu")[0], jax.devices()[0]


def platform() -> str:
  """The platform of the device: "cpu", "gpu" or "tpu"."""
  return cpu_and_device()[1].platform


def on(device: Any, tree: Any) -> Any:
  """Returns the arrays of a tree on a device; programs that take them are compiled for it."""
  return jax.tree.map(lambda leaf: jax.device_put(leaf, device), tree)


def clear_programs() -> None:
  """Forgets all compiled programs, which hold the tile sizes of their time."""
  jax.clear_caches()
