"""Metrics of how far latents are from the prior that a run was trained for."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from aejax import distances
from aejax.distances._arguments import NoClosedForm
from aejax.metrics.calibration import prior_test
from aejax.metrics.latents import latent_metrics
from aejax.metrics.normality import normal_baseline
from aejax.priors import Prior, StandardNormal

__all__ = ["comparison_with_prior", "is_normal", "prior_baseline", "prior_metrics"]

_DIRECTIONS = 1000
# Sets of true samples whose scores are averaged.
_SETS = 5
# Sets of true samples of the test. They give the standard deviation to 7 %, in about a second.
_TEST_SETS = 100


def is_normal(prior: Prior) -> bool:
  """Returns whether a prior is N(0, I)."""
  return isinstance(prior, StandardNormal)


def prior_metrics(
  latents: Float[Array, "n d"], prior: Prior, *, key: Key[Array, ""]
) -> dict[str, float]:
  """Computes how far latents are from a prior.

  For N(0, I) these are `metrics.latent_metrics`. For another prior they are the distances among
  them, to as many samples of the prior as there are latents; Mardia's statistics, which test for
  normality, are absent.

  Args:
    latents: latents, one a row.
    prior: prior of the same dimension.
    key: random key that draws directions and samples.
  """
  if is_normal(prior):
    return latent_metrics(latents, key=key)
  directions_key, samples_key = jax.random.split(key)
  samples = jnp.asarray(prior.sample(samples_key, latents.shape[0]), jnp.float32)
  directions = distances.random_directions(directions_key, _DIRECTIONS, latents.shape[1])
  return {
    "cramer_wold": float(distances.cramer_wold(latents, samples)),
    "sliced_wasserstein": float(
      distances.sliced_wasserstein(latents, samples, directions=directions)
    ),
    "mmd": float(distances.mmd(latents, samples, kernel=distances.imq())),
    "energy_distance": float(distances.energy_distance(latents, samples)),
  }


def prior_baseline(n: int, prior: Prior, *, key: Key[Array, ""]) -> dict[str, float]:
  """Returns the mean score of n true samples of the prior in each of `prior_metrics`."""
  if is_normal(prior):
    references = normal_baseline(n, prior.dim, key=key)
    return {name: reference.mean for name, reference in references.items()}
  scores = []
  for set_key in jax.random.split(key, _SETS):
    samples_key, metrics_key = jax.random.split(set_key)
    samples = jnp.asarray(prior.sample(samples_key, n), jnp.float32)
    scores.append(prior_metrics(samples, prior, key=metrics_key))
  return {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}


def comparison_with_prior(
  latents: Float[Array, "n d"], prior: Prior, *, key: Key[Array, ""]
) -> dict[str, float]:
  """Returns whether as many samples of the prior would have the Cramer-Wold distance of latents.

  Args:
    latents: latents, one a row.
    prior: prior of the same dimension.
    key: random key that draws the samples.

  Returns:
    The fields of `metrics.PriorTest`; empty if the distance has no closed form for the prior.
  """
  target = None if is_normal(prior) else prior
  try:
    test = prior_test(latents, "cramer_wold", prior=target, key=key, draws=_TEST_SETS)
  except NoClosedForm:
    return {}
  return test._asdict()
