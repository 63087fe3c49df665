"""Data pipelines of users: sources with random access, and iterables."""

import concurrent.futures
import hashlib
import inspect
import itertools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Shaped

from aejax import _checks
from aejax.data.arrays import as_labels
from aejax.data.dataset import KINDS, Dataset, Kind
from aejax.data.examples import facts
from aejax.data.items import Item, is_batch, parse
from aejax.data.lazy import LazyImages, chunks
from aejax.data.read_once import read_kept, read_once
from aejax.data.splitting import is_mapped, split_lazily, split_randomly

__all__ = ["Source", "from_kept", "from_source", "is_source"]

# A longer source is an endless one: grain's has the largest integer as length.
_MAX_LENGTH = 2**31 - 1


@runtime_checkable
class _RandomAccess(Protocol):
  """Any object with a length whose items can be read by index, in any order."""

  def __len__(self) -> int: ...

  def __getitem__(self, index: int, /) -> Any: ...


Source = _RandomAccess | Iterable[Any] | Callable[[], Iterable[Any]]
"""What `from_source` takes."""


def is_source(data: Any) -> bool:
  """Returns whether `from_source` takes the data: neither an array nor a name, path or dict."""
  if isinstance(data, np.ndarray | str | bytes | os.PathLike | Mapping | type | LazyImages):
    return False
  if hasattr(data, "__array__") or hasattr(data, "__jax_array__"):
    return False
  if isinstance(data, list):
    return bool(data) and not isinstance(data[0], int | float | list)
  if isinstance(data, tuple):
    return False
  return _has_random_access(data) or hasattr(data, "__iter__") or callable(data)


def from_source(
  source: Source,
  *,
  name: str = "data",
  kind: Kind | None = None,
  folder: str | os.PathLike[str] | None = None,
) -> Dataset:
  """Makes a data set of a pipeline: a data source, a loader, or a generator.

  An item is an example, a pair (example, label), or a dict such as {"image": …, "label": …}. A
  fixed random 10 % of the examples is the test set.

  - A source with random access, `len(source)` and `source[index]`, is read once for the range of
    its values and its digest, and then streamed: training reads the rows of the next steps, in the
    order of the epoch. Such sources are `grain.MapDataset`, those of tfds.data_source and
    array_record, and map-style data sets of PyTorch and Hugging Face.
  - An iterable, or a function without arguments that returns one, is read once, from its beginning
    to its end: into memory or, with a folder, into files that training streams from. It may yield
    batches of examples. Such are `grain.IterDataset`, loaders, and generator functions.

  >>> squares = [(np.full(3, i / 10, np.float32), i) for i in range(10)]
  >>> from_source(squares)
  Dataset('data', train=(9, 3), test=(1, 3), labelled)

  Args:
    source: the pipeline.
    name: name that plots and records show, and messages.
    kind: "vectors", "signals", "images" or "volumes". By default, the number of axes of an example
      tells. Items with one axis more than examples of this kind are batches.
    folder: where the examples of an iterable are kept. If they are there already, they are read
      from there, and `source` is not read.

  Raises:
    ValueError: if the items are no examples, have several shapes or dtypes, or do not end; or if
      reading the first item twice gives different examples.
  """
  if kind is not None:
    _checks.one_of("kind", kind, KINDS)
  if not isinstance(name, str):
    raise ValueError(f"name must be a string, but is {_checks.type_name(name)}.")
  place = None if folder is None else _checks.path("folder", folder)
  if not is_source(source):
    raise ValueError(
      f"source must be a data source, an iterable or a function that returns one, but is "
      f"{_checks.type_name(source)}."
    )
  if not _has_random_access(source):
    return _from_iterable(source, name, kind, place)
  sized: Any = source
  n = len(sized)
  if not 2 <= n <= _MAX_LENGTH:
    found = f"{n}" if n <= _MAX_LENGTH else "endless: leave its repetition to epochs"
    raise ValueError(f"{name} must have 2 to {_MAX_LENGTH} items, but its length is {found}.")
  first = parse(sized[0], f"{name}[0]")
  if is_batch(first, kind, f"{name}[0]"):
    return _from_iterable(lambda: (sized[index] for index in range(n)), name, kind, place)
  return _from_random_access(source, first, name, kind)


def _has_random_access(source: Any) -> bool:
  return hasattr(source, "__len__") and hasattr(source, "__getitem__")


def _from_random_access(source: Any, first: Item, name: str, kind: Kind | None) -> Dataset:
  shape, dtype = first.example.shape, first.example.dtype

  def read_items(rows: Sequence[int]) -> list[Item]:
    items = [
      parse(item, f"{name}[{row}]") for row, item in zip(rows, _get(source, rows), strict=True)
    ]
    for row, item in zip(rows, items, strict=True):
      _check_alike(item, first, f"{name}[{row}]", f"{name}[0]")
    return items

  def read(rows: Sequence[int]) -> Shaped[np.ndarray, "m ..."]:
    examples = np.empty((len(rows), *shape), dtype)
    for index, item in enumerate(read_items(rows)):
      examples[index] = item.example
    return examples

  array = LazyImages((len(source), *shape), read, dtype=dtype)
  again = read_items([0])[0].example
  if not np.array_equal(again, first.example, equal_nan=dtype.kind == "f"):
    raise ValueError(
      f"{name}[0] is another example each time it is read: a source must not transform at random"
    )
  found, labels = hashlib.sha256(f"{dtype.name}{list(array.shape)}".encode()), []
  for rows in chunks(array):
    items = read_items(range(len(array))[rows])
    for item in items:
      found.update(np.ascontiguousarray(item.example).data)
    labels += [item.label for item in items]
  return split_lazily(
    name,
    array,
    facts(array, name=name, kind=kind),
    None if first.label is None else as_labels(np.stack(labels), len(array), name=f"{name} labels"),
    source=f"items:{found.hexdigest()}",
  )


def _get(source: Any, rows: Sequence[int]) -> Iterable[Any]:
  """Returns the items of some rows, all at once or in threads where the source allows it."""
  if hasattr(source, "__getitems__"):
    return source.__getitems__(list(rows))
  grain = sys.modules.get("grain")
  # grain itself reads its sources in threads.
  if grain is not None and len(rows) > 1 and isinstance(source, getattr(grain, "MapDataset", ())):
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
      return list(pool.map(source.__getitem__, rows))
  return [source[row] for row in rows]


def _from_iterable(source: Any, name: str, kind: Kind | None, folder: Path | None) -> Dataset:
  def items() -> Iterator[Item]:
    iterable = source if hasattr(source, "__iter__") else _called(source, name)
    parsed = (parse(item, f"{name}[{index}]") for index, item in enumerate(iterable))
    first = next(parsed, None)
    if first is None:
      raise ValueError(f"{name} yields no items.")
    batched = is_batch(first, kind, f"{name}[0]")
    previous = None
    for index, item in enumerate(itertools.chain([first], parsed)):
      for example, label in _rows(item) if batched else [item]:
        single = Item(example, label)
        previous = previous or single
        _check_alike(single, previous, f"{name}[{index}]", f"{name}[0]")
        yield single

  examples, labels = read_once(items, folder, name=name)
  return _dataset(name, kind, examples, labels)


def from_kept(folder: Path, *, name: str) -> Dataset | None:
  """Returns the data set of an iterable that was read into a folder; None if there is none."""
  found = read_kept(folder)
  return None if found is None else _dataset(name, None, *found)


def _dataset(
  name: str,
  kind: Kind | None,
  examples: Shaped[np.ndarray, "n ..."],
  labels: Shaped[np.ndarray, " n"] | None,
) -> Dataset:
  found = facts(examples, name=name, kind=kind)
  labels = None if labels is None else as_labels(labels, len(examples), name=f"{name} labels")
  if is_mapped(examples):
    return split_lazily(name, examples, found, labels)
  return split_randomly(name, found.convert(examples), labels)


def _rows(item: Item) -> Iterator[Item]:
  labels = itertools.repeat(None) if item.label is None else item.label
  if item.label is not None and len(item.label) != len(item.example):
    raise ValueError("a batch must have one label for each example.")
  return (Item(example, label) for example, label in zip(item.example, labels, strict=False))


def _called(function: Callable[[], Any], name: str) -> Iterable[Any]:
  """Returns the iterable that a generator function, or another function, makes."""
  try:
    inspect.signature(function).bind()
  except (TypeError, ValueError) as error:
    raise ValueError(
      f"{name} must be a function without arguments that returns an iterable: "
      f"{_checks.short_message(error)}."
    ) from error
  made = function()
  if not hasattr(made, "__iter__") or isinstance(made, Mapping | str):
    raise ValueError(
      f"{name} must be a function that returns an iterable, but returned {_checks.type_name(made)}."
    )
  return made


def _check_alike(item: Item, first: Item, name: str, first_name: str) -> None:
  for word, found, expected in (
    ("shape", list(item.example.shape), list(first.example.shape)),
    ("dtype", item.example.dtype, first.example.dtype),
    ("label", item.label is not None, first.label is not None),
  ):
    if found != expected:
      if word == "label":
        have = f"{name} has {'a' if found else 'no'} label, but {first_name} does the opposite"
        raise ValueError(f"{have}: all examples must have one, or none.")
      raise ValueError(
        f"{name} has {word} {found}, but {first_name} {expected}: all examples must share one."
      )
