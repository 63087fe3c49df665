"""Measures how much variance orthogonal directions remove from sliced distances (a minute).

The latents are fixed. The directions are drawn many times: 50 independent ones, or 50 in
orthonormal frames. The script compares the variance of the value, and the trace of the covariance
of its gradient with respect to the latents.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from page import print_table

from aejax import distances

N, DIMENSIONS, DIRECTIONS, DRAWS = 128, (8, 64), 50, 1000
DISTANCES = {
  "sliced_wasserstein": distances.sliced_wasserstein,
  "epps_pulley": distances.epps_pulley,
}
# Standard deviations of the latents' coordinates; every coordinate has mean 0.1.
DISTRIBUTIONS = {
  "all a little narrow, σ = 0.9": lambda dim: np.full(dim, 0.9),
  "half of them collapsed, σ = 0.1": lambda dim: np.where(np.arange(dim) % 2, 0.1, 1.0),
}


@functools.partial(jax.jit, static_argnums=(1, 2))
def squared_deviations(z, name, orthogonal):
  """Returns squared deviations of value and gradient from their means, and the mean value."""

  def one(key):
    directions = distances.random_directions(key, DIRECTIONS, z.shape[1], orthogonal=orthogonal)
    return jax.value_and_grad(lambda z: DISTANCES[name](z, directions=directions))(z)

  values, gradients = jax.lax.map(one, jax.random.split(jax.random.key(1), DRAWS))
  return (
    (values - values.mean()) ** 2,
    jnp.sum((gradients - gradients.mean(0)) ** 2, (1, 2)),
    values.mean(),
  )


def ratio(independent, orthogonal):
  """Returns the ratio of two variances with its standard error, as text."""
  means, errors = [], []
  for deviations in (independent, orthogonal):
    means.append(deviations.mean())
    errors.append(deviations.std() / deviations.mean() / DRAWS**0.5)
  value = means[0] / means[1]
  return f"{value:.2f} ± {value * np.hypot(*errors):.2f}"


def main():
  """Measures and prints the table."""
  rows = []
  for name in DISTANCES:
    for distribution, deviations in DISTRIBUTIONS.items():
      for dim in DIMENSIONS:
        z = 0.1 + deviations(dim) * jax.random.normal(jax.random.key(0), (N, dim))
        free, framed = (
          [np.asarray(v, np.float64) for v in squared_deviations(z, name, orthogonal)]
          for orthogonal in (False, True)
        )
        noise = [f"{100 * v[0].mean() ** 0.5 / v[2]:.1f} %" for v in (free, framed)]
        rows.append([f"`{name}`", distribution, str(dim), *noise])
        rows[-1] += [ratio(free[0], framed[0]), ratio(free[1], framed[1])]
  header = ["distance", "latents", "D", "deviation of the value, independent", "orthogonal"]
  print_table([*header, "variance ratio of the value", "of the gradient"], rows)


if __name__ == "__main__":
  main()
