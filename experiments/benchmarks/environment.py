"""The environment of a measurement: machine, devices, versions and a digest of the code."""

import datetime
import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import jax

__all__ = ["describe", "difference", "environment", "num_threads"]

_DISTRIBUTIONS = ("aejax", "jax", "jaxlib", "numpy", "scipy")


def environment(sources: Iterable[ModuleType], libraries: Iterable[str] = ()) -> dict[str, Any]:
  """Returns date, machine, devices, versions and code digest.

  Args:
    sources: packages whose code the measurement depends on.
    libraries: other distributions whose versions to record, if they are installed.
  """
  return {
    "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    "python": platform.python_version(),
    "system": f"{platform.system()} {platform.machine()}",
    "processor": _processor(),
    "threads": num_threads(),
    "platform": jax.default_backend(),
    "devices": _devices(),
    "flags": os.environ.get("XLA_FLAGS", ""),
    "versions": {name: v for name in (*_DISTRIBUTIONS, *libraries) if (v := _version(name))},
    "code": _digest(sources),
  }


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
  """Returns the first difference in words, or None; the date may differ."""
  for key in now:
    old, new = before.get(key), now[key]
    if key == "date" or old == new:
      continue
    if key == "code":
      return "aejax's code has changed"
    if isinstance(old, Mapping):
      key = next(k for k in sorted({*old, *new}) if old.get(k) != new.get(k))
      old, new = old.get(key, "missing"), new.get(key, "missing")
    return f"{key} is {old} there and {new} here"
  return None


def describe(where: Mapping[str, Any]) -> str:
  """Returns the environment as one line."""
  versions = ", ".join(f"{name} {version}" for name, version in where["versions"].items())
  return (
    f"{where['date']}; {where['processor']}, {where['threads']} threads, {where['system']}; "
    f"devices: {where['devices']}; Python {where['python']}, {versions}; code {where['code']}."
  )


def num_threads() -> int:
  """Returns the number of hardware threads this process may use; XLA's CPU backend uses all."""
  if hasattr(os, "sched_getaffinity"):
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1


def _processor() -> str:
  try:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
      if line.startswith("model name"):
        return line.partition(":")[2].strip()
  except OSError:
    pass
  return platform.processor() or platform.machine()


def _devices() -> str:
  devices = jax.devices()
  return f"{len(devices)} × {devices[0].device_kind}"


def _version(name: str) -> str | None:
  try:
    return metadata.version(name)
  except metadata.PackageNotFoundError:
    return None


def _digest(sources: Iterable[ModuleType]) -> str:
  """Returns a digest of all Python files in these packages."""
  digest = hashlib.sha256()
  for package in sources:
    folder = Path(package.__path__[0])
    for path in sorted(folder.rglob("*.py")):
      digest.update(f"{package.__name__}/{path.relative_to(folder).as_posix()}\0".encode())
      digest.update(path.read_bytes())
  return digest.hexdigest()[:12]
