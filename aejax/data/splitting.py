"""One set of examples, divided into a training set and a test set."""

import mmap
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

from aejax.data.dataset import Dataset, Examples, train_test_split
from aejax.data.examples import Facts
from aejax.data.lazy import LazyImages

__all__ = ["converted_lazily", "is_mapped", "split_lazily", "split_randomly"]

_Labels = Shaped[np.ndarray, " _"] | None

_TEST_FRACTION = 0.1


def split_randomly(name: str, examples: Examples, labels: _Labels = None) -> Dataset:
  """Returns a data set in memory, of which a fixed random 10 % is the test set."""
  train, test = _random_split(name, len(examples))
  return Dataset(name, examples[train], examples[test], *_divided(labels, train, test))


def split_lazily(
  name: str, array: Any, found: Facts, labels: _Labels = None, *, source: str | None = None
) -> Dataset:
  """Returns the data set of `split_randomly`, whose training examples are read when indexed.

  Args:
    name: name of the data set.
    array: a mapped array or `LazyImages` of any dtype.
    found: how its rows become examples.
    labels: class of each row.
    source: identity of the examples, if it is known.
  """
  train, test = _random_split(name, len(array))
  examples = converted_lazily(array, found, rows=train)
  parts = examples, found.convert(array[test])
  return Dataset(name, *parts, *_divided(labels, train, test), source)


def converted_lazily(
  array: Any, found: Facts, *, rows: Int[np.ndarray, " m"] | None = None
) -> LazyImages:
  """Returns rows of an array as examples that are read and converted when they are indexed."""
  chosen = np.arange(len(array)) if rows is None else rows
  example = found.convert(array[:1])
  return LazyImages(
    (len(chosen), *example.shape[1:]),
    lambda indices: found.convert(array[chosen[indices]]),
    dtype=example.dtype,
  )


def is_mapped(array: Any) -> bool:
  """Returns whether an array lies in a memory-mapped file."""
  while isinstance(array, np.ndarray):
    array = array.base
  return isinstance(array, mmap.mmap)


def _random_split(
  name: str, n: int
) -> tuple[Int[np.ndarray, " n_train"], Int[np.ndarray, " n_test"]]:
  if n < 2:
    raise ValueError(f"{name} holds one image; at least 2 are needed, one of them for the test set")
  return train_test_split(n, fraction=_TEST_FRACTION)


def _divided(
  labels: _Labels, train: Int[np.ndarray, " n_train"], test: Int[np.ndarray, " n_test"]
) -> tuple[_Labels, _Labels]:
  return (None, None) if labels is None else (labels[train], labels[test])
