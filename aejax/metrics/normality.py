"""What truly normal latents score: the zero of each latent metric, and its spread."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key

from aejax import _checks
from aejax._memory import check_fits
from aejax.metrics.latents import latent_metrics

__all__ = ["Reference", "normal_baseline"]


class Reference(NamedTuple):
  """The law of a metric under draws from N(0, I), as a few draws tell it.

  Attributes:
    mean: over the draws.
    standard_deviation: of one draw.
  """

  mean: float
  standard_deviation: float


def normal_baseline(n: int, d: int, *, key: Key[Array, ""], draws: int = 5) -> dict[str, Reference]:
  """What `latent_metrics` gives for n draws from N(0, I) in dimension d.

  Some of the metrics are positive even then, by their diagonal terms or since n points are never
  exactly normal: a model's value means something only beside these.

  Args:
    n: how many latents, as many as the model's.
    d: their dimension.
    key: draws latents and directions.
    draws: how often; five know the standard deviation to 1 / sqrt(2 · 4) = 35 %.

  Returns:
    A reference for each name of `latent_metrics`.

  Raises:
    ValueError: if `n` or `draws` is below two, or `d` below one.
  """
  for name, value, least in (("n", n, 2), ("d", d, 1), ("draws", draws, 2)):
    _checks.integer(name, value, least=least)
  _checks.key("key", key)
  check_fits("n", n, 4 * n * d)
  scores = []
  for own in jax.random.split(key, draws):
    latents_key, directions_key = jax.random.split(own)
    latents = jax.random.normal(latents_key, (n, d))
    scores.append(latent_metrics(latents, key=directions_key))
  return {name: _reference([score[name] for score in scores]) for name in scores[0]}


def _reference(values: list[float]) -> Reference:
  return Reference(float(np.mean(values)), float(np.std(values, ddof=1)))
