"""Arrays of any kind as examples: uint8 or float32, with a layout and a range that are known."""

import dataclasses
import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Shaped, UInt8

from aejax import _checks
from aejax._messages import warn
from aejax.data.dataset import KINDS, Kind
from aejax.data.lazy import LazyImages, chunks

__all__ = ["Facts", "as_array", "as_examples", "check_bytes", "facts"]

Rows = Shaped[np.ndarray, "..."] | LazyImages

# uint8 images with no value above this are nearly black, whatever they show.
_MAX_DARK = 31
# Largest rounding of a feature to float32, in units of its standard deviation, without a warning.
_MAX_ROUNDING = 1e-3
# More channels than this suggest that the axes of signals are in another order.
_MAX_CHANNELS = 16


@dataclasses.dataclass(frozen=True)
class Facts:
  """What decides how an array is stored.

  Attributes:
    kind: what the examples are.
    low: smallest value.
    high: largest value.
    as_bytes: whether every float is the nearest number of its dtype to k/255 for some byte k, so
      that bytes hold images exactly.
  """

  kind: Kind
  low: float
  high: float
  as_bytes: bool

  def convert(self, array: Shaped[np.ndarray, "n ..."]) -> Shaped[np.ndarray, "n ..."]:
    """Returns rows of the array as uint8 or float32, with an axis of channels."""
    if array.dtype != np.uint8:
      converted = np.empty(array.shape, np.uint8 if self.as_bytes else np.float32)
      for rows in chunks(array):
        converted[rows] = _rounded(array[rows]) if self.as_bytes else array[rows]
      array = converted
    return array[..., None] if self.kind == "images" and array.ndim == 3 else array


def as_examples(
  array: Any, *, name: str, kind: Kind | None = None
) -> UInt8[np.ndarray, "n ..."] | Float32[np.ndarray, "n ..."]:
  """Checks that an array holds examples, and returns them as uint8 or float32.

  Floats of any dtype, byte order and layout become float32. Images whose floats are multiples of
  1/255 become bytes, which is exact. Whole numbers other than uint8 are the values of vectors,
  signals and volumes, and are refused for images, for which the value of white is unknown.

  Args:
    array: a NumPy array, or anything that NumPy converts to one.
    name: name of the array in error messages.
    kind: what the examples are; by default, see `facts`.

  Raises:
    ValueError: if the array has another shape, type or range, or holds NaN.
  """
  array = as_array(array, name)
  return facts(array, name=name, kind=kind).convert(array)


def facts(array: Rows, *, name: str, kind: Kind | None = None) -> Facts:
  """Checks an array in one pass, and decides how it is stored.

  By default the number of axes tells the kind: 2 are vectors, 4 images, 5 volumes. With 3 axes,
  uint8 and floats in [0, 1] are grey images without an axis of channels, and other numbers are
  signals.

  Args:
    array: the array; it may be mapped from a file, or `LazyImages` of any dtype.
    name: name of the array in error messages.
    kind: what the examples are.

  Raises:
    ValueError: if the array has another shape, type or range, or holds NaN.
  """
  shape = list(array.shape)
  if kind is None and not 2 <= array.ndim <= 5:
    raise ValueError(f"{name} must have shape {', '.join(KINDS.values())}, got {shape}")
  if not array.size:
    raise ValueError(f"{name} is empty: shape {shape}")
  if array.dtype.kind not in "iubf" and not jnp.issubdtype(array.dtype, jnp.floating):
    raise ValueError(f"{name} must be uint8 or floats, got {array.dtype}")
  low, high = _span(array, name)
  unit = array.dtype == np.uint8 or (array.dtype.kind not in "iub" and low >= 0 and high <= 1)
  if kind is None:
    kind = _kind(array, name, low, high)
  if kind != "images" and array.ndim != len(KINDS[kind].split(",")):
    raise ValueError(f"{name} holds {kind}, which have shape {KINDS[kind]}, got {shape}")
  if kind == "images":
    _check_images(array, name)
    if array.dtype.kind in "iub" and array.dtype != np.uint8:
      raise ValueError(
        f"{name} must be uint8, or floats in [0, 1], got {array.dtype} in [{low:.9g}, {high:.9g}]: "
        "divide images by the value of white; signals are the array named signals in a .npz file"
      )
  if array.dtype == np.uint8:
    check_bytes(int(high), name)
  elif max(-low, high) > float(np.finfo(np.float32).max):
    raise ValueError(f"{name} holds {low:.9g} to {high:.9g}, more than float32 can hold")
  elif kind != "images":
    _check_resolution(array, name)
  elif unit and high <= 1 / 255:
    warn(f"{name} holds floats up to {high:.3g} only: black images, if 1 is white")
  as_bytes = kind == "images" and unit and array.dtype != np.uint8 and _is_rounded(array)
  return Facts(kind, low, high, as_bytes)


def check_bytes(high: int, name: str) -> None:
  """Refuses bytes that are all 0 or 1, and warns of bytes that are nearly black.

  Bytes promise a range of 0 to 255. A mask of 0 and 1, or labels, would train as a black image.

  Args:
    high: largest byte of all examples.
    name: name of the data in messages.

  Raises:
    ValueError: if it is 0 or 1.
  """
  if high <= 1:
    raise ValueError(
      f"{name} holds bytes up to {high} only, but 255 is white: multiply a mask by 255, or store "
      "floats in [0, 1]"
    )
  if high <= _MAX_DARK:
    warn(f"{name} holds bytes up to {high} only, but 255 is white: the images are nearly black")


def as_array(array: Any, name: str) -> Shaped[np.ndarray, "..."]:
  """Returns an array of any library as a plain NumPy array, or raises a ValueError."""
  if isinstance(array, np.ma.MaskedArray):
    raise ValueError(f"{name} is a masked array, whose mask would be lost: fill it first")
  if isinstance(array, list | tuple) or not hasattr(array, "__array__"):
    raise ValueError(f"{name} must be an array, but is {_checks.type_name(array)}")
  return np.asarray(array)


def _span(array: Rows, name: str) -> tuple[float, float]:
  """Returns the smallest and the largest value."""
  low, high = math.inf, -math.inf
  for rows in chunks(array):
    part = array[rows]
    part_low, part_high = float(part.min()), float(part.max())
    if not (math.isfinite(part_low) and math.isfinite(part_high)):
      raise ValueError(f"{name} holds NaN or infinite values")
    low, high = min(low, part_low), max(high, part_high)
  return low, high


def _kind(array: Rows, name: str, low: float, high: float) -> Kind:
  shape = list(array.shape)
  unit = low >= 0 and high <= 1
  if array.ndim != 3:
    return list(KINDS)[array.ndim - 2]
  if not unit and array.dtype.kind not in "iub":
    if low >= 0 and high <= 255 and _is_whole(array):
      raise ValueError(
        f"{name} holds whole numbers up to {high:.9g} as {array.dtype}: store images as uint8, or "
        "divide them by 255; signals are the array named signals in a .npz file"
      )
    if array.shape[2] > _MAX_CHANNELS:
      warn(
        f"{name} of shape {shape} is read as signals of {shape[1]} steps and {shape[2]} channels; "
        "images must be bytes or floats in [0, 1]"
      )
    return "signals"
  if array.shape[2] in (1, 3, 4) and (unit or array.dtype == np.uint8):
    raise ValueError(
      f"{name} has shape {shape}, which looks like one image: a set of images is "
      "[n, height, width] or [n, height, width, channels]; signals are the array named signals "
      "in a .npz file"
    )
  return "images"


def _check_images(array: Rows, name: str) -> None:
  shape = list(array.shape)
  if array.ndim not in (3, 4):
    raise ValueError(
      f"{name} must have shape [n, height, width] or [n, height, width, channels], got {shape}"
    )
  if array.ndim == 4 and array.shape[3] not in (1, 3):
    if array.shape[1] in (1, 3):
      advice = "its channels come first: transpose it with images.transpose(0, 2, 3, 1)"
    elif array.shape[3] == 4:
      advice = "drop the alpha channel, or lay the images over a background, first"
    else:
      advice = (
        "the last axis must hold 1 (grey) or 3 (RGB) channels; volumes need an axis of channels"
      )
    raise ValueError(f"{name} has shape {shape}; {advice}")


def _check_resolution(array: Rows, name: str) -> None:
  """Warns if float32 rounds away differences between the values of a feature or channel."""
  if array.dtype.itemsize <= 4 and array.dtype.kind not in "iu":
    return
  axes, count = tuple(range(array.ndim - 1)), math.prod(array.shape[:-1])
  total = squares = largest = np.zeros(array.shape[-1])
  for rows in chunks(array):
    part = array[rows].astype(np.float64)
    total = total + part.sum(axes)
    largest = np.maximum(largest, np.abs(part).max(axes))
  for rows in chunks(array):
    squares = squares + np.square(array[rows].astype(np.float64) - total / count).sum(axes)
  rounding, deviation = largest * 2.0**-24, np.sqrt(squares / count)
  # A constant feature has a deviation of zero up to rounding in float64.
  lost = (rounding > _MAX_ROUNDING * deviation) & (deviation > 1e-12 * largest)
  if lost.any():
    k = int(np.argmax(lost))
    warn(
      f"{name} holds values up to {largest[k]:.3g} in feature {k + 1} (of {len(lost)}) that vary "
      f"by {deviation[k]:.3g} only: float32 rounds them, so subtract their mean first"
    )


def _is_whole(array: Rows) -> bool:
  return all((array[rows] == np.rint(array[rows])).all() for rows in chunks(array))


def _is_rounded(array: Rows) -> bool:
  return all(
    ((_rounded(array[rows]) / np.float64(255)).astype(array.dtype) == array[rows]).all()
    for rows in chunks(array)
  )


def _rounded(array: Shaped[np.ndarray, "n ..."]) -> UInt8[np.ndarray, "n ..."]:
  return np.rint(array.astype(np.float64) * 255).astype(np.uint8)
