"""Computes the σ at which latents N(0, σ²I) minimise the expected distance (a minute).

An unbiased estimate of a distance has its minimum at σ = 1. Expectations over batches of n = 128
are exact: |x|² and |x − x′|² are multiples of a χ² variable with D degrees of freedom, so each
expectation is a one-dimensional integral in float64. Gradients of aejax's functions over random
batches check every number.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from page import COLOURS, INK, jackknife, new_figure, print_table, save
from scipy import optimize, special

from aejax import distances

N, DIMENSIONS = 128, (2, 4, 8, 16, 32, 64, 128, 256)
CHECKED, BATCHES, DIRECTIONS = (2, 8, 64), 500, 20
SCALES = distances.InverseMultiquadric.scales
SILVERMAN = (4 / (3 * N)) ** 0.4


def chi_square_mean(function, dim):
  """Returns E f(q) for q ~ χ² with `dim` degrees of freedom, by the trapezoidal rule in log q."""
  v = np.linspace(-40, np.log(4 * dim + 200), 8001)
  log_weights = dim / 2 * (v - math.log(2)) - np.exp(v) / 2 - special.gammaln(dim / 2)
  return np.sum(function(np.exp(v)) * np.exp(log_weights)) * (v[1] - v[0])


def cramer_wold(s, dim, *, gamma=SILVERMAN, unbiased=False, approximate=False):
  """Returns the expected squared Cramer-Wold distance at σ = s."""

  def smoothed(variance, gamma):
    """Returns E φ_D(|x|²/4γ)/√γ for x ~ N(0, variance I)."""
    if not approximate:
      return (
        gamma + variance / 2
      ) ** -0.5  # φ_D averages over projections, and those of x are normal
    c = variance / gamma / (2 * dim - 3)
    return chi_square_mean(lambda q: (1 + c * q) ** -0.5, dim) * gamma**-0.5

  diagonal = 0 if unbiased else 1 / N
  xx = diagonal * gamma**-0.5 + (1 - diagonal) * smoothed(2 * s * s, gamma)
  return (xx + (1 + gamma) ** -0.5 - 2 * smoothed(s * s, gamma + 0.5)) / (2 * math.sqrt(math.pi))


def mmd(s, dim, *, unbiased=True):
  """Returns the expected squared MMD with the default kernel at σ = s, without a constant term."""

  def kernel(variance):
    c = [variance / (2 * dim * scale) for scale in SCALES]
    return chi_square_mean(lambda q: sum(1 / (1 + each * q) for each in c), dim)

  return (1 if unbiased else 1 - 1 / N) * kernel(2 * s * s) - 2 * kernel(1 + s * s)


def energy_distance(s, dim, *, unbiased=True):
  """Returns the expected squared energy distance at σ = s over E|y|, without a constant term."""
  del dim
  return 2 * math.sqrt(1 + s * s) - (1 if unbiased else 1 - 1 / N) * math.sqrt(2) * s


def sliced_wasserstein(s, dim, *, sampled=False):
  """Returns the expected squared sliced 2-Wasserstein distance at σ = s."""
  del dim
  ordered, quantiles = _order_statistics()
  target = ordered if sampled else quantiles
  return s * s - 2 * s * np.mean(target * ordered) + 1


@functools.cache
def _order_statistics():
  """Returns E x_(i) of a standard normal sample, and the means between the quantiles i/n."""
  x, i = np.linspace(-10, 10, 4001), np.arange(1, N + 1)[:, None]
  density = np.exp(-(x**2) / 2 - special.betaln(i, N - i + 1)) / math.sqrt(2 * math.pi)
  density *= np.exp((i - 1) * special.log_ndtr(x) + (N - i) * special.log_ndtr(-x))
  edges = special.ndtri(np.arange(N + 1) / N)
  quantiles = -N * np.diff(np.exp(-(edges**2) / 2)) / math.sqrt(2 * math.pi)
  return (x * density).sum(1) * (x[1] - x[0]), quantiles


def squared_deviation(s, dim, *, tails):
  """Returns E n ∫ (F_n − Φ)² w dΦ at σ = s: Anderson–Darling with `tails`, or Cramér–von Mises."""
  del dim
  x = np.linspace(-12, 12, 4001)
  log_f, log_1_f = special.log_ndtr(x / s), special.log_ndtr(-x / s)
  log_w = -(x**2) / 2 - 0.5 * math.log(2 * math.pi)
  if tails:
    log_w -= special.log_ndtr(x) + special.log_ndtr(-x)
  # Uses the tail in which F and Φ are small, for precision: the difference is the same in both.
  gap = np.abs(special.ndtr(-np.abs(x) / s) - special.ndtr(-np.abs(x)))
  terms = np.exp(2 * np.log(gap + 1e-300) + log_w) * N + np.exp(log_f + log_1_f + log_w)
  return terms.sum() * (x[1] - x[0])


def cases():
  """Returns expectations, each with aejax's function of latents, prior samples and directions."""
  d = distances
  slices = d.sliced_wasserstein
  part = functools.partial
  return {
    "cramer_wold(approximate=True)": (
      part(cramer_wold, approximate=True),
      lambda z, y, directions: d.cramer_wold(z, approximate=True),
    ),
    "cramer_wold": (cramer_wold, lambda z, y, directions: d.cramer_wold(z)),
    "cramer_wold(unbiased=True)": (
      part(cramer_wold, unbiased=True),
      lambda z, y, directions: d.cramer_wold(z, unbiased=True),
    ),
    "sigreg, epps_pulley": (part(cramer_wold, gamma=0.5), lambda z, y, directions: d.sigreg(z)),
    "mmd": (mmd, lambda z, y, directions: d.mmd(z)),
    "mmd(unbiased=False)": (
      part(mmd, unbiased=False),
      lambda z, y, directions: d.mmd(z, unbiased=False),
    ),
    "energy_distance": (energy_distance, lambda z, y, directions: d.energy_distance(z)),
    "energy_distance(unbiased=False)": (
      part(energy_distance, unbiased=False),
      lambda z, y, directions: d.energy_distance(z, unbiased=False),
    ),
    "sliced_wasserstein": (
      sliced_wasserstein,
      lambda z, y, directions: slices(z, directions=directions),
    ),
    "sliced_wasserstein, n prior samples": (
      part(sliced_wasserstein, sampled=True),
      lambda z, y, directions: slices(z, y, directions=directions),
    ),
    "anderson_darling": (
      part(squared_deviation, tails=True),
      lambda z, y, directions: d.anderson_darling(z, directions=directions),
    ),
    "cramer_von_mises": (
      part(squared_deviation, tails=False),
      lambda z, y, directions: d.cramer_von_mises(z, directions=directions),
    ),
  }


def best_scale(expectation, dim):
  """Returns the σ that minimises an expectation."""
  best = optimize.fminbound(lambda s: expectation(s, dim), 0.3, 1.3, xtol=1e-7)
  return np.asarray(best).item()


@functools.partial(jax.jit, static_argnums=(1, 2))
def slopes(keys, dim, name, scales):
  """Returns d/dσ of aejax's function at the given σ, for one batch per key."""
  distance = cases()[name][1]

  def one(key):
    x_key, y_key, direction_key = jax.random.split(key, 3)
    x, y = jax.random.normal(x_key, (N, dim)), jax.random.normal(y_key, (N, dim))
    directions = distances.random_directions(direction_key, DIRECTIONS, dim)
    return jnp.stack([jax.grad(lambda s: distance(s * x, y, directions))(s) for s in scales])

  return jax.lax.map(one, keys)


def monte_carlo(name, dim, near):
  """Returns the root of the mean slope by a secant through two σ nearby, and its standard error."""
  ends = np.array([near - 0.01, near + 0.01], np.float32)
  samples = np.asarray(slopes(jax.random.split(jax.random.key(dim), BATCHES), dim, name, ends))

  def root(samples):
    low, high = samples.mean(0, dtype=np.float64)
    return ends[0] - low * (ends[1] - ends[0]) / (high - low)

  return jackknife(root, samples)


def main():
  """Integrates, checks, prints the tables, and plots the figure."""
  exact = {
    name: [best_scale(expectation, dim) for dim in DIMENSIONS]
    for name, (expectation, _) in cases().items()
  }
  print_table(
    ["best σ", *(f"D = {dim}" for dim in DIMENSIONS)],
    [[f"`{name}`", *(f"{s:.4f}" for s in row)] for name, row in exact.items()],
  )
  rows = []
  for name, row in exact.items():
    rows.append([f"`{name}`"])
    for dim in CHECKED:
      near = row[DIMENSIONS.index(dim)]
      value, error = monte_carlo(name, dim, near)
      rows[-1].append(f"{value:.4f} ± {error:.4f} ({(value - near) / error:+.1f})")
  print_table(["Monte-Carlo (deviation / error)", *(f"D = {dim}" for dim in CHECKED)], rows)
  values_at_prior = [
    [f"D = {dim}", *(f"{cramer_wold(1.0, dim, approximate=a):.4f}" for a in (True, False))]
    for dim in DIMENSIONS
  ]
  print_table(["E cramer_wold at σ = 1", "approximate", "exact"], values_at_prior)

  figure, axes = new_figure(7.0, 3.4)
  colours = {
    "cramer_wold(approximate=True)": COLOURS[2],
    "sliced_wasserstein, n prior samples": COLOURS[1],
    "energy_distance(unbiased=False)": COLOURS[5],
    "sliced_wasserstein": COLOURS[1],
    "mmd(unbiased=False)": COLOURS[3],
    "cramer_wold": COLOURS[0],
  }
  for name, colour in colours.items():
    shrinkage = 100 * (1 - np.array(exact[name]))
    style = "o--" if "samples" in name else "o-"
    axes.plot(DIMENSIONS, shrinkage, style, color=colour, markersize=3.5, linewidth=1.5, label=name)
  axes.set_xscale("log", base=2)
  axes.set_xticks(DIMENSIONS, [str(dim) for dim in DIMENSIONS])
  axes.set_yscale("log")
  axes.set_yticks([0.5, 1, 2, 5, 10, 20, 40], ["0.5", "1", "2", "5", "10", "20", "40"])
  axes.minorticks_off()
  axes.set_xlabel("latent dimension D", fontsize=9, color=INK)
  axes.set_ylabel("1 − best σ, %", fontsize=9, color=INK)
  axes.legend(frameon=False, fontsize=8, labelcolor=INK)
  save(figure, __file__)


if __name__ == "__main__":
  main()
