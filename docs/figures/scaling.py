"""Counts what each of k devices computes, receives and stores, without such devices.

  python docs/figures/scaling.py

The script counts operations in the traced programs. It reads memory and received bytes from the
programs that are compiled for simulated devices. It runs no program, and takes two minutes on two
CPU cores.
"""

import math
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec

from aejax import distances

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "experiments"))
from benchmarks.flops import count_flops

DIM, SLICES = 64, 256
DEVICES = (1, 8, 64, 256)
SHARDED, REPLICATED = PartitionSpec("devices"), PartitionSpec()
DISTANCES = {
  "cramer_wold": lambda z, directions: distances.cramer_wold(z, axis_name="devices"),
  "mmd": lambda z, directions: distances.mmd(z, axis_name="devices"),
  "energy_distance": lambda z, directions: distances.energy_distance(z, axis_name="devices"),
  "sliced_wasserstein": lambda z, directions: distances.sliced_wasserstein(
    z, directions=directions, axis_name="devices"
  ),
}
_COLLECTIVE = re.compile(r"= \(?(.*?)\)? (all-gather|all-reduce|reduce-scatter)(?:-start)?\(")
_SHAPE = re.compile(r"f32\[([\d,]*)\]")


def sharded(function, mesh):
  """Returns a function for value and gradient with the rows sharded over the mesh."""
  return jax.shard_map(
    jax.value_and_grad(function),
    mesh=mesh,
    in_specs=(SHARDED, REPLICATED),
    out_specs=(REPLICATED, SHARDED),
    check_vma=False,
  )


def operations(function, n, devices):
  """Returns the number of operations of each device."""
  shapes = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((n, DIM), (SLICES, DIM))]
  return count_flops(sharded(function, AbstractMesh((devices,), ("devices",))), *shapes)


def compiled(function, n, devices):
  """Returns the program of each of a number of simulated devices."""
  mesh = jax.make_mesh(
    (devices,), ("devices",), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices]
  )
  shapes = [
    jax.ShapeDtypeStruct(shape, jnp.float32, sharding=NamedSharding(mesh, spec))
    for shape, spec in (((n, DIM), SHARDED), ((SLICES, DIM), REPLICATED))
  ]
  return jax.jit(sharded(function, mesh)).lower(*shapes).compile()


def received(program, devices):
  """Returns the number of bytes that each device receives in the collectives of a program."""
  total = 0
  for shapes, kind in _COLLECTIVE.findall(program.as_text()):
    size = sum(4 * math.prod(map(int, filter(None, s.split(",")))) for s in _SHAPE.findall(shapes))
    # An all-reduce is a reduce-scatter and an all-gather. The result of a reduce-scatter, which the
    # program shows, is 1/k of what is summed.
    factor = {"all-gather": 1, "all-reduce": 2, "reduce-scatter": devices}[kind]
    total += size * factor * (devices - 1) / devices
  return total


def main() -> None:
  """Prints a row for each distance and number of latents."""
  print("| distance | n | operations, one device | 8 | 64 | 256 |")
  print("|---|---|---|---|---|---|")
  for name, function in DISTANCES.items():
    for n in (1024, 8192, 65536, 2**20):
      one = operations(function, n, 1)
      shares = [f"1/{one / operations(function, n, devices):.1f}" for devices in DEVICES[1:]]
      print(f"| `{name}` | {n:,} | {one:.2e} | {' | '.join(shares)} |")
  print()
  columns = [f"{what}, {k}" for what in ("memory", "received") for k in DEVICES]
  print(f"| distance | n | {' | '.join(columns)} |")
  print("|---" * (len(columns) + 2) + "|")
  for name, function in DISTANCES.items():
    for n in (8192, 65536, 2**20):
      programs = [compiled(function, n, k) for k in DEVICES]
      memory = [program.memory_analysis().temp_size_in_bytes for program in programs]
      moved = [received(program, k) for program, k in zip(programs, DEVICES, strict=True)]
      mebibytes = [f"{size / 2**20:,.1f}" for size in (*memory, *moved)]
      print(f"| `{name}` | {n:,} | {' | '.join(mebibytes)} |", flush=True)


if __name__ == "__main__":
  jax.config.update("jax_platforms", "cpu")
  jax.config.update("jax_num_cpu_devices", DEVICES[-1])
  main()
