"""Iterables of users, read once: into memory, or into files that are streamed from."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from aejax import _checks
from aejax._files import replacing
from aejax._memory import host_bytes
from aejax._messages import logger
from aejax.data.items import Item

__all__ = ["FOLDER", "is_unused", "read_kept", "read_once"]

FOLDER = "examples"
"""Name of the folder in a work directory that holds the examples of an iterable."""

_EXAMPLES, _LABELS = "examples.npy", "labels.npy"
# Part of the free memory or disk that examples may take: an endless iterable is refused then.
_FRACTION = 0.6
_GIB = 2**30

Read = tuple[Shaped[np.ndarray, "n ..."], Shaped[np.ndarray, " n"] | None]


def read_once(items: Callable[[], Iterator[Item]], folder: Path | None, *, name: str) -> Read:
  """Returns the examples and the labels of an iterable.

  Args:
    items: function that returns the items, with examples of one shape and dtype.
    folder: where the files are, or are written; the examples are then memory-mapped. By default,
      they are kept in memory.
    name: name of the data in messages.

  Raises:
    ValueError: if the examples do not fit into memory or onto the disk.
  """
  if folder is None:
    return _into_memory(items(), name)
  if not (folder / _EXAMPLES).is_file():
    logger.info("Reading %s once, into %s …", name, folder)
    folder.mkdir(parents=True, exist_ok=True)
    _into_files(items(), folder, name)
  found = read_kept(folder)
  assert found is not None
  return found


def read_kept(folder: Path) -> Read | None:
  """Returns what `read_once` has written into a folder; None if there is nothing.

  Raises:
    ValueError: if the files are damaged.
  """
  examples, labels = folder / _EXAMPLES, folder / _LABELS
  if not examples.is_file():
    return None
  try:
    return (
      np.load(examples, mmap_mode="r", allow_pickle=False),
      np.load(labels, allow_pickle=False) if labels.is_file() else None,
    )
  except (OSError, ValueError, EOFError) as error:
    raise ValueError(
      f"{_checks.short_repr(folder)} is damaged: {_checks.short_message(error)}"
    ) from error


def is_unused(workdir: Path) -> bool:
  """Returns whether a folder is empty, or holds only what a call that failed has read."""
  if not workdir.is_dir() or any(path.name != FOLDER for path in workdir.iterdir()):
    return False
  folder = workdir / FOLDER
  names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
  return all(name in (_EXAMPLES, _LABELS) or ".partial" in name for name in names)


def _into_memory(items: Iterator[Item], name: str) -> Read:
  parts, labels, taken, limit = [], [], 0, _FRACTION * host_bytes()
  for example, label in items:
    # A loader may use the memory of an item again for the next.
    parts.append(np.array(example))
    labels.append(label)
    taken += example.nbytes
    if 2 * taken > limit:  # the array is made of the parts
      raise ValueError(
        f"{name} does not fit into memory, or does not end: more than {taken / _GIB:.3g} GiB are "
        "read; with a work directory, examples are kept on disk"
      )
  return np.stack(parts), _stacked(labels)


def _into_files(items: Iterator[Item], folder: Path, name: str) -> None:
  labels, taken, limit = [], 0, _FRACTION * shutil.disk_usage(folder).free
  first = next(items)
  shape, dtype = first.example.shape, first.example.dtype
  with replacing(folder / _EXAMPLES) as temporary:
    with temporary.open("wb") as file:
      _write_header(file, dtype, (0, *shape))
      start = file.tell()
      for example, label in itertools.chain([first], items):
        file.write(np.ascontiguousarray(example).data)
        labels.append(label)
        taken += example.nbytes
        if taken > limit:
          raise ValueError(
            f"{name} does not fit onto the disk, or does not end: more than {taken / _GIB:.3g} GiB "
            "are read"
          )
      file.seek(0)
      _write_header(file, dtype, (len(labels), *shape))
      assert file.tell() == start
    if (array := _stacked(labels)) is not None:
      with replacing(folder / _LABELS) as other:
        np.save(other, array, allow_pickle=False)
    else:
      (folder / _LABELS).unlink(missing_ok=True)


def _write_header(file: Any, dtype: np.dtype, shape: tuple[int, ...]) -> None:
  # NumPy leaves room in the header for the first axis to grow.
  descr = np.lib.format.dtype_to_descr(dtype)
  np.lib.format.write_array_header_1_0(
    file, {"descr": descr, "fortran_order": False, "shape": shape}
  )


def _stacked(labels: list[Any]) -> Shaped[np.ndarray, " n"] | None:
  return None if labels[0] is None else np.stack(labels)
