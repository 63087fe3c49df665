"""Reference values of the latent metrics: what latents drawn from N(0, I) score."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key

from aejax import _checks
from aejax._memory import check_fits
from aejax.metrics.latents import latent_metrics

__all__ = ["Reference", "normal_baseline"]


class Reference(NamedTuple):
  """Distribution of a metric over sets of latents drawn from N(0, I).

  Attributes:
    mean: mean of the metric over the sets.
    standard_deviation: standard deviation of the metric of one set.
  """

  mean: float
  standard_deviation: float


def normal_baseline(n: int, d: int, *, key: Key[Array, ""], draws: int = 5) -> dict[str, Reference]:
  """Computes `latent_metrics` for n draws from N(0, I) in dimension d, several times.

  Some metrics are positive even for truly normal latents, because of their diagonal terms or
  because n points are never exactly normal. Compare a model's value with these references.

  Args:
    n: number of latents; use the number of the model's latents.
    d: dimension of the latents.
    key: random key that draws latents and directions.
    draws: number of sets; with five, the standard deviation is known to 1 / sqrt(2 · 4) = 35 %.

  Returns:
    A reference for each metric of `latent_metrics`.

  Raises:
    ValueError: if `n` or `draws` is below two, or `d` below one.
  """
  for name, value, least in (("n", n, 2), ("d", d, 1), ("draws", draws, 2)):
    _checks.integer(name, value, least=least)
  _checks.key("key", key)
  check_fits("n", n, 4 * n * d)
  scores = []
  for draw_key in jax.random.split(key, draws):
    latents_key, directions_key = jax.random.split(draw_key)
    latents = jax.random.normal(latents_key, (n, d))
    scores.append(latent_metrics(latents, key=directions_key))
  return {name: _reference([score[name] for score in scores]) for name in scores[0]}


def _reference(values: list[float]) -> Reference:
  return Reference(float(np.mean(values)), float(np.std(values, ddof=1)))
