"""Your own data, as arrays or NumPy files: `.npy` holds one array, `.npz` several."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from aejax import _checks
from aejax._messages import warn
from aejax.data.dataset import KINDS, Dataset, Examples, Kind
from aejax.data.examples import as_array, as_examples, facts
from aejax.data.lazy import LazyImages
from aejax.data.splitting import converted_lazily, is_mapped, split_lazily, split_randomly

__all__ = ["as_labels", "from_arrays", "load_numpy"]

# Names of the (train images, test images, train labels, test labels): ours, and those of Keras.
_SPLIT_KEYS = (
  ("train", "test", "train_labels", "test_labels"),
  ("x_train", "x_test", "y_train", "y_test"),
)
_LABEL_KEYS = ("labels", "train_labels", "y_train", "label", "y")


def load_numpy(path: str | os.PathLike[str], *, in_memory: bool = True) -> Dataset:
  """Loads vectors, signals, images or volumes from a `.npy` or `.npz` file.

  A `.npz` file holds one of:

  - the arrays `train` and `test` (or `x_train` and `x_test`), and optionally `train_labels` and
    `test_labels` (or `y_train` and `y_test`);
  - one array called `images`, `vectors`, `signals` or `volumes`, which says what it holds, or
    anything else, and optionally `labels` (or `y`).

  A single array is split: a fixed random 10 % is the test set. An `AejaxWarning` names arrays that
  are not used.

  Args:
    path: path of the file.
    in_memory: whether to read everything now. If False, the training examples of a `.npy` file are
      read when they are indexed.

  Raises:
    ValueError: if the file is damaged or holds pickled objects, or if its arrays are not examples
      (see `examples.as_examples`) or labels.
  """
  path = Path(path)
  mapped = path.suffix == ".npy" and not in_memory
  with _open(path, mapped=mapped) as file:
    if isinstance(file, np.ndarray):
      found = facts(file, name=_checks.short_repr(path))
      if mapped:
        return split_lazily(path.stem, file, found)
      return split_randomly(path.stem, found.convert(file))
    for keys in _SPLIT_KEYS:
      if keys[0] in file and keys[1] in file:
        return _load_split(path, file, keys)
    return _load_single(path, file)


def from_arrays(
  train: Any,
  test: Any = None,
  *,
  train_labels: Any = None,
  test_labels: Any = None,
  name: str = "array",
  kind: Kind | None = None,
) -> Dataset:
  """Makes a data set of arrays: vectors, signals, images or volumes.

  >>> from_arrays(np.random.default_rng(0).normal(size=(20, 3)))
  Dataset('array', train=(18, 3), test=(2, 3))

  Args:
    train: examples to train on, as `examples.as_examples` takes them. Those of a memory-mapped
      array stay in their file and are streamed.
    test: examples to evaluate on; by default, a fixed random 10 % of `train`.
    train_labels: class of each example in `train`, whole numbers or names.
    test_labels: class of each example in `test`.
    name: name that plots and records show.
    kind: "vectors", "signals", "images" or "volumes"; by default, the number of axes tells.

  Raises:
    ValueError: if the arrays are not examples or labels, or have different shapes.
  """
  if kind is not None:
    _checks.one_of("kind", kind, KINDS)
  if test is None:
    if test_labels is not None:
      raise ValueError("test_labels are labels of test, but there is no test")
    array = as_array(train, name)
    found = facts(array, name=name, kind=kind)
    labels = None if train_labels is None else _labels(train_labels, array, "train_labels")
    if is_mapped(array):
      return split_lazily(name, array, found, labels)
    return split_randomly(name, found.convert(array), labels)
  train, test = _same_kind(
    as_array(train, "train"), as_array(test, "test"), ("train", "test"), kind=kind
  )
  return Dataset(
    name,
    train,
    test,
    None if train_labels is None else _labels(train_labels, train, "train_labels"),
    None if test_labels is None else _labels(test_labels, test, "test_labels"),
  )


def _labels(labels: Any, examples: Any, name: str) -> Shaped[np.ndarray, " n"]:
  return as_labels(np.asarray(labels), len(examples), name=name)


def _same_kind(
  train: Shaped[np.ndarray, "..."],
  test: Shaped[np.ndarray, "..."],
  names: Sequence[str],
  *,
  kind: Kind | None = None,
) -> tuple[Examples | LazyImages, Examples]:
  """Returns both arrays as examples of one kind and dtype; a mapped training set stays mapped."""
  first = facts(train, name=names[0], kind=kind)
  second = facts(test, name=names[1], kind=first.kind)
  as_bytes = all(
    facts.as_bytes or array.dtype == np.uint8 for facts, array in ((first, train), (second, test))
  )
  first, second = (dataclasses.replace(facts, as_bytes=as_bytes) for facts in (first, second))
  examples = converted_lazily(train, first) if is_mapped(train) else first.convert(train)
  return examples, second.convert(test)


def _load_split(path: Path, file: Mapping[str, Any], keys: tuple[str, str, str, str]) -> Dataset:
  name = _checks.short_repr(path)
  train, test = _same_kind(
    file[keys[0]], file[keys[1]], [_member_name(path, key) for key in keys[:2]]
  )
  if train.shape[1:] != test.shape[1:]:
    raise ValueError(
      f"{name}: train and test images must share one shape, "
      f"got {list(train.shape[1:])} and {list(test.shape[1:])}"
    )
  train_labels, test_labels = (
    as_labels(file[key], len(examples), name=_member_name(path, key)) if key in file else None
    for key, examples in zip(keys[2:], (train, test), strict=True)
  )
  _warn_of_unused(name, file, keys)
  return Dataset(path.stem, train, test, train_labels, test_labels)


def _load_single(path: Path, file: Mapping[str, Any]) -> Dataset:
  name = _checks.short_repr(path)
  candidates = [key for key in file if key not in _LABEL_KEYS]
  named = [key for key in KINDS if key in file]
  key = named[0] if named else candidates[0] if len(candidates) == 1 else None
  if key is None:
    raise ValueError(
      f"{name} must hold the arrays train and test, or x_train and x_test, "
      f"or images, got {_checks.short_repr(sorted(file)) if file else 'none'}"
    )
  kind = key if key in KINDS else None
  examples = as_examples(file[key], name=_member_name(path, key), kind=kind)
  label_key = next((each for each in _LABEL_KEYS if each in file), None)
  _warn_of_unused(name, file, (key, label_key))
  if label_key is None:
    return split_randomly(path.stem, examples)
  labels = as_labels(file[label_key], len(examples), name=_member_name(path, label_key))
  return split_randomly(path.stem, examples, labels)


def _warn_of_unused(name: str, file: Mapping[str, Any], used: Sequence[str | None]) -> None:
  if unused := sorted(set(file) - set(used)):
    warn(
      f"{name} also holds {', '.join(unused)}, which {'is' if len(unused) == 1 else 'are'} unused"
    )


def as_labels(array: Shaped[np.ndarray, "..."], n: int, *, name: str) -> Shaped[np.ndarray, " n"]:
  """Checks that an array holds the classes of n examples, and returns them.

  Raises:
    ValueError: if they are neither whole numbers nor names, or are not n.
  """
  if array.shape not in ((n,), (n, 1)) or array.dtype.kind not in "iuUb":
    raise ValueError(
      f"{name} must be {n} integers or names, one label per image, "
      f"got {array.dtype} of shape {list(array.shape)}"
    )
  if array.dtype == np.uint64 and array.max(initial=0) > np.iinfo(np.int64).max:
    raise ValueError(f"{name} must be less than 2^63, got {array.max()}")
  labels = array.reshape(n)
  return labels if labels.dtype.kind == "U" else labels.astype(np.int64)


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
