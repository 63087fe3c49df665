"""The data of a run: named in its settings, or given as arrays, pipelines or objects."""

import os
import shutil
from pathlib import Path
from typing import Any

import jax

from aejax import _checks, data
from aejax.data import Dataset
from aejax.data.read_once import FOLDER, is_unused
from aejax.data.sources import from_kept, is_source
from aejax.training.distributed import run_on_process_zero_first
from aejax.training.streaming import in_memory

__all__ = ["check_new", "given_dataset", "kept_dataset", "named_dataset"]


def named_dataset(
  name: str,
  *,
  placement: str | None,
  data_dir: str | os.PathLike[str] | None,
  image_size: int | None,
) -> Dataset:
  """Loads a data set by name or path, into memory or as examples that are read when needed.

  Args:
    name: name or path.
    placement: where the training data will lie; see `Options.data`.
    data_dir: as in `data.load`.
    image_size: as in `data.load`.
  """
  return data.load(
    name,
    data_dir=data_dir,
    image_size=image_size,
    in_memory=in_memory(name, placement),
    # Several processes decode their own parts, unless they read them again in every epoch.
    cache=jax.process_count() == 1 or placement == "stream",
  )


def given_dataset(given: Any, *, workdir: Path | None, resume: bool) -> Dataset:
  """Returns the data set of an object: a data set, an array or a data pipeline.

  The examples of an iterable are kept in the work directory, and not read again on resume.

  Args:
    given: the object.
    workdir: the work directory, if there is one.
    resume: whether the run is continued.

  Raises:
    ValueError: if it holds no examples, or the work directory of a new run is not empty.
  """
  if isinstance(given, Dataset):
    return given
  if isinstance(given, tuple) and any(hasattr(each, "__array__") for each in given):
    raise ValueError(
      "data must be an array of numbers, but is a tuple of arrays: name them, as in "
      "data.from_arrays(train, test, train_labels=labels)."
    )
  if not is_source(given):
    return data.from_arrays(_checks.array("data", given))
  if workdir is not None and not resume:
    check_new(workdir)

  def read() -> Dataset:
    folder = None if workdir is None else workdir / FOLDER
    if folder is not None and not resume and jax.process_index() == 0:
      shutil.rmtree(folder, ignore_errors=True)  # of a call that failed
    return data.from_source(given, folder=folder)

  return run_on_process_zero_first(read)


def kept_dataset(workdir: Path, *, name: str) -> Dataset | None:
  """Returns the data set of an iterable that a run keeps in its work directory, if there is one."""
  return from_kept(workdir / FOLDER, name=name)


def check_new(workdir: Path) -> None:
  """Raises a ValueError unless a work directory is empty or does not exist."""
  if workdir.exists() and not is_unused(workdir):
    raise ValueError(
      f"{workdir} exists already: choose another --workdir, or continue its run with --resume."
    )
