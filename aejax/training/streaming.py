"""Training data that stay on disk or in host memory: rows of many steps go to the device at a time.

The compiled loop is that of resident data. It sees the rows of the next steps as if they were the
whole training set, and an order that points to them, so its numbers are the same bit for bit.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Int, Num

from aejax._memory import available_bytes
from aejax.data import LazyImages
from aejax.training.sharding import replicate, shard_images

__all__ = ["Stream", "fits", "take"]

# Size of the rows that are sent at a time. The next are gathered while the device uses these.
_CHUNK_BYTES = 128 << 20
# Part of the free memory that resident data may take; networks and activations need the rest.
_RESIDENT_FRACTION = 0.6


class Stream:
  """Sends the rows of the next steps to the devices.

  Attributes:
    steps: largest number of steps that one call of `rows` covers.
  """

  def __init__(
    self,
    examples: Num[np.ndarray, "n ..."] | LazyImages,
    *,
    batch_size: int,
    runs: int,
    mesh: Mesh | None,
  ) -> None:
    """Stores the examples; sends nothing.

    Args:
      examples: the training examples.
      batch_size: number of examples in a step.
      runs: number of runs that are trained at once, each in its own order.
      mesh: mesh of the devices.
    """
    self._examples = examples
    self._batch_size, self._runs, self._mesh = batch_size, runs, mesh
    step_bytes = runs * batch_size * math.prod(examples.shape[1:]) * examples.dtype.itemsize
    steps_per_epoch = len(examples) // batch_size
    self.steps = max(1, min(_CHUNK_BYTES // step_bytes, steps_per_epoch))

  def rows(
    self, order: Int[np.ndarray, "..."], step: int, count: int
  ) -> tuple[Num[Array, "m values"], Int[Array, "..."]]:
    """Returns the examples of the next `count` steps, and the order that points to them.

    Both have the same shapes in every call, so that the loop compiles once.

    Args:
      order: order of the epoch; with several runs, one row for each.
      step: number of steps taken in the epoch.
      count: number of steps, at most `steps`.
    """
    start, size = step * self._batch_size, count * self._batch_size
    chosen = order.reshape(self._runs, -1)[:, start : start + size]
    padded = np.zeros((self._runs, self.steps * self._batch_size), chosen.dtype)
    padded[:, :size] = chosen
    values = take(self._examples, padded.reshape(-1))
    positions = np.arange(order.shape[-1]) - start
    positions = np.clip(positions, 0, padded.shape[1] - 1) + np.zeros_like(order)
    if self._runs > 1:
      positions += padded.shape[1] * np.arange(self._runs, dtype=order.dtype)[:, None]
    # The loop takes positions of the dtype of an order.
    return shard_images(values, self._mesh), replicate(
      jnp.asarray(positions.astype(order.dtype)), self._mesh
    )


def take(
  examples: Num[np.ndarray, "n ..."] | LazyImages, rows: Int[np.ndarray, " m"]
) -> Num[np.ndarray, "m ..."]:
  """Returns the examples with the given indices."""
  return examples.take(rows) if isinstance(examples, LazyImages) else examples[rows]


def fits(examples: Num[np.ndarray, "n ..."] | LazyImages) -> bool:
  """Returns whether the examples fit into the memory of the devices beside the networks."""
  size = math.prod(examples.shape) * examples.dtype.itemsize
  return size <= _RESIDENT_FRACTION * available_bytes() * jax.local_device_count()
