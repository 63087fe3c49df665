"""Loads any data set, by name or by path."""

import dataclasses
import difflib
import os
from pathlib import Path

from aejax import _checks
from aejax.data import images as imaging
from aejax.data.arrays import load_numpy
from aejax.data.celeb_a import CELEB_A
from aejax.data.cifar10 import CIFAR10
from aejax.data.dataset import Dataset
from aejax.data.digits import load_digits
from aejax.data.folder import load_folder
from aejax.data.idx import FASHION_MNIST, MNIST
from aejax.data.lazy import LazyImages
from aejax.data.prepare import load_tfds

__all__ = ["NAMES", "load"]

_SPECS = {spec.name: spec for spec in (MNIST, FASHION_MNIST, CIFAR10, CELEB_A)}

# A larger side is a mistake, and would take all memory.
_MAX_IMAGE_SIZE = 16384

NAMES: tuple[str, ...] = ("digits", *_SPECS)


def load(
  name: str | os.PathLike[str],
  *,
  data_dir: str | os.PathLike[str] | None = None,
  image_size: int | None = None,
  in_memory: bool = True,
  cache: bool = False,
) -> Dataset:
  """Loads a data set with disjoint training and test sets.

  >>> load("digits")
  Dataset('digits', train=(1438, 8, 8, 1), test=(359, 8, 8, 1), labelled)

  Args:
    name: one of `NAMES`, the path of a `.npy` or `.npz` file (see `arrays.load_numpy`), or the path
      of a folder of images (see `folder.load_folder`). Write `./digits` for a folder that has the
      name of a data set.
    data_dir: folder with the original files of a named data set, if they are already on disk or
      must be downloaded by hand; or folder in which the data set was prepared before.
    image_size: side in pixels to which images are cropped and resized. By default, images keep
      their size, except that those of a folder become at most 64x64.
    in_memory: whether to read all training data now. If False, a named data set other than
      `digits`, a folder and a `.npy` file read slices of `train` on demand, so that each of
      several processes reads its own part. A named data set then has no training labels.
    cache: whether the images of a folder that are not in memory are decoded once, into a file of
      the user's cache, instead of each time that they are read.

  Raises:
    ValueError: if there is no such data set or file, if the files of a data set cannot be found or
      downloaded, or if they are damaged.
    ImportError: if a package that the data set needs is not installed.
  """
  if not isinstance(name, str | os.PathLike) or not isinstance(os.fspath(name), str):
    raise ValueError(f"name must be a name or a path, but is {_checks.type_name(name)}.")
  if image_size is not None:
    image_size = _checks.integer("image_size", image_size, most=_MAX_IMAGE_SIZE)
  _checks.boolean("in_memory", in_memory)
  _checks.boolean("cache", cache)
  if data_dir is not None:
    given, data_dir = data_dir, _checks.path("data_dir", data_dir)
    if not os.fspath(given) or not os.path.isdir(data_dir):
      raise ValueError(
        f"data_dir must be a folder, but there is none at {_checks.short_repr(data_dir)}"
      )
  try:
    return _load(name, data_dir, image_size, in_memory, cache)
  except MemoryError as error:
    raise ValueError(
      f"the images of {_checks.short_repr(name)} do not fit into memory: {error}"
    ) from error


def _load(
  name: str | os.PathLike[str],
  data_dir: Path | None,
  image_size: int | None,
  in_memory: bool,
  cache: bool,
) -> Dataset:
  if name == "digits":
    dataset = load_digits()
  elif name in _SPECS:
    dataset = load_tfds(_SPECS[str(name)], data_dir=data_dir, in_memory=in_memory)
  else:
    path = _existing_path(name)
    if path.is_dir():
      return load_folder(path, image_size=image_size, in_memory=in_memory, cache=cache)
    dataset = load_numpy(path, in_memory=in_memory)
  return dataset if image_size is None else _resize(dataset, image_size)


def _existing_path(name: str | os.PathLike[str]) -> Path:
  text = os.fspath(name)
  path = _checks.path("name", text)
  # Path.exists raises for names that are too long, and Path("") is the current folder.
  if text and os.path.exists(path):
    # `is_file` excludes pipes and devices, which could block for ever.
    if path.is_dir() or (path.suffix in (".npy", ".npz") and path.is_file()):
      return path
    raise ValueError(
      f"{_checks.short_repr(path)} is neither a folder of images nor a .npy or .npz file"
    )
  if isinstance(name, Path) or os.sep in text or path.suffix in (".npy", ".npz"):
    raise ValueError(f"no file or folder {_checks.short_repr(path)}")
  near = difflib.get_close_matches(text.lower(), NAMES, n=2)
  meant = f", did you mean {' or '.join(near)}?" if near else ":"
  raise ValueError(
    f"no data set {_checks.short_repr(text)}{meant} there are {', '.join(NAMES)}, and the path "
    "of a .npy or .npz file or of a folder of images"
  )


def _resize(dataset: Dataset, size: int) -> Dataset:
  if dataset.kind != "images":
    raise ValueError(f"image_size is for images, but {dataset.name} holds {dataset.kind}")
  train, test = dataset.train, imaging.resize(dataset.test, size)
  train = train.resize(size) if isinstance(train, LazyImages) else imaging.resize(train, size)
  return dataclasses.replace(dataset, train=train, test=test)
