"""Images that stay on disk until a slice of them is read."""

import functools
from collections.abc import Callable

import numpy as np
from jaxtyping import Shaped, UInt8
from numpy.typing import DTypeLike

from aejax import _checks
from aejax.data import images as imaging

__all__ = ["LazyImages"]


class LazyImages:
  """An array-like of bytes, `[n, height, width, channels]`, that reads its slices on demand.

  Only runs of several processes train on it: each process reads the images of its own devices.
  `numpy.asarray` reads all images and caches them.

  >>> def read(rows):
  ...   return np.array(rows, np.uint8).reshape(-1, 1, 1, 1)
  >>> LazyImages((5, 1, 1, 1), read)[1:3].ravel()
  array([1, 2], dtype=uint8)

  Attributes:
    shape: the tuple (n, height, width, channels).
    dtype: uint8.
  """

  dtype = np.dtype(np.uint8)
  ndim = 4

  def __init__(
    self,
    shape: tuple[int, int, int, int],
    read: Callable[[range], UInt8[np.ndarray, "m h w c"]],
  ):
    """Stores the shape and the reader; reads nothing.

    Args:
      shape: the tuple (n, height, width, channels) of all images together.
      read: function that returns the images at the given indices, or raises a ValueError.
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
    """Number of values in all images together."""
    return int(np.prod(self.shape))

  def __getitem__(self, rows: slice) -> UInt8[np.ndarray, "m h w c"]:
    """Reads a slice of the images.

    Raises:
      ValueError: if the index is not a slice, or the images cannot be read.
    """
    if not isinstance(rows, slice):
      raise ValueError(f"rows must be a slice, but is {_checks.type_name(rows)}.")
    return self._read(range(len(self))[rows])

  def resize(self, size: int) -> "LazyImages":
    """Returns the same images, resized by `images.resize` to `size` x `size` when they are read."""
    n, _, _, channels = self.shape
    return LazyImages(
      (n, size, size, channels), lambda rows: imaging.resize(self._read(rows), size)
    )

  def __array__(
    self, dtype: DTypeLike | None = None, copy: bool | None = None
  ) -> Shaped[np.ndarray, "n h w c"]:
    return np.array(self._all, dtype) if copy else np.asarray(self._all, dtype)

  @functools.cached_property
  def _all(self) -> UInt8[np.ndarray, "n h w c"]:
    return self[:]
