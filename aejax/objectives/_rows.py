"""The rows of a batch: networks take them in parts, and devices draw each its own."""

from collections.abc import Callable
from typing import TypeVar

import jax
from jax import lax
from jaxtyping import Array

from aejax.distances._sharding import AxisName

__all__ = ["local_rows", "microbatched"]

T = TypeVar("T")


def microbatched(function: Callable[..., T], parts: int, *rows: Array) -> T:
  """Applies a function that treats each row independently to one part of the rows at a time.

  The backward pass recomputes the activations of each part. The memory for activations falls by
  the number of parts, and the forward pass runs twice. The results of all rows are kept, so a
  distance between latents sees the entire batch.

  Args:
    function: takes arrays with a leading axis of rows and returns such arrays.
    parts: number of parts.
    rows: arrays with the same number of rows.

  Raises:
    ValueError: if `parts` does not divide the number of rows.
  """
  n = rows[0].shape[0]
  if n % parts:
    raise ValueError(f"accumulate must divide the batch of {n}, but is {parts}.")
  if parts == 1:
    return function(*rows)
  # Each part takes rows from the entire batch, so that a batch split over devices stays split.
  split = [v.reshape(n // parts, parts, *v.shape[1:]).swapaxes(0, 1) for v in rows]
  results = lax.map(lambda part: jax.checkpoint(function, prevent_cse=False)(*part), split)
  return jax.tree.map(lambda v: v.swapaxes(0, 1).reshape(n, *v.shape[2:]), results)


def local_rows(draw: Callable[[int], Array], like: Array, axis_name: AxisName) -> Array:
  """Returns this device's rows of `draw(global n)`.

  The samples of the global batch then do not depend on the number of devices.
  """
  n = like.shape[0]
  if axis_name is None:
    return draw(n)
  drawn = draw(n * lax.axis_size(axis_name))
  return lax.dynamic_slice_in_dim(drawn, lax.axis_index(axis_name) * n, n)
