"""Functions of rows, computed in batches of one size."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

__all__ = ["in_batches"]

T = TypeVar("T")

# Rows per call of the network: bounds the memory of a convolutional network's activations.
_BATCH_SIZE = 512


def in_batches(function: Callable[[Array], T], rows: Array | np.ndarray) -> T:
  """Returns `function(rows)`, computed in batches of one size so that it compiles once.

  The last batch overlaps the one before it.
  """
  n, size = rows.shape[0], _BATCH_SIZE
  # Under jax.export, the number of rows may be a symbol.
  if not isinstance(n, int) or n <= size:
    return function(jnp.asarray(rows))
  results = [function(jnp.asarray(rows[i : i + size])) for i in range(0, n - size + 1, size)]
  if rest := n % size:
    last = function(jnp.asarray(rows[-size:]))
    results.append(jax.tree.map(lambda values: values[-rest:], last))
  return jax.tree.map(lambda *parts: jnp.concatenate(parts), *results)
