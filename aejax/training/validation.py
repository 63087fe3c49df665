"""The cost on the test set, computed every few epochs."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh
from jaxtyping import PyTree

from aejax.autoencoder import Autoencoder, pixels
from aejax.data import Dataset
from aejax.objectives import Objective
from aejax.training.sharding import replicate
from aejax.training.step import Metrics, merge

__all__ = ["make_test_metrics"]

# An evaluation sees about this many test examples, so that it costs little.
_EXAMPLES = 2048


def make_test_metrics(
  model: Autoencoder,
  objective: Objective,
  dataset: Dataset,
  *,
  batch_size: int,
  accumulate: int = 1,
  together: bool = False,
  mesh: Mesh | None = None,
) -> Callable[[PyTree], Metrics]:
  """Returns a function from parameters to the mean metrics of batches of test examples.

  The batches are of the size of training, or all test examples if there are fewer, and always the
  same, as are the draws.

  Args:
    model: networks of the run.
    objective: cost that the run minimises.
    dataset: data set of the run.
    batch_size: number of examples in a batch.
    accumulate: number of parts in which the networks process a batch.
    together: whether the parameters have a leading axis with one entry for each run.
    mesh: mesh of the devices that the parameters lie on.
  """
  size = min(batch_size, len(dataset.test))
  count = max(1, min(len(dataset.test), _EXAMPLES) // size)
  rows = np.asarray(dataset.test[: count * size])
  batches = replicate(jnp.asarray(rows.reshape(count, size, *rows.shape[1:])), mesh)
  key = jax.random.key(0)
  parts = accumulate if size % accumulate == 0 else 1

  def metrics(params: PyTree, batches: Any) -> Metrics:
    def cost(numbered):
      number, batch = numbered
      draws = jax.random.fold_in(key, number)
      return objective(merge(model, params), pixels(batch), key=draws, accumulate=parts)[1]

    found = lax.map(cost, (jnp.arange(count), batches))
    return {f"test_{name}": jnp.mean(values) for name, values in found.items()}

  compute = jax.jit(jax.vmap(metrics, (0, None)) if together else metrics)
  return lambda params: compute(params, batches)
