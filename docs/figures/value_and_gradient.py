"""Plots each distance and its gradient against a shift and a scale of the latents (two minutes).

The latents are x + m e₁ or s x with x ~ N(0, I), n = 128 and D = 8. A line is the mean over
batches, the band one standard deviation of a single batch on either side. Sliced distances get 50
orthogonal directions, drawn anew for each batch. The files are
docs/figures/value_and_gradient/NAME.svg.
"""

import functools
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
from page import COLOURS, INK, new_figure

from aejax import distances
from aejax._files import replacing

N, DIM, DIRECTIONS, BATCHES = 128, 8, 50, 100
SHIFTS = np.linspace(0, 6, 41, dtype=np.float32)
SCALES = np.linspace(0.02, 3, 41, dtype=np.float32)
OUT = Path(__file__).with_suffix("")
# Text stays text, in the font of the reader: a quarter of the size of outlines.
SVG = {"svg.fonttype": "none", "svg.hashsalt": "aejax", "font.family": "sans-serif"}


def _sliced(function, **options):
  return lambda z, y, directions: function(z, directions=directions, **options)


def cases():
  """Returns each distance as a function of latents, samples of N(0, I) and directions."""
  d = distances
  return {
    "cramer_wold": lambda z, y, directions: d.cramer_wold(z),
    "sigreg": lambda z, y, directions: d.sigreg(z, normalized=True),
    "mmd": lambda z, y, directions: d.mmd(z),
    "energy_distance": lambda z, y, directions: d.energy_distance(z),
    "kernel_stein": lambda z, y, directions: d.kernel_stein(z),
    "sliced_wasserstein": _sliced(d.sliced_wasserstein),
    "max_sliced_wasserstein": _sliced(d.max_sliced_wasserstein),
    "epps_pulley": _sliced(d.epps_pulley, normalized=True),
    "cramer_von_mises": _sliced(d.cramer_von_mises, normalized=True),
    "anderson_darling": _sliced(d.anderson_darling, normalized=True),
    "kolmogorov_smirnov": _sliced(d.kolmogorov_smirnov),
    "sinkhorn_divergence": lambda z, y, directions: d.sinkhorn_divergence(z, y, epsilon=1.6),
  }


@functools.partial(jax.jit, static_argnums=1)
def curves(keys, name):
  """Returns values and slopes of a distance over the shifts, then over the scales."""

  def one(key):
    x_key, y_key, direction_key = jax.random.split(key, 3)
    x, y = jax.random.normal(x_key, (N, DIM)), jax.random.normal(y_key, (N, DIM))
    directions = distances.random_directions(direction_key, DIRECTIONS, DIM, orthogonal=True)
    distance = lambda z: cases()[name](z, y, directions)  # noqa: E731
    shifted = jax.value_and_grad(lambda m: distance(x.at[:, 0].add(m)))
    scaled = jax.value_and_grad(lambda s: distance(s * x))
    return jax.lax.map(shifted, jnp.asarray(SHIFTS)), jax.lax.map(scaled, jnp.asarray(SCALES))

  return jax.lax.map(one, keys)


def kl_curves():
  """Returns the curves of the divergence, for posteriors N(m e₁, I) and N(0, s² I)."""
  one, zero = jnp.eye(1, DIM), jnp.zeros((1, DIM))
  shifted = jax.value_and_grad(lambda m: distances.kl_divergence(m * one, zero)[0])
  scaled = jax.value_and_grad(
    lambda s: distances.kl_divergence(zero, jnp.full((1, DIM), 2 * jnp.log(s)))[0]
  )
  results = jax.vmap(shifted)(jnp.asarray(SHIFTS)), jax.vmap(scaled)(jnp.asarray(SCALES))
  return jax.tree.map(lambda v: v[None], results)


def draw(name, results):
  """Draws values above slopes, over the shift on the left and the scale on the right."""
  figure, axes = new_figure(7.2, 3.6, nrows=2, ncols=2, sharex="col")
  for column, (x, pair) in enumerate(zip((SHIFTS, SCALES), results, strict=True)):
    for row, sample in enumerate(pair):
      sample, axis = np.asarray(sample, np.float64), axes[row, column]
      mean, spread = sample.mean(0), sample.std(0)
      axis.axhline(0, color="#bbbbbb", linewidth=0.8)
      axis.axvline((0, 1)[column], color="#bbbbbb", linewidth=0.8, linestyle=":")
      colour = COLOURS[(0, 2)[row]]
      if len(sample) > 1:
        axis.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.25, linewidth=0)
      axis.plot(x, mean, color=colour, linewidth=1.6)
      if name == "kl_divergence" and column == 1:
        # −log s grows without bound at s = 0.
        axis.set_ylim(*((-2, 30), (-40, 30))[row])
  axes[0, 0].set_ylabel("value", color=INK, fontsize=9)
  axes[1, 0].set_ylabel("slope", color=INK, fontsize=9)
  axes[1, 0].set_xlabel("shift m of one coordinate", color=INK, fontsize=9)
  axes[1, 1].set_xlabel("scale s of all coordinates", color=INK, fontsize=9)
  OUT.mkdir(exist_ok=True)
  with replacing(OUT / f"{name}.svg") as temporary, matplotlib.rc_context(SVG):
    figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
    # Coordinates have a hundredth of a point, which no screen resolves.
    text = Path(temporary).read_text(encoding="utf-8")
    shorter = re.sub(r"(\d+\.\d{2})\d+", r"\1", text)
    shorter = re.sub(r" *\n *", "\n", shorter)
    Path(temporary).write_text(shorter, encoding="utf-8")


def main():
  """Computes and draws all distances."""
  keys = jax.random.split(jax.random.key(0), BATCHES)
  for name in cases():
    draw(name, curves(keys[:10] if name == "sinkhorn_divergence" else keys, name))
  draw("kl_divergence", kl_curves())


if __name__ == "__main__":
  main()
