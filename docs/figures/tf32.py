"""Emulates TensorFloat-32 products in the distances and prints their errors (a minute).

A tensor core rounds float32 to ten bits of fraction. Three such products, of the rounded parts and
of the remainders, are nearly as accurate as float32. Products of two such parts are exact in
float32; the sums here are those of the CPU, and a tensor core's are no better. So the errors are
lower bounds of those on a GPU.
"""

import jax
import jax.numpy as jnp
import numpy as np
from page import print_table

from aejax import distances
from aejax.distances import _tile

N, DIMENSIONS = 512, (8, 64, 1024)
DISTANCES = ("cramer_wold", "mmd", "energy_distance", "kernel_stein")


def rounded(x):
  """Returns float32 values rounded to ten bits of fraction, to nearest even."""
  bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
  odd = (bits >> 13) & 1
  return jax.lax.bitcast_convert_type((bits + 0xFFF + odd) & ~jnp.uint32(0x1FFF), jnp.float32)


def exact(x, y):
  """Returns the product in float32."""
  return jnp.matmul(x, y, precision=jax.lax.Precision.HIGHEST)


def once(x, y):
  """Returns the product of the rounded values."""
  return exact(rounded(x), rounded(y))


def three_times(x, y):
  """Returns the product without that of the two remainders."""
  high, other = rounded(x), rounded(y)
  low, low_other = rounded(x - high), rounded(y - other)
  return exact(low, other) + exact(high, low_other) + exact(high, other)


def errors(name, dim, products):
  """Returns the errors of value and gradient with these products, against float64."""
  z = np.random.default_rng(dim).standard_normal((N, dim)).astype(np.float32)
  function = jax.value_and_grad(lambda z: getattr(distances, name)(z))
  with jax.enable_x64(True):
    value, gradient = map(np.asarray, function(jnp.asarray(z, jnp.float64)))
  previous = _tile.matmul
  try:
    _tile.matmul = products
    jax.clear_caches()
    found, slope = map(np.asarray, function(jnp.asarray(z)))
  finally:
    _tile.matmul = previous
    jax.clear_caches()
  # The unbiased estimate is near zero, so its error is compared with its standard deviation.
  deviation = standard_deviation(name, dim)
  error = np.linalg.norm(slope - gradient) / np.linalg.norm(gradient)
  return abs(found - value) / deviation, error


def standard_deviation(name, dim):
  """Returns the standard deviation of the distance between samples of the prior."""
  keys = jax.random.split(jax.random.key(1), 20)
  return np.std([getattr(distances, name)(jax.random.normal(key, (N, dim))) for key in keys])


def main():
  """Prints the errors of value and gradient for each distance, dimension and kind of product."""
  rows = []
  for name in DISTANCES:
    for dim in DIMENSIONS:
      cells = [errors(name, dim, products) for products in (exact, three_times, once)]
      rows.append([f"`{name}`", str(dim), *(f"{v:.0e}, {g:.0e}" for v, g in cells)])
  print_table(["distance", "D", "float32", "three TF32 products", "one TF32 product"], rows)


if __name__ == "__main__":
  main()
