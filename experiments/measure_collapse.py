"""Measures how strongly distances pull collapsed latents apart, as a derivative and in training.

  python experiments/measure_collapse.py --out results/collapse

Writes collapse.md and collapse.json; it takes about two minutes on two CPU cores.
"""

import dataclasses
import math
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from benchmarks.results import markdown, write_page
from flax import nnx

import aejax
from aejax import _checks, distances
from aejax._command_line import parse
from aejax._files import write_json
from aejax._user_errors import user_errors
from aejax.networks import MLPEncoder

Distance = Callable[[jax.Array], jax.Array]

_SCALES = (0.001, 0.01, 0.1, 0.25)
_REFERENCE = 0.5
_DIM = 64
_OPTIMIZERS = {
  "SGD": optax.sgd(0.01, momentum=0.9),
  "Adam": optax.adam(1e-3),
}
_TRAIN_DIM = 8
_BATCH_SIZE = 128
# Standard deviation of the noise of the two views of an image.
_NOISE = 0.1


@dataclasses.dataclass(frozen=True)
class Options:
  """Measures the pull of distances on collapsed latents, as a derivative and in training.

  Attributes:
    out: folder for collapse.md and collapse.json.
    n: number of latents of the derivative.
    start: standard deviation of the latents at the start of training.
    steps: number of training steps.
    seeds: number of seeds of the training.
  """

  out: Path = Path("results/collapse")
  n: int = 256
  start: float = 1e-4
  steps: int = 1000
  seeds: int = 3


def main(options: Options) -> None:
  """Measures both tables and writes them."""
  n, steps, seeds = (_checks.integer(k, getattr(options, k)) for k in ("n", "steps", "seeds"))
  start = _checks.positive("start", options.start)
  pulls = {name: derivatives(distance, n) for name, distance in _distances(_DIM).items()}
  runs = {
    name: {
      optimizer: [train(distance, optimizer, start, steps, seed) for seed in range(seeds)]
      for optimizer in _OPTIMIZERS
    }
    for name, distance in (_distances(_TRAIN_DIM) | _SUMS).items()
  }
  write_json(options.out / "collapse.json", {"derivatives": pulls, "training": runs})
  page = write_page(options.out / "collapse.md", _sections(pulls, runs, options))
  print(page.read_text(encoding="utf-8"), end="")


def _distances(dim: int) -> dict[str, Distance]:
  directions = distances.random_directions(jax.random.key(1), 50, dim)
  gaussian = distances.gaussian(dim**0.5)
  return {
    "cramer_wold": distances.cramer_wold,
    "log of cramer_wold": lambda z: jnp.log(distances.cramer_wold(z)),
    "sigreg / n": lambda z: distances.sigreg(z) / z.shape[0],
    "mmd, imq": distances.mmd,
    "mmd, gaussian(√D)": lambda z: distances.mmd(z, kernel=gaussian),
    "kernel_stein": distances.kernel_stein,
    "energy_distance": distances.energy_distance,
    "sliced_wasserstein": lambda z: distances.sliced_wasserstein(z, directions=directions),
    "epps_pulley / n": lambda z: distances.epps_pulley(z, directions=directions) / z.shape[0],
  }


_SUMS: dict[str, Distance] = {
  "cramer_wold + energy_distance": lambda z: (
    distances.cramer_wold(z) + distances.energy_distance(z)
  ),
}


def derivatives(distance: Distance, n: int) -> list[float]:
  """Returns dL/dσ at each scale σ of latents σ·x with x ~ N(0, I), over its value at σ = 0.5."""
  x = jax.random.normal(jax.random.key(0), (n, _DIM))
  slope = jax.jit(jax.grad(lambda scale: distance(scale * x)))
  return [float(slope(scale) / slope(_REFERENCE)) for scale in _SCALES]


def train(
  distance: Distance, optimizer: str, start: float, steps: int, seed: int
) -> dict[str, float | None]:
  """Trains an encoder of digits on |z − z′|² + distance from latents that are almost equal.

  z and z′ are the latents of two noisy views of an image, as in self-supervised learning.

  Returns:
    The number of the first step at which the latents have a mean standard deviation of one half, or
    None, and the deviation at the end.
  """
  images = jnp.asarray(aejax.data.load("digits").train, jnp.float32) / 255
  keys = jax.random.split(jax.random.key(seed), 2)
  encoder: Any = MLPEncoder(images.shape[1:], _TRAIN_DIM, rngs=nnx.Rngs(keys[0]))
  last = encoder.latents.linear
  last.kernel[...] *= start / jnp.std(encoder(images))
  graphdef, params = nnx.split(encoder)
  transformation = _OPTIMIZERS[optimizer]

  def loss(params: Any, batch: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    noise = _NOISE * jax.random.normal(key, (2, *batch.shape))
    encode: Any = nnx.merge(graphdef, params)
    z, other = (encode(batch + each) for each in noise)
    cost = jnp.mean(jnp.sum((z - other) ** 2, 1)) + distance(z)
    return cost, jnp.mean(jnp.std(z, 0))

  def step(carry: Any, key: jax.Array) -> tuple[Any, jax.Array]:
    params, state = carry
    rows, noise = jax.random.split(key)
    batch = images[jax.random.choice(rows, len(images), (_BATCH_SIZE,), replace=False)]
    gradient, deviation = jax.grad(loss, has_aux=True)(params, batch, noise)
    updates, state = transformation.update(gradient, state, params)
    return (optax.apply_updates(params, updates), state), deviation

  carry = (params, transformation.init(params))
  run = jax.jit(lambda carry, keys: jax.lax.scan(step, carry, keys))
  deviations = np.asarray(run(carry, jax.random.split(keys[1], steps))[1])
  reached = np.flatnonzero(deviations >= _REFERENCE)
  return {"step": int(reached[0]) + 1 if len(reached) else None, "deviation": float(deviations[-1])}


def _sections(
  pulls: dict[str, list[float]], runs: dict[str, dict[str, list[Any]]], options: Options
) -> list[str]:
  head = ["distance", *(f"σ = {scale:g}" for scale in _SCALES)]
  rows = [[name, *(f"{value:.3g}" for value in values)] for name, values in pulls.items()]
  columns = [f"{name}: {what}" for name in _OPTIMIZERS for what in ("steps", "deviation")]
  return [
    "# Collapse",
    f"The pull dL/dσ on latents σ·x, x ~ N(0, I), n = {options.n}, D = {_DIM}, over that at "
    f"σ = {_REFERENCE:g}. A distance that is smooth in squared distances loses it as σ falls.",
    markdown(head, rows),
    f"An encoder of digits (MLP, D = {_TRAIN_DIM}) is trained on |z − z′|² + distance, where z and "
    f"z′ are the latents of two noisy views. It starts from latents of standard deviation "
    f"{options.start:g}. The table has the step of {options.steps:,} at which their mean deviation "
    f"reaches {_REFERENCE:g}, and the deviation at the end; the median of {options.seeds} seeds. "
    "Samples of N(0, I) have the deviation 1.",
    markdown(
      ["distance", *columns],
      [[name, *(c for o in _OPTIMIZERS for c in _medians(each[o]))] for name, each in runs.items()],
    ),
  ]


def _medians(runs: list[Any]) -> tuple[str, str]:
  if any(math.isnan(run["deviation"]) for run in runs):
    return "diverged", ""
  step = statistics.median(math.inf if run["step"] is None else run["step"] for run in runs)
  deviation = statistics.median(run["deviation"] for run in runs)
  return "never" if math.isinf(step) else f"{step:.0f}", f"{deviation:.2g}"


if __name__ == "__main__":
  with user_errors():
    main(parse(Options))
