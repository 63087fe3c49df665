"""Priors by name, and objectives with another prior."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np

from aejax import _checks
from aejax.objectives.base import Combined, Objective
from aejax.objectives.matched import DistanceObjective
from aejax.priors import (
  GaussianMixture,
  Prior,
  StandardNormal,
  UniformBall,
  UniformCube,
  UniformSphere,
)

__all__ = ["NAMES", "check_name", "named_prior", "with_prior"]

NAMES = ("normal", "sphere", "ball", "cube", "mixture:K")

# Distance between the means of neighbouring components, in standard deviations.
_SPACING = 4.0
_MAX_COMPONENTS = 1000


def check_name(name: str) -> str:
  """Returns the name of a prior.

  Raises:
    ValueError: if it is not one of `NAMES`, where K is a whole number from 2 up.
  """
  _components(name)
  return name


def named_prior(name: str, latent_dim: int) -> Prior:
  """Returns the prior of a name, on the scale of N(0, I).

  "sphere", "ball" and "cube" are the uniform distributions whose covariance is I: a sphere of
  radius √D, a ball of radius √(D + 2), a cube of half-width √3. "mixture:K" has K equal components
  N(mean, I); the means lie on a circle in the first two dimensions, neighbours 4 apart, and for
  D = 1 on a line.

  Raises:
    ValueError: if there is no such prior.
  """
  components = _components(name)
  _checks.integer("latent_dim", latent_dim)
  if name == "sphere":
    return UniformSphere(latent_dim, radius=math.sqrt(latent_dim))
  if name == "ball":
    return UniformBall(latent_dim, radius=math.sqrt(latent_dim + 2))
  if name == "cube":
    return UniformCube(latent_dim, half_width=math.sqrt(3))
  if components is None:
    return StandardNormal(latent_dim)
  means = np.zeros((components, latent_dim), np.float32)
  k = np.arange(components)
  if latent_dim == 1:
    means[:, 0] = _SPACING * (k - (components - 1) / 2)
  else:
    radius = _SPACING / (2 * math.sin(math.pi / components))
    angles = 2 * math.pi * k / components
    means[:, 0], means[:, 1] = radius * np.cos(angles), radius * np.sin(angles)
  return GaussianMixture(
    jnp.full(components, 1 / components, jnp.float32), means, jnp.ones(components, jnp.float32)
  )


def with_prior(objective: Objective, prior: Prior) -> Objective:
  """Returns the objective with its latents matched to another prior.

  Raises:
    ValueError: if the objective, or a term of a sum, cannot be matched to it.
  """
  if isinstance(objective, Combined):
    # Terms that match the latents to nothing, such as RAE, stay as they are.
    unmatched = [term.latent_prior(prior.dim) is None for term in objective.terms]
    if not all(unmatched):
      pairs = zip(objective.terms, unmatched, strict=True)
      terms = tuple(term if skip else with_prior(term, prior) for term, skip in pairs)
      return dataclasses.replace(objective, terms=terms)
  if isinstance(prior, StandardNormal) and isinstance(
    objective.latent_prior(prior.dim), StandardNormal
  ):
    return objective
  fields = {field.name for field in dataclasses.fields(objective) if field.init}
  if isinstance(objective, DistanceObjective) or "prior" in fields:
    return dataclasses.replace(objective, **{"prior": prior})
  found = objective.latent_prior(prior.dim)
  matched = "to no prior" if found is None else "to N(0, I) only"
  raise ValueError(f"{type(objective).__name__} matches the latents {matched}.")


def _components(name: str) -> int | None:
  """Returns K of "mixture:K", None for the other names."""
  kind, _, number = name.partition(":") if isinstance(name, str) else ("", "", "")
  if kind == "mixture" and number.isdecimal() and 2 <= int(number) <= _MAX_COMPONENTS:
    return int(number)
  if name in NAMES[:-1]:
    return None
  raise ValueError(
    f"prior must be {', '.join(NAMES[:-1])} or mixture:K with K from 2 up, but is "
    f"{_checks.short_repr(name)}."
  )
