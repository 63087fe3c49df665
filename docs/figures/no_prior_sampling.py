"""How much gradient noise the closed form to N(0, I) removes (half a minute).

A batch is z = m + s x with x ~ N(0, I), n = 128, at m = (0.1, …, 0.1), s = 0.9: latents slightly
off the prior. The gradient is taken with respect to m and s, and its noise is the trace of its
covariance over fresh batches, once with the closed form and once with n fresh prior samples.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from page import COLOURS, INK, jackknife, new_figure, print_table, save

from aejax import distances

N, DIMENSIONS, DIRECTIONS, BATCHES = 128, (8, 64), 50, 2000
GAMMA = (4 / (3 * N)) ** 0.4  # that of the closed form, for the sampled form as well


def penalties(dim, directions):
  """The distances compared, each a function of latents and a target."""
  gaussian = distances.gaussian(dim**0.5)
  return {
    "mmd, imq": distances.mmd,
    "mmd, gaussian(√D)": functools.partial(distances.mmd, kernel=gaussian),
    "energy_distance": distances.energy_distance,
    "cramer_wold": functools.partial(distances.cramer_wold, gamma=GAMMA),
    "sliced_wasserstein": functools.partial(distances.sliced_wasserstein, directions=directions),
  }


@functools.partial(jax.jit, static_argnums=(1, 2))
def gradients(keys, dim, name):
  """Gradients by (m, s), closed and sampled, of one distance: one batch a key."""

  def one(key):
    x_key, y_key, direction_key = jax.random.split(key, 3)
    x, y = jax.random.normal(x_key, (N, dim)), jax.random.normal(y_key, (N, dim))
    directions = distances.random_directions(direction_key, DIRECTIONS, dim)
    penalty = penalties(dim, directions)[name]

    def loss(parameters, target):
      return penalty(parameters[:-1] + parameters[-1] * x, target)

    at = jnp.append(jnp.full(dim, 0.1), 0.9)
    return jnp.stack([jax.grad(loss)(at, None), jax.grad(loss)(at, y)])

  return jax.lax.map(one, keys)


def noise(draws):
  """Trace of the covariance, closed and sampled: of m alone, of s alone, of both."""
  variance = draws.var(0, ddof=1)
  return np.stack([variance[:, :-1].sum(1), variance[:, -1], variance.sum(1)])


def ratios(draws):
  """Noise of the sampled form over that of the closed form: m, s, both."""
  of_closed, of_sampled = noise(draws).T
  return of_sampled / of_closed


def relative_noise(draws):
  """Standard deviation of the gradient over the length of its mean: closed, sampled."""
  signal = (draws.mean(0) ** 2).sum(-1) - noise(draws)[2] / len(draws)
  return np.sqrt(noise(draws)[2] / signal)


def main():
  """Measures, prints the table, draws the figure."""
  keys = jax.random.split(jax.random.key(0), BATCHES)
  measured = {
    (dim, name): np.asarray(gradients(keys, dim, name), np.float64)
    for dim in DIMENSIONS
    for name in penalties(dim, None)
  }
  rows = []
  for (dim, name), draws in measured.items():
    ratio, error = jackknife(ratios, draws)
    rows.append([f"`{name}`", str(dim)])
    rows[-1] += [f"{r:.2f} ± {e:.2f}" for r, e in zip(ratio, error, strict=True)]
    rows[-1] += [f"{value:.2f}" for value in relative_noise(draws)]
  header = ["distance", "D", "variance ratio", "of m alone", "of s alone"]
  header += ["noise / signal, closed", "sampled"]
  print_table(header, [[*row[:2], row[4], row[2], row[3], *row[5:]] for row in rows])

  figure, axes = new_figure(7.0, 2.9, ncols=len(DIMENSIONS), sharey=True)
  for panel, dim in zip(axes, DIMENSIONS, strict=True):
    names = list(penalties(dim, None))
    for row, name in enumerate(names):
      draws = measured[dim, name]
      closed, sampled = relative_noise(draws)
      first = row == 0 and panel is axes[0]
      labels = ("closed form", "prior sampled") if first else (None, None)
      panel.barh(row - 0.19, closed, 0.36, color=COLOURS[0], label=labels[0])
      panel.barh(row + 0.19, sampled, 0.36, color=COLOURS[1], label=labels[1])
      text = f"variance × {ratios(draws)[2]:.1f}"
      panel.text(sampled, row + 0.19, " " + text, va="center", fontsize=8, color=INK)
    panel.set_yticks(range(len(names)), names)
    panel.margins(x=0.42)
    panel.set_title(f"D = {dim}", fontsize=10, color=INK)
    panel.set_xlabel("gradient noise / signal, one batch of 128", fontsize=9, color=INK)
  axes[0].invert_yaxis()  # the other panel shares it
  figure.legend(loc="outside upper right", ncols=2, frameon=False, fontsize=9, labelcolor=INK)
  save(figure, __file__)


if __name__ == "__main__":
  main()
