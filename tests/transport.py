"""Points for the tests of the Sinkhorn divergence, and exact transport between them.

Each shape compiles a solver, which takes seconds, so nearly all tests use 12 latents and 9 samples.
"""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from aejax.distances import sinkhorn_divergence


def points(n, dim=3, *, seed=0, shift=0.0):
  return np.random.default_rng(seed).standard_normal((n, dim)) + shift


def float32(*arrays):
  return [jnp.asarray(array, jnp.float32) for array in arrays]


def divergence(x, y, epsilon):
  return sinkhorn_divergence(x, y, epsilon=jnp.asarray(epsilon, x.dtype))


# The gradient with respect to all three arguments, compiled once for each dtype.
with_gradients = jax.jit(jax.value_and_grad(divergence, (0, 1, 2)))


def transport(x, y, epsilon):
  """Returns OT_ε from the textbook fixed point in float64, iterated to convergence."""
  costs = cdist(x, y, "sqeuclidean")
  g = np.zeros(len(y))
  for _ in range(5000):
    f = -epsilon * logsumexp((g - costs) / epsilon, axis=1, b=1 / len(y))
    previous, g = g, -epsilon * logsumexp((f[:, None] - costs) / epsilon, axis=0, b=1 / len(x))
    if np.abs(g - previous).max() < 1e-13:
      break
  plan = np.exp((f[:, None] + g - costs) / epsilon) / costs.size
  np.testing.assert_allclose(plan.sum(1), 1 / len(x), rtol=1e-9)
  # This is the primal value; aejax sums potentials.
  return np.sum(plan * costs) + epsilon * np.sum(plan * np.log(plan * costs.size))
