"""The data on which the distances are compared with other libraries."""

import numpy as np

# For sums of a few thousand float64 terms of order one.
EXACT = dict(rtol=1e-11, atol=1e-12)


def latents_and_samples(m=48, dim=8):
  """Returns latents and samples near N(0, I), where every term counts."""
  generator = np.random.default_rng(0)
  z = 0.8 * generator.standard_normal((64, dim)) + 0.3
  return z, generator.standard_normal((m, dim))


def unit_vectors(dim=8):
  """Returns 20 directions, one a row."""
  directions = np.random.default_rng(1).standard_normal((20, dim))
  return directions / np.linalg.norm(directions, axis=1, keepdims=True)
