"""One entrance to every data set: by name, or by path."""

import dataclasses
import difflib
import os
from pathlib import Path

from aejax import _checks
from aejax.data import images as imaging
from aejax.data.arrays import load_arrays
from aejax.data.celeb_a import CELEB_A
from aejax.data.cifar10 import CIFAR10
from aejax.data.dataset import Dataset
from aejax.data.digits import load_digits
from aejax.data.folder import load_folder
from aejax.data.idx import FASHION_MNIST, MNIST
from aejax.data.lazy import LazyImages
from aejax.data.prepare import load_recipe

__all__ = ["NAMES", "load"]

_RECIPES = {recipe.name: recipe for recipe in (MNIST, FASHION_MNIST, CIFAR10, CELEB_A)}

# A side beyond this is a mistake that would take all memory.
_LARGEST = 16384

NAMES: tuple[str, ...] = ("digits", *_RECIPES)


def load(
  name: str | os.PathLike[str],
  *,
  data_dir: str | os.PathLike[str] | None = None,
  image_size: int | None = None,
  in_memory: bool = True,
) -> Dataset:
  """Loads a data set, always with a test set that is disjoint from the training set.

  >>> load("digits")
  Dataset('digits', train=(1438, 8, 8, 1), test=(359, 8, 8, 1), labelled)

  Args:
    name: one of `NAMES`; or a path to a `.npy` or `.npz` file (see `arrays.load_arrays`) or to a
      folder of images (see `folder.load_folder`). A folder called like a data set is `./digits`.
    data_dir: a folder with a named data set's files, for those that would be downloaded or that
      have to be fetched by hand; or one in which it was prepared before.
    image_size: side in pixels to which images are centre-cropped and resized; by default they
      stay as they are, and those in a folder become at most 64x64.
    in_memory: all of it, by default. Otherwise the training images of a named data set, of a folder
      and of an `.npy` file of bytes are read when slices of `train` are asked for, and come
      without labels: so each of many hosts reads its part.

  Raises:
    ValueError: if there is no such data set or file, its files are not to be had, or they are
      damaged.
  """
  if not isinstance(name, str | os.PathLike) or not isinstance(os.fspath(name), str):
    raise ValueError(f"name must be a name or a path, but is {_checks.type_name(name)}.")
  if image_size is not None:
    image_size = _checks.integer("image_size", image_size, most=_LARGEST)
  _checks.boolean("in_memory", in_memory)
  if data_dir is not None:
    given, data_dir = data_dir, _checks.path("data_dir", data_dir)
    if not os.fspath(given) or not os.path.isdir(data_dir):
      raise ValueError(
        f"data_dir must be a folder, there is none at {_checks.short_repr(data_dir)}"
      )
  try:
    return _load(name, data_dir, image_size, in_memory)
  except MemoryError as error:
    raise ValueError(
      f"the images of {_checks.short_repr(name)} do not fit into memory: {error}"
    ) from error


def _load(
  name: str | os.PathLike[str], data_dir: Path | None, image_size: int | None, in_memory: bool
) -> Dataset:
  if name == "digits":
    dataset = load_digits()
  elif name in _RECIPES:
    dataset = load_recipe(_RECIPES[str(name)], data_dir=data_dir, in_memory=in_memory)
  else:
    path = _existing(name)
    if path.is_dir():
      return load_folder(path, image_size=image_size, in_memory=in_memory)
    dataset = load_arrays(path, in_memory=in_memory)
  return dataset if image_size is None else _resized(dataset, image_size)


def _existing(name: str | os.PathLike[str]) -> Path:
  spelled = os.fspath(name)
  path = _checks.path("name", spelled)
  # Not Path's own, which raises for names that are too long; and Path("") is the current folder.
  if spelled and os.path.exists(path):
    # No pipe or device called like one: to open it may wait for ever.
    if path.is_dir() or (path.suffix in (".npy", ".npz") and path.is_file()):
      return path
    raise ValueError(
      f"{_checks.short_repr(path)} is neither a folder of images nor a .npy or .npz file"
    )
  if isinstance(name, Path) or os.sep in spelled or path.suffix in (".npy", ".npz"):
    raise ValueError(f"no file or folder {_checks.short_repr(path)}")
  near = difflib.get_close_matches(spelled.lower(), NAMES, n=2)
  meant = f", did you mean {' or '.join(near)}?" if near else ":"
  raise ValueError(
    f"no data set {_checks.short_repr(spelled)}{meant} there are {', '.join(NAMES)}, and the path "
    "of a .npy or .npz file or of a folder of images"
  )


def _resized(dataset: Dataset, size: int) -> Dataset:
  train = dataset.train
  if isinstance(train, LazyImages):
    shape, stored = (len(train), size, size, train.shape[3]), train
    train = LazyImages(shape, lambda r: imaging.resize(stored[r.start : r.stop : r.step], size))
  else:
    train = imaging.resize(train, size)
  return dataclasses.replace(dataset, train=train, test=imaging.resize(dataset.test, size))
