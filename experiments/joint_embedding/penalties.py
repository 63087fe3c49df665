"""The penalties that keep embeddings from collapsing, by name.

Each is a function of the embeddings [n, d] and of a random key, from which the methods with random
directions draw new ones at each call.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from aejax import distances, priors

__all__ = ["DIRECTIONS", "ESTIMATES", "PENALTIES", "RANDOM", "TIMED", "Penalty", "scaled"]

Penalty = Callable[[Float[Array, "n d"], Key[Array, ""]], Float[Array, ""]]

DIRECTIONS = 1024
_DEGREES_OF_FREEDOM = 5
# Added to standard deviations that are divided by.
_EPSILON = 1e-6


def _sliced_sigreg(z: Float[Array, "n d"], key: Key[Array, ""]) -> Float[Array, ""]:
  """Returns SIGReg with 1024 random directions and 17 nodes on [0, 3].

  The mean over directions of n ∫ |φ_n(t) − e^(−t²/2)|² e^(−t²/2) dt, by the trapezoidal rule.

  Reference: Balestriero & LeCun, 2025, arXiv 2511.08544, section 4.
  """
  directions = distances.random_directions(key, DIRECTIONS, z.shape[1])
  t = jnp.linspace(0.0, 3.0, 17)
  # The integrand is even: each node but the one at 0 stands for two.
  weights = (t[1] - t[0]) * jnp.ones_like(t).at[0].set(0.5).at[-1].set(0.5)
  normal = jnp.exp(-t * t / 2)
  projections = z @ directions.T
  angles = projections[:, :, None] * t
  real, imaginary = jnp.mean(jnp.cos(angles), 0) - normal, jnp.mean(jnp.sin(angles), 0)
  return len(z) * jnp.mean((real**2 + imaginary**2) @ (2 * weights * normal))


def _visreg(z: Float[Array, "n d"], key: Key[Array, ""]) -> Float[Array, ""]:
  """Returns the sum of scale, shape and centre, each with weight one.

  The mean of (1 − σ_j)² over the coordinates, the sliced Wasserstein distance of the standardised
  embeddings to N(0, I) with 1024 random directions, and the mean of μ_j². The standard deviations
  that standardise are constants for the gradient.

  Reference: Wu, Balestriero & Levine, 2026, arXiv 2606.02572.
  """
  directions = distances.random_directions(key, DIRECTIONS, z.shape[1])
  mean = jnp.mean(z, 0)
  # The root has no derivative at zero.
  deviation = jnp.sqrt(jnp.mean((z - mean) ** 2, 0) + _EPSILON**2)
  standardised = (z - mean) / (jax.lax.stop_gradient(deviation) + _EPSILON)
  shape = distances.sliced_wasserstein(standardised, directions=directions)
  return jnp.mean((1 - deviation) ** 2) + shape + jnp.mean(mean**2)


def _kernel_stein_student(z: Float[Array, "n d"], _: Key[Array, ""]) -> Float[Array, ""]:
  """Returns the discrepancy from Student's t distribution with five degrees of freedom."""
  return distances.kernel_stein(z, priors.StudentT(z.shape[1], _DEGREES_OF_FREEDOM))


PENALTIES: dict[str, Penalty] = {
  "sigreg": lambda z, _: distances.sigreg(z),
  "energy_distance": lambda z, _: distances.energy_distance(z),
  "mmd": lambda z, _: distances.mmd(z),
  "kernel_stein": lambda z, _: distances.kernel_stein(z),
  "kernel_stein_student": _kernel_stein_student,
  "visreg": _visreg,
  "sliced_sigreg": _sliced_sigreg,
}

TIMED: dict[str, Penalty] = {
  "epps_pulley": lambda z, key: distances.epps_pulley(
    z, directions=distances.random_directions(key, DIRECTIONS, z.shape[1])
  )
}
"""What is only timed: our function for the statistic of `sliced_sigreg`, all nodes included."""

RANDOM = ("sliced_sigreg", "visreg")
"""The penalties that draw directions."""

ESTIMATES = {"sliced_sigreg": "sigreg"}
"""The penalty that estimates another one: it has its weight."""


def scaled(name: str, n: int, dim: int) -> Penalty:
  """Returns a penalty, divided by its value if all n embeddings are zero.

  A weight then means about the same for every penalty: what a complete collapse costs.
  """
  penalty = PENALTIES[name]
  collapsed = penalty(jnp.zeros((n, dim)), jax.random.key(0))
  return lambda z, key: penalty(z, key) / collapsed
