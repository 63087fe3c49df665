"""Compiles a distance of many sets of latents for an H100 and prints kernels and memory.

Needs the compiler of `make test-compiled`, but no device:

  PYTHONPATH=experiments .venv/compiled/bin/python docs/figures/many_sets.py
"""

import jax
import jax.numpy as jnp
from compiled.measure import measure
from compiled.programs import distance
from page import print_table

from aejax import distances

SIZES = ((16, 256), (16, 2048), (64, 2048), (16, 8192))


def mapped(sets, n, batch_size=None):
  """Returns the counts of value and gradient of every set, with vmap or with `jax.lax.map`."""

  def values_and_gradients(z):
    one = jax.value_and_grad(lambda z: distances.cramer_wold(z))
    return jax.lax.map(one, z, batch_size=batch_size) if batch_size else jax.vmap(one)(z)

  z = jax.ShapeDtypeStruct((sets, n, 64), jnp.float32)
  program = distance("cramer_wold", n, 64)
  return measure(program._replace(function=values_and_gradients, arguments=(z,)), "h100")


def main():
  """Prints the table of docs/devices.md."""
  rows = []
  for sets, n in SIZES:
    found = [mapped(sets, n), mapped(sets, n, 4), mapped(sets, n, 1)]
    cells = [f"{row.kernels}, {row.temporaries / 2**20:,.0f} MiB" for row in found]
    rows.append([f"{sets} sets of {n:,}", *cells])
  print_table(
    ["`cramer_wold`, D = 64", "`vmap`", "`map`, `batch_size=4`", "`map`, one by one"], rows
  )


if __name__ == "__main__":
  main()
