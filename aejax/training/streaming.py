"""Where the training data lie: on the devices, or elsewhere, sent as the steps need them.

The compiled loop is the same. With streamed data it sees the rows of the next steps as if they were
the whole training set, and an order that points to them, so its numbers are those of resident data
bit for bit.
"""

import math
import os
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Int, Num

from aejax._memory import available_bytes, host_bytes
from aejax.data import LazyImages
from aejax.training.distributed import all_reduce_max
from aejax.training.sharding import replicate, shard_images

__all__ = ["Resident", "Stream", "in_memory", "place"]

# Size of the rows that are sent at a time. The next are gathered while the device uses these.
_CHUNK_BYTES = 128 << 20
# Part of the free memory that the data may take; networks and activations need the rest.
_FRACTION = 0.6

Examples = Num[np.ndarray, "_ ..."] | LazyImages
Call = tuple[Num[Array, "m values"], Int[Array, "..."], int]


def place(
  examples: Examples, placement: str | None, *, batch_size: int, runs: int, mesh: Mesh | None
) -> "Resident | Stream":
  """Puts the training data on the devices, or prepares to stream them.

  A process holds or streams the parts of its own devices only. The choice is the same in all.

  Args:
    examples: the training examples.
    placement: "resident", "stream", or None for resident data if they fit.
    batch_size: number of examples in a step.
    runs: number of runs that are trained at once, each in its own order.
    mesh: mesh of the devices.
  """
  streams = placement == "stream"
  if placement is None:
    (streams,) = all_reduce_max(not _fit_devices(examples))
  if streams:
    return Stream(examples, batch_size=batch_size, runs=runs, mesh=mesh)
  return Resident(examples, mesh)


class Resident:
  """Training data in the memory of the devices."""

  def __init__(self, examples: Examples, mesh: Mesh | None) -> None:
    self._images = shard_images(examples, mesh)

  def calls(self, order: Int[Array, "..."], step: int, count: int) -> Iterator[Call]:
    """Yields the arguments of one call of the loop; see `Stream.calls`."""
    yield self._images, order, count


class Stream:
  """Training data on disk or in host memory, of which the next rows are sent to the devices."""

  def __init__(self, examples: Examples, *, batch_size: int, runs: int, mesh: Mesh | None) -> None:
    """Stores the examples, and sends nothing; see `place` for the arguments."""
    self._examples = examples
    self._batch_size, self._runs, self._mesh = batch_size, runs, mesh
    step_bytes = runs * batch_size * math.prod(examples.shape[1:]) * examples.dtype.itemsize
    self._steps = max(1, min(_CHUNK_BYTES // step_bytes, len(examples) // batch_size))

  def calls(self, order: Int[Array, "..."], step: int, count: int) -> Iterator[Call]:
    """Yields the arguments of each call of the loop: examples, their order, number of steps.

    Examples and order have the same shapes in every call, so that the loop compiles once.

    Args:
      order: order of the epoch; with several runs, one row for each.
      step: number of steps taken in the epoch.
      count: number of steps to take.
    """
    orders = np.asarray(order).reshape(self._runs, -1)
    size, n = self._steps * self._batch_size, orders.shape[1]
    while count:
      taken, start = min(count, self._steps), step * self._batch_size
      chosen = orders[:, start : start + taken * self._batch_size]
      padded = np.pad(chosen, [(0, 0), (0, size - chosen.shape[1])])
      places = np.clip(np.arange(n, dtype=orders.dtype) - start, 0, size - 1)
      rows = places + size * np.arange(self._runs, dtype=orders.dtype)[:, None]
      images = shard_images(self._rows(padded.reshape(-1)), self._mesh)
      yield images, replicate(jnp.asarray(rows.reshape(order.shape)), self._mesh), taken
      step, count = step + taken, count - taken

  def _rows(self, rows: Int[np.ndarray, " m"]) -> LazyImages:
    """Returns rows of the examples, of which a process reads those of its own devices only."""
    shape, examples = (len(rows), *self._examples.shape[1:]), self._examples
    return LazyImages(shape, lambda chosen: examples[rows[chosen]], dtype=examples.dtype)


def in_memory(name: str, placement: str | None) -> bool:
  """Returns whether to read all training data into the memory of this process.

  Args:
    name: name or path of the data set.
    placement: as in `place`.
  """
  if jax.process_count() > 1:
    return False
  if placement is not None:
    return placement == "resident"
  size = os.path.getsize(name) if os.path.isfile(name) else 0
  # Twice the size, because floats are converted.
  return 2 * size <= _FRACTION * host_bytes()


def _fit_devices(examples: Examples) -> bool:
  # Examples of a single process that are read when they are indexed do not fit into its memory.
  if jax.process_count() == 1 and isinstance(examples, LazyImages):
    return False
  part = examples.size * examples.dtype.itemsize / jax.process_count()
  return part <= _FRACTION * available_bytes() * jax.local_device_count()
