"""A bandwidth from data."""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from aejax.distances._arguments import Latents, Scalar, as_latents, public_jit

__all__ = ["median_bandwidth"]

# Above this number of rows, some of the pairs are used: about this number squared, halved.
_MAX_ROWS = 512


@public_jit()
def median_bandwidth(z: Latents) -> Scalar:
  """Returns the median distance |x − y| of two rows, a bandwidth for kernels.

  For N(0, I) it is about √(2d). It is data: for a fixed kernel use
  `gaussian(float(median_bandwidth(samples)))`. Under `jit`, divide latents and samples by it and
  use `gaussian(1.0)`. It is differentiable; `jax.lax.stop_gradient` keeps it fixed.

  Args:
    z: rows, such as samples of the target. Above 512 rows, each is paired with the next few, so the
      rows must be in random order.

  Raises:
    ValueError: if `z` is not a floating-point matrix with two rows or more.

  Example:
    >>> float(median_bandwidth(jnp.array([[0.0], [1.0], [3.0]])))
    2.0

  Reference: Gretton et al., JMLR 13, 2012, section 8.
  """
  z = as_latents(z, minimum=2)
  n = len(z)
  if n <= _MAX_ROWS:
    squares = lax.map(lambda row: jnp.sum((z - row) ** 2, 1), z)[np.triu_indices(n, 1)]
  else:
    shifts = jnp.arange(1, max(1, _MAX_ROWS**2 // 2 // n) + 1)
    squares = lax.map(lambda shift: _squares(z, shift), shifts).ravel()
  is_zero = squares <= 0
  return jnp.median(jnp.where(is_zero, 0, jnp.sqrt(jnp.where(is_zero, 1, squares))))


def _squares(z: Array, shift: Array) -> Array:
  return jnp.sum((z - jnp.roll(z, shift, 0)) ** 2, 1)
