"""Measures which deviations each distance detects, and its slope far away (a minute and a half).

The first table shows how far the mean score of batches that deviate from the prior in one way lies
above that of batches of the prior, in standard deviations of the latter. The second table and the
figure show the slope of the distance as latents N(0, I) are shifted by m, over the slope at m = 1.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from page import COLOURS, INK, new_figure, print_table, save

from aejax import distances

N, DIM, DIRECTIONS, BATCHES = 128, 8, 50, 400
OFFSETS = np.logspace(-1, 2, 61)
SHOWN = (0.1, 3.0, 10.0, 30.0, 100.0)


def sliced(statistic):
  """Returns a sliced statistic as a function of latents and directions."""
  return lambda z, directions: statistic(z, directions=directions)


DISTANCES = {
  "cramer_wold": lambda z, _: distances.cramer_wold(z),
  "sigreg": lambda z, _: distances.sigreg(z),
  "mmd, imq": lambda z, _: distances.mmd(z),
  "mmd, gaussian(√D)": lambda z, _: distances.mmd(z, kernel=distances.gaussian(DIM**0.5)),
  "energy_distance": lambda z, _: distances.energy_distance(z),
  "kernel_stein": lambda z, _: distances.kernel_stein(z),
  "sliced_wasserstein": sliced(distances.sliced_wasserstein),
  "max_sliced_wasserstein": sliced(distances.max_sliced_wasserstein),
  "epps_pulley": sliced(distances.epps_pulley),
  "anderson_darling": sliced(distances.anderson_darling),
  "cramer_von_mises": sliced(distances.cramer_von_mises),
  "kolmogorov_smirnov": sliced(distances.kolmogorov_smirnov),
}


def in_first(change):
  """Returns a change of the first coordinate only."""
  return lambda x, key: x.at[:, 0].set(change(x, key))


def two_clusters(x, key):
  """Returns clusters at ±0.9 with variance 1 − 0.81: the mean is 0 and the variance 1."""
  return 0.9 * jax.random.rademacher(key, (N,), float) + 0.19**0.5 * x[:, 0]


def heavy_tails(x, key):
  """Returns Student's t with 5 degrees of freedom, scaled to variance 1."""
  chi_square = 2 * jax.random.gamma(key, 2.5, (N, 1))
  return x * jnp.sqrt(3 / chi_square)


DEVIATIONS = {
  "mean 0.1 in each coordinate": lambda x, key: x + 0.1,
  "mean 0.5 in one": in_first(lambda x, key: x[:, 0] + 0.5),
  "σ = 0.9": lambda x, key: 0.9 * x,
  "one coordinate collapsed": in_first(lambda x, key: 0.1 * x[:, 0]),
  "two correlated by 0.7": in_first(lambda x, key: 0.7 * x[:, 1] + 0.51**0.5 * x[:, 0]),
  "two clusters in one": in_first(two_clusters),
  "heavy tails": heavy_tails,
  "on the sphere": lambda x, key: x * (DIM / jnp.sum(x * x, 1, keepdims=True)) ** 0.5,
}


@functools.partial(jax.jit, static_argnums=(1,))
def scores(keys, name):
  """Returns values of a distance for the prior and for each deviation, one row per key."""

  def one(key):
    x_key, change_key, direction_key = jax.random.split(key, 3)
    x = jax.random.normal(x_key, (N, DIM))
    directions = distances.random_directions(direction_key, DIRECTIONS, DIM)
    batches = jnp.stack([x, *(change(x, change_key) for change in DEVIATIONS.values())])
    return jax.lax.map(lambda z: DISTANCES[name](z, directions), batches)

  return jax.lax.map(one, keys)


@functools.partial(jax.jit, static_argnums=(1,))
def slopes(keys, name):
  """Returns d/dm of a distance for latents N(m e₁, I) at each offset m, one row per key."""

  def one(key):
    x_key, direction_key = jax.random.split(key)
    x = jax.random.normal(x_key, (N, DIM))
    directions = distances.random_directions(direction_key, DIRECTIONS, DIM)
    slope = jax.grad(lambda m: DISTANCES[name](x.at[:, 0].add(m), directions))
    return jax.lax.map(slope, jnp.asarray(OFFSETS, jnp.float32))

  return jax.lax.map(one, keys)


def index_of(m):
  """Returns the index of the offset nearest to m."""
  return int(np.argmin(abs(OFFSETS - m)))


def short(slope):
  """Returns a slope with two digits, or "0" if it is only rounding error."""
  return "0" if slope < 1e-6 else f"{slope:.2g}" if slope < 10 else f"{slope:.0f}"


def main():
  """Measures, prints the tables, and plots the figure."""
  keys = jax.random.split(jax.random.key(0), BATCHES)
  rows = []
  for name in DISTANCES:
    values = np.asarray(scores(keys, name), np.float64)
    excess = (values[:, 1:].mean(0) - values[:, 0].mean()) / values[:, 0].std(ddof=1)
    rows.append([f"`{name}`", *(f"{e:.1f}" for e in excess)])
  print_table(["deviations above the prior", *DEVIATIONS], rows)

  reach = {n: np.asarray(slopes(keys[:20], n), np.float64).mean(0) for n in DISTANCES}
  reach = {name: slope / slope[index_of(1.0)] for name, slope in reach.items()}
  print_table(
    ["slope over that at m = 1", *(f"m = {m:g}" for m in SHOWN)],
    [[f"`{name}`", *(short(slope[index_of(m)]) for m in SHOWN)] for name, slope in reach.items()],
  )

  figure, axes = new_figure(7.0, 3.4)
  colours = {
    "sliced_wasserstein": COLOURS[1],
    "energy_distance": COLOURS[5],
    "anderson_darling": INK,
    "cramer_wold": COLOURS[0],
    "mmd, imq": COLOURS[3],
    "mmd, gaussian(√D)": COLOURS[2],
  }
  for name, colour in colours.items():
    style = "--" if name == "anderson_darling" else "-"  # a solid line would hide the one below
    axes.plot(OFFSETS, reach[name], style, color=colour, linewidth=1.6, label=name)
  axes.set(xscale="log", yscale="log", ylim=(1e-3, 2e2))
  axes.set_xlabel("distance m of latents N(m e₁, I) from the prior", fontsize=9, color=INK)
  axes.set_ylabel("slope over that at m = 1", fontsize=9, color=INK)
  axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="upper left")
  save(figure, __file__)


if __name__ == "__main__":
  main()
