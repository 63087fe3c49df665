"""Measures how much gradient noise the closed form to N(0, I) removes (half a minute).

A batch is z = m + s x with x ~ N(0, I), n = 128, at m = (0.1, …, 0.1), s = 0.9: latents near the
prior. The noise of the gradient with respect to m and s is the trace of its covariance over new
batches. It is measured with the closed form, and with n new prior samples for each batch.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from page import COLOURS, INK, jackknife, new_figure, print_table, save

from aejax import distances

N, DIMENSIONS, DIRECTIONS, BATCHES = 128, (8, 64), 50, 2000
GAMMA = (4 / (3 * N)) ** 0.4  # the default of the closed form, used for samples too


def penalties(dim, directions):
  """Returns the distances to compare, as functions of latents and a target."""
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
  """Returns gradients of a distance in (m, s), closed and sampled, for one batch per key."""

  def one(key):
    x_key, y_key, direction_key = jax.random.split(key, 3)
    x, y = jax.random.normal(x_key, (N, dim)), jax.random.normal(y_key, (N, dim))
    directions = distances.random_directions(direction_key, DIRECTIONS, dim)
    penalty = penalties(dim, directions)[name]

    def loss(parameters, target):
      return penalty(parameters[:-1] + parameters[-1] * x, target)

    parameters = jnp.append(jnp.full(dim, 0.1), 0.9)
    return jnp.stack([jax.grad(loss)(parameters, None), jax.grad(loss)(parameters, y)])

  return jax.lax.map(one, keys)


def noise(gradients):
  """Returns the trace of the covariance in m, in s and in both, closed and sampled."""
  variance = gradients.var(0, ddof=1)
  return np.stack([variance[:, :-1].sum(1), variance[:, -1], variance.sum(1)])


def ratios(gradients):
  """Returns the noise of sampled over closed gradients, for m, for s and for both."""
  of_closed, of_sampled = noise(gradients).T
  return of_sampled / of_closed


def relative_noise(gradients):
  """Returns the standard deviation over the length of the mean, closed and sampled."""
  signal = (gradients.mean(0) ** 2).sum(-1) - noise(gradients)[2] / len(gradients)
  return np.sqrt(noise(gradients)[2] / signal)


def main():
  """Measures, prints the table, and plots the figure."""
  keys = jax.random.split(jax.random.key(0), BATCHES)
  measured = {
    (dim, name): np.asarray(gradients(keys, dim, name), np.float64)
    for dim in DIMENSIONS
    for name in penalties(dim, None)
  }
  rows = []
  for (dim, name), of_case in measured.items():
    ratio, error = jackknife(ratios, of_case)
    rows.append([f"`{name}`", str(dim)])
    rows[-1] += [f"{r:.2f} ± {e:.2f}" for r, e in zip(ratio, error, strict=True)]
    rows[-1] += [f"{value:.2f}" for value in relative_noise(of_case)]
  header = ["distance", "D", "variance ratio", "of m alone", "of s alone"]
  header += ["noise / signal, closed", "sampled"]
  print_table(header, [[*row[:2], row[4], row[2], row[3], *row[5:]] for row in rows])

  figure, axes = new_figure(7.0, 2.9, ncols=len(DIMENSIONS), sharey=True)
  for panel, dim in zip(axes, DIMENSIONS, strict=True):
    names = list(penalties(dim, None))
    for row, name in enumerate(names):
      of_case = measured[dim, name]
      closed, sampled = relative_noise(of_case)
      first = row == 0 and panel is axes[0]
      labels = ("closed form", "prior sampled") if first else (None, None)
      panel.barh(row - 0.19, closed, 0.36, color=COLOURS[0], label=labels[0])
      panel.barh(row + 0.19, sampled, 0.36, color=COLOURS[1], label=labels[1])
      text = f"variance × {ratios(of_case)[2]:.1f}"
      panel.text(sampled, row + 0.19, " " + text, va="center", fontsize=8, color=INK)
    panel.set_yticks(range(len(names)), names)
    panel.margins(x=0.42)
    panel.set_title(f"D = {dim}", fontsize=10, color=INK)
    panel.set_xlabel("gradient noise / signal, one batch of 128", fontsize=9, color=INK)
  axes[0].invert_yaxis()  # shared with the other panel
  figure.legend(loc="outside upper right", ncols=2, frameon=False, fontsize=9, labelcolor=INK)
  save(figure, __file__)


if __name__ == "__main__":
  main()
