"""Your own images, as NumPy files: `.npy` holds one array, `.npz` several."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped, UInt8

from aejax import _checks
from aejax.data.dataset import Dataset, train_test_split
from aejax.data.lazy import LazyImages

__all__ = ["as_images", "load_numpy"]

# Names of the (train images, test images, train labels, test labels): ours, and those of Keras.
_SPLIT_KEYS = (
  ("train", "test", "train_labels", "test_labels"),
  ("x_train", "x_test", "y_train", "y_test"),
)
_LABEL_KEYS = ("labels", "train_labels", "y_train")


def load_numpy(path: str | os.PathLike[str], *, in_memory: bool = True) -> Dataset:
  """Loads images from a `.npy` or `.npz` file.

  A `.npz` file holds one of:

  - the arrays `train` and `test` (or `x_train` and `x_test`), and optionally `train_labels` and
    `test_labels` (or `y_train` and `y_test`);
  - one array of images, called `images` or anything else, and optionally `labels`.

  A single array is split: a fixed random 10 % is the test set.

  Args:
    path: path of the file.
    in_memory: whether to read everything now. If False, the training images of a `.npy` file of
      bytes are read when they are indexed.

  Raises:
    ValueError: if the file is damaged or holds pickled objects, or if its arrays are not images
      (see `as_images`) or labels.
  """
  path = Path(path)
  mapped = path.suffix == ".npy" and not in_memory
  with _open(path, mapped=mapped) as file:
    if isinstance(file, np.ndarray):
      images = as_images(file, name=_checks.short_repr(path))
      # `as_images` converts floats to bytes, in memory.
      lazy = mapped and np.shares_memory(images, file)
      return _split_randomly(path.stem, images, None, lazy=lazy)
    for keys in _SPLIT_KEYS:
      if keys[0] in file and keys[1] in file:
        return _load_split(path, file, keys)
    return _load_single(path, file)


def as_images(array: Shaped[np.ndarray, "..."], *, name: str) -> UInt8[np.ndarray, "n h w c"]:
  """Checks that an array holds images and returns them as bytes, `[n, height, width, channels]`.

  Args:
    array: array `[n, h, w]`, `[n, h, w, 1]` or `[n, h, w, 3]` of uint8, or of floats in [0, 1].
    name: name of the array in error messages.

  Raises:
    ValueError: if the array has another shape, type or range, or holds NaN.
  """
  shape = list(array.shape)
  if array.ndim not in (3, 4):
    raise ValueError(
      f"{name} must have shape [n, height, width] or [n, height, width, channels], got {shape}"
    )
  if not array.size:
    raise ValueError(f"{name} is empty: shape {shape}")
  if array.ndim == 3 and array.shape[2] in (1, 3, 4):
    raise ValueError(
      f"{name} has shape {shape}, which looks like one image: a set of images is "
      "[n, height, width] or [n, height, width, channels]"
    )
  if array.ndim == 4 and array.shape[3] not in (1, 3):
    if array.shape[1] in (1, 3):
      advice = "its channels come first: transpose it with images.transpose(0, 2, 3, 1)"
    elif array.shape[3] == 4:
      advice = "drop the alpha channel, or lay the images over a background, first"
    else:
      advice = "the last axis must hold 1 (grey) or 3 (RGB) channels"
    raise ValueError(f"{name} has shape {shape}; {advice}")
  if array.dtype != np.uint8:
    array = _as_bytes(array, name)
  return array if array.ndim == 4 else array[..., None]


def _as_bytes(array: Shaped[np.ndarray, "..."], name: str) -> UInt8[np.ndarray, "..."]:
  if not np.issubdtype(array.dtype, np.floating):
    span = f" in [{array.min()}, {array.max()}]" if array.dtype.kind in "iub" else ""
    raise ValueError(f"{name} must be uint8, or floats in [0, 1], got {array.dtype}{span}")
  low, high = array.min(), array.max()
  if not (np.isfinite(low) and np.isfinite(high)):
    raise ValueError(f"{name} holds NaN or infinite values; floats must lie in [0, 1]")
  if low < 0 or high > 1:
    raise ValueError(f"{name} holds floats in [{low:.9g}, {high:.9g}]; they must lie in [0, 1]")
  scaled = np.empty(array.shape, np.uint8)
  # Convert image by image, so that no float64 copy of the whole set is made.
  for image, out in zip(array, scaled, strict=True):
    out[...] = np.rint(image.astype(np.float64) * 255)
  return scaled


def _load_split(path: Path, file: Mapping[str, Any], keys: tuple[str, str, str, str]) -> Dataset:
  train, test = (as_images(file[key], name=_member_name(path, key)) for key in keys[:2])
  if train.shape[1:] != test.shape[1:]:
    raise ValueError(
      f"{_checks.short_repr(path)}: train and test images must share one shape, "
      f"got {list(train.shape[1:])} and {list(test.shape[1:])}"
    )
  train_labels, test_labels = (
    _as_labels(file[key], len(images), name=_member_name(path, key)) if key in file else None
    for key, images in zip(keys[2:], (train, test), strict=True)
  )
  return Dataset(path.stem, train, test, train_labels, test_labels)


def _load_single(path: Path, file: Mapping[str, Any]) -> Dataset:
  candidates = [key for key in file if key not in _LABEL_KEYS]
  key = "images" if "images" in candidates else candidates[0] if len(candidates) == 1 else None
  if key is None:
    raise ValueError(
      f"{_checks.short_repr(path)} must hold the arrays train and test, or x_train and x_test, "
      f"or images, got {_checks.short_repr(sorted(file)) if file else 'none'}"
    )
  images = as_images(file[key], name=_member_name(path, key))
  for label_key in _LABEL_KEYS:
    if label_key in file:
      labels = _as_labels(file[label_key], len(images), name=_member_name(path, label_key))
      return _split_randomly(path.stem, images, labels)
  return _split_randomly(path.stem, images, None)


def _split_randomly(
  name: str,
  images: UInt8[np.ndarray, "n h w c"],
  labels: Int[np.ndarray, " n"] | None,
  *,
  lazy: bool = False,
) -> Dataset:
  if len(images) < 2:
    raise ValueError(f"{name} holds one image; at least 2 are needed, one of them for the test set")
  train, test = train_test_split(len(images), fraction=0.1)
  if lazy:
    shape = (len(train), *images.shape[1:])
    return Dataset(name, LazyImages(shape, lambda rows: images[train[rows]]), images[test])
  if labels is None:
    return Dataset(name, images[train], images[test])
  return Dataset(name, images[train], images[test], labels[train], labels[test])


def _as_labels(array: Shaped[np.ndarray, "..."], n: int, *, name: str) -> Int[np.ndarray, " n"]:
  if array.shape not in ((n,), (n, 1)) or array.dtype.kind not in "iu":
    raise ValueError(
      f"{name} must be {n} integers, one label per image, "
      f"got {array.dtype} of shape {list(array.shape)}"
    )
  if array.dtype == np.uint64 and array.max(initial=0) > np.iinfo(np.int64).max:
    raise ValueError(f"{name} must be less than 2^63, got {array.max()}")
  return array.reshape(n).astype(np.int64)


@contextlib.contextmanager
def _open(path: Path, *, mapped: bool = False) -> Iterator[Any]:
  """Yields the array of a `.npy` file, or the `_Archive` of a `.npz` file."""
  name = _checks.short_repr(path)
  # Open the file here: np.load leaves a file open that it finds damaged.
  try:
    stream = path.open("rb")
  except OSError as error:
    raise ValueError(f"{name} cannot be read: {error.strerror}") from error
  with stream:
    try:
      if mapped:
        file = np.load(path, mmap_mode="r", allow_pickle=False)
      else:
        file = np.load(stream, allow_pickle=False)
    # NumPy, zipfile and zlib raise nearly every built-in exception on damaged files, and a
    # MemoryError if the header declares an array that is too large.
    except Exception as error:
      raise ValueError(
        f"{name} cannot be read as a NumPy file without pickles: {_checks.short_message(error)}"
      ) from error
    if isinstance(file, np.ndarray):
      yield file
      return
    with file:
      yield _Archive(path, file)


def _member_name(path: Path, key: str) -> str:
  return f"{_checks.short_repr(path)}[{_checks.short_repr(key)}]"


class _Archive(Mapping[str, Any]):
  """An open `.npz` file; a damaged or pickled member raises a ValueError that names it."""

  def __init__(self, path: Path, file: Any) -> None:
    self._path, self._file = path, file

  def __getitem__(self, key: str) -> Any:
    try:
      array = self._file[key]
    except Exception as error:
      raise ValueError(
        f"{_member_name(self._path, key)} cannot be read: {_checks.short_message(error)}"
      ) from error
    # NumPy returns the bytes of a member that is not in its own format.
    if not isinstance(array, np.ndarray):
      raise ValueError(f"{_member_name(self._path, key)} cannot be read: it is not an array")
    return array

  def __iter__(self) -> Iterator[str]:
    return iter(self._file.files)

  def __len__(self) -> int:
    return len(self._file.files)

  def __contains__(self, key: object) -> bool:
    # Mapping's default reads the whole array.
    return key in self._file.files
