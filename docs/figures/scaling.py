"""What each of k devices computes and receives: counted in the traced programs, no device needed.

python docs/figures/scaling.py
"""

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, PartitionSpec

from aejax import distances
from aejax.benchmarks.flops import count_flops

DIM, SLICES = 64, 256
DISTANCES = {
  "cramer_wold": lambda z, directions: distances.cramer_wold(z, axis_name="devices"),
  "mmd": lambda z, directions: distances.mmd(z, axis_name="devices"),
  "energy_distance": lambda z, directions: distances.energy_distance(z, axis_name="devices"),
  "sliced_wasserstein": lambda z, directions: distances.sliced_wasserstein(
    z, directions=directions, axis_name="devices"
  ),
}


def flops(function, n, devices):
  """Operations of each device for value and gradient."""
  rows = PartitionSpec("devices")
  each = jax.shard_map(
    jax.value_and_grad(function),
    mesh=AbstractMesh((devices,), ("devices",)),
    in_specs=(rows, PartitionSpec()),
    out_specs=(PartitionSpec(), rows),
    check_vma=False,
  )
  shapes = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((n, DIM), (SLICES, DIM))]
  return count_flops(each, *shapes)


def main() -> None:
  """Prints a row for each distance and number of latents."""
  print("| distance | n | operations, one device | 8 | 64 | 256 | received by each |")
  print("|---|---|---|---|---|---|---|")
  for name, function in DISTANCES.items():
    for n in (1024, 8192, 65536, 2**20):
      one = flops(function, n, 1)
      shares = [f"1/{one / flops(function, n, devices):.1f}" for devices in (8, 64, 256)]
      # All latents once, forward, and all of their gradient's parts once, backward.
      received = 2 * n * DIM * 4 / 2**20
      print(f"| `{name}` | {n:,} | {one:.2e} | {' | '.join(shares)} | {received:,.1f} MiB |")


if __name__ == "__main__":
  main()
