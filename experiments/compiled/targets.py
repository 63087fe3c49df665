"""Accelerators to compile for; they need not be present.

XLA compiles for a described device: a TPU topology from libtpu, or an H100 from the file
h100.textproto in this folder and the CUDA plugin of JAX.
"""

import functools
import importlib.util
import math
import os
import re
import shutil
from pathlib import Path
from typing import Any, Literal

# libtpu asks the network about its machine, locks the machine, and writes to stderr otherwise.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.update(
  TPU_SKIP_MDS_QUERY="1",
  ALLOW_MULTIPLE_LIBTPU_LOAD="1",
  TPU_ACCELERATOR_TYPE="v5litepod-4",
  TPU_WORKER_HOSTNAMES="localhost",
  TF_CPP_MIN_LOG_LEVEL="2",
)

import jax
import numpy as np
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, SingleDeviceSharding

from aejax.training.sharding import shardings

__all__ = [
  "TARGETS",
  "Layout",
  "check",
  "describe",
  "devices",
  "is_gpu",
  "mesh",
  "place",
  "shardings_of",
]

Layout = Literal["rows", "copies", "state"]

TARGETS: dict[str, str] = {
  "h100": "1x1x1",
  "h100:8": "1x8x1",
  "v5e": "v5e:2x2",
  "v5e:2x2": "v5e:2x2",
  "v5e:4x4": "v5e:4x4",
  "v5e:16x16": "v5e:16x16",
  "v5p": "v5p:2x2x1",
  "v6e": "v6e:2x2",
}
"""The targets by name, with their topologies."""

_INSTALL = {
  "cuda": "pip install --no-deps jax-cuda13-plugin=={jax} jax-cuda13-pjrt=={jax} nvidia-cuda-nvcc"
  " nvidia-nvvm",
  "tpu": "pip install 'jax[tpu]=={jax}'",
}


_NAMES = {"h100": "H100", "v5e": "TPU v5e chip", "v5p": "TPU v5p chip", "v6e": "TPU v6e chip"}


def is_gpu(target: str) -> bool:
  """Whether a target is a GPU."""
  return target.startswith("h100")


def check(target: str) -> None:
  """Checks that a target is known and that its compiler is installed.

  Raises:
    ValueError: that says how to install the compiler.
  """
  if target not in TARGETS:
    raise ValueError(f"There is no target {target!r}. There are {', '.join(TARGETS)}.")
  if is_gpu(target):
    there = importlib.util.find_spec("jax_cuda13_plugin") and _has_ptxas()
  else:
    there = importlib.util.find_spec("libtpu")
  if not there:
    install = _INSTALL["cuda" if is_gpu(target) else "tpu"].format(jax=jax.__version__)
    raise ValueError(f"The compiler for {target} is not installed: {install}.")


def describe(target: str) -> str:
  """A sentence on the devices of a target."""
  name, _, several = target.partition(":")
  count = math.prod(map(int, re.findall(r"\d+", several))) if several else 1
  if count == 1:
    return f"One {_NAMES[name]}."
  return f"{count} {_NAMES[name]}s that share the latents or the batch."


def _has_ptxas() -> bool:
  """Whether XLA finds the assembler of CUDA: on PATH, or in the package nvidia-cuda-nvcc."""
  nvidia = importlib.util.find_spec("nvidia")
  folders = [] if nvidia is None else nvidia.submodule_search_locations or []
  packaged = any((Path(folder) / "cu13/bin/ptxas").exists() for folder in folders)
  return packaged or shutil.which("ptxas") is not None


@functools.cache
def devices(target: str) -> list[Any]:
  """The described devices of a target."""
  check(target)
  if is_gpu(target):
    config = Path(__file__).with_name("h100.textproto").read_text(encoding="utf-8")
    found = topologies.get_topology_desc(
      platform="cuda", target_config=config, topology=TARGETS[target]
    )
  else:
    found = topologies.get_topology_desc(TARGETS[target], "tpu")
  return list(found.devices)


def mesh(target: str, axis: str = "data") -> Mesh:
  """A one-dimensional mesh of all devices of a target."""
  return Mesh(np.array(devices(target)), (axis,), axis_types=(AxisType.Auto,))


def shardings_of(target: str, layouts: tuple[Layout, ...]) -> tuple[NamedSharding, ...]:
  """The shardings of "rows" and "copies" over all devices of a target."""
  specs = {"rows": PartitionSpec("data"), "copies": PartitionSpec()}
  return tuple(NamedSharding(mesh(target), specs[layout]) for layout in layouts)


def place(target: str, tree: Any, layout: Layout | None = None) -> Any:
  """Describes arrays as arguments on a target.

  Args:
    target: a name of `TARGETS`.
    tree: arrays or their shapes.
    layout: "rows" spreads the leading axis over all devices, "copies" puts a copy on each, "state"
      shards large arrays as a run does. By default the first device holds all.

  Returns:
    The same tree of `jax.ShapeDtypeStruct`, with shardings.
  """
  if layout == "state":
    where = shardings(tree, mesh(target))
  else:
    one: Any = SingleDeviceSharding(devices(target)[0])
    if layout is not None:
      (one,) = shardings_of(target, (layout,))
    where = jax.tree.map(lambda _: one, tree)
  return jax.tree.map(
    lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
    tree,
    where,
  )
