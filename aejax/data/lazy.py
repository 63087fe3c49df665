"""Images that stay where they are stored until some of them are asked for."""

import functools
from collections.abc import Callable

import numpy as np
from jaxtyping import Shaped, UInt8

from aejax import _checks

__all__ = ["LazyImages"]


class LazyImages:
  """Looks like an array of bytes `[n, height, width, channels]` of which slices can be taken.

  Of several processes that train together, each reads no more than its own devices are to have.
  `numpy.asarray` reads them all, and keeps them.

  >>> def read(rows):
  ...   return np.array(rows, np.uint8).reshape(-1, 1, 1, 1)
  >>> StoredImages((5, 1, 1, 1), read)[1:3].ravel()
  array([1, 2], dtype=uint8)

  Attributes:
    shape: [n, height, width, channels].
    dtype: uint8.
  """

  dtype = np.dtype(np.uint8)
  ndim = 4

  def __init__(
    self,
    shape: tuple[int, int, int, int],
    read: Callable[[range], UInt8[np.ndarray, "m h w c"]],
  ):
    """Reads nothing yet.

    Args:
      shape: of all of them.
      read: returns the images with these numbers, or raises a ValueError.
    """
    try:
      n, height, width, channels = (_checks.integer("shape", length, least=0) for length in shape)
    except (TypeError, ValueError):
      raise ValueError(
        f"shape must be four whole numbers, but is {_checks.short_repr(shape)}."
      ) from None
    self.shape = n, height, width, channels
    self._read = read

  def __len__(self) -> int:
    return self.shape[0]

  @property
  def size(self) -> int:
    """How many numbers they are."""
    return int(np.prod(self.shape))

  def __getitem__(self, rows: slice) -> UInt8[np.ndarray, "m h w c"]:
    """Reads a slice.

    Raises:
      ValueError: for any other index.
    """
    if not isinstance(rows, slice):
      raise ValueError(f"rows must be a slice, but is {_checks.type_name(rows)}.")
    return self._read(range(len(self))[rows])

  def __array__(self, dtype=None, copy=None) -> Shaped[np.ndarray, "n h w c"]:
    return np.array(self._all, dtype) if copy else np.asarray(self._all, dtype)

  @functools.cached_property
  def _all(self) -> UInt8[np.ndarray, "n h w c"]:
    return self[:]
