"""Examples that stay on disk until a slice of them is read."""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped
from numpy.typing import DTypeLike

from aejax import _checks
from aejax.data import images as imaging

__all__ = ["LazyImages", "chunks"]

_CHUNK_BYTES = 64 << 20


class LazyImages:
  """An array-like of uint8 or float32, `[n, ...]`, that reads its slices on demand.

  Runs of several processes train on it, each process reading the images of its own devices, and
  runs that stream their data.
  `numpy.asarray` reads all images and caches them.

  >>> def read(rows):
  ...   return np.array(rows, np.uint8).reshape(-1, 1, 1, 1)
  >>> LazyImages((5, 1, 1, 1), read)[1:3].ravel()
  array([1, 2], dtype=uint8)

  Attributes:
    shape: the tuple (n, ...), as (n, height, width, channels) for images.
    dtype: uint8 or float32.
    ndim: number of axes.
  """

  def __init__(
    self,
    shape: tuple[int, ...],
    read: Callable[[Sequence[int]], Shaped[np.ndarray, "m ..."]],
    *,
    dtype: DTypeLike = np.uint8,
  ):
    """Stores the shape and the reader; reads nothing.

    Args:
      shape: the shape of all examples together.
      read: function that returns the examples at the given indices, or raises a ValueError.
      dtype: dtype of what `read` returns, uint8 or float32.
    """
    try:
      self.shape = tuple(_checks.integer("shape", length, least=0) for length in shape)
      if not 2 <= len(self.shape) <= 5:
        raise ValueError
    except (TypeError, ValueError):
      raise ValueError(
        f"shape must be two to five whole numbers, but is {_checks.short_repr(shape)}."
      ) from None
    self.dtype = np.dtype(dtype)
    self.ndim = len(self.shape)
    self._read = read

  def __len__(self) -> int:
    return self.shape[0]

  @property
  def size(self) -> int:
    """Number of values in all examples together."""
    return math.prod(self.shape)

  def __getitem__(self, rows: slice | Int[np.ndarray, " m"]) -> Shaped[np.ndarray, "m ..."]:
    """Reads a slice of the examples, or those with the given indices.

    Raises:
      ValueError: if the index is neither, or the examples cannot be read.
    """
    if isinstance(rows, np.ndarray) and rows.ndim == 1 and rows.dtype.kind in "iu":
      if rows.size and not (rows.min() >= 0 and rows.max() < len(self)):
        raise ValueError(f"rows must be from 0 to {len(self) - 1}.")
      return self._read(rows.tolist())
    if not isinstance(rows, slice):
      raise ValueError(f"rows must be a slice or indices, but is {_checks.type_name(rows)}.")
    return self._read(range(len(self))[rows])

  def resize(self, size: int) -> "LazyImages":
    """Returns the same images, resized by `images.resize` to `size` x `size` when they are read."""
    return LazyImages(
      (len(self), size, size, self.shape[-1]),
      lambda rows: imaging.resize(self._read(rows), size),
      dtype=self.dtype,
    )

  def __array__(
    self, dtype: DTypeLike | None = None, copy: bool | None = None
  ) -> Shaped[np.ndarray, "n ..."]:
    return np.array(self._all, dtype) if copy else np.asarray(self._all, dtype)

  @functools.cached_property
  def _all(self) -> Shaped[np.ndarray, "n ..."]:
    return self[:]


def chunks(array: Any) -> Iterator[slice]:
  """Yields slices of consecutive rows, each of at most about 64 MiB, that cover an array."""
  row = math.prod(array.shape[1:]) * array.dtype.itemsize
  step = max(1, _CHUNK_BYTES // max(row, 1))
  for start in range(0, len(array), step):
    yield slice(start, min(start + step, len(array)))
