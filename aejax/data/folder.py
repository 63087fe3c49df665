"""Your own images, as files in a folder."""

import collections
import concurrent.futures
import dataclasses
import functools
import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from aejax import _checks
from aejax._messages import warn
from aejax.data import images as imaging
from aejax.data.cache import cached
from aejax.data.dataset import Dataset, Examples, train_test_split
from aejax.data.examples import check_bytes
from aejax.data.lazy import LazyImages
from aejax.data.spec import file_sha256

__all__ = ["load_folder"]

_SUFFIXES = frozenset(
  (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff")
)
_MAX_DEFAULT_SIZE = 64
# Written by file managers of Windows.
_SYSTEM_FILES = ("Thumbs.db", "desktop.ini")

_Labels = Shaped[np.ndarray, " _"] | None

# Names of the folders of a split, in lower case.
_TRAIN = ("train", "training")
_TEST = ("test", "testing")
_VALIDATION = ("val", "valid", "validation", "dev")


@dataclasses.dataclass
class _Found:
  """The image files below a folder, ordered by path, and the number of files of each other kind."""

  folder: Path
  files: list[Path] = dataclasses.field(default_factory=list)
  passed_over: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

  def classes(self) -> list[str | None]:
    """Returns for each file the folder below `folder` that it lies in, None for `folder` itself."""
    parts = [file.relative_to(self.folder).parts for file in self.files]
    return [each[0] if len(each) > 1 else None for each in parts]


def load_folder(
  path: str | os.PathLike[str],
  *,
  image_size: int | None = None,
  in_memory: bool = True,
  cache: bool = False,
) -> Dataset:
  """Loads every image under a folder, cropped to its central square and resized.

  If the folder has sub-folders `train` and `test` (or `val`, `valid`), they are the split, and the
  rest of the folder is ignored. Otherwise a fixed random 10 % of all images is the test set. Images
  are ordered by path. They are grey if every file is stored as grey, and RGB otherwise. They are
  bytes, or float32 in [0, 1] if a file holds 16-bit grey.

  If every image lies in a sub-folder, and there are at least two of these, they are the classes:
  the labels are their names.

  Hidden files, pipes and symbolic links are skipped. A link could put one image into both the
  training set and the test set. An `AejaxWarning` counts what is passed over: files of other kinds,
  links, further frames of an animation, a third part of a split, and the lower bits of 16-bit
  colours.

  Args:
    path: path of the folder.
    image_size: side of the images in pixels. By default, 64; or, if all images have one size, the
      shorter side of that size if it is smaller than 64.
    in_memory: whether to decode all training images now, or each one when it is read.
    cache: whether images that are not in memory are decoded once, into a file; see `cache.cached`.

  Raises:
    ValueError: if there are fewer than two images, one cannot be decoded, or their bytes are all 0
      or 1.
  """
  path = Path(path)
  train, test, labels, passed_over = _find_split(path)
  headers = [imaging.read_header(file, name=_checks.short_repr(file)) for file in train + test]
  passed_over |= {
    "frames after the first": sum(header.frames - 1 for header in headers),
    "lower halves of images with 16-bit colours": sum(header.truncated for header in headers),
  }
  if image_size is None:
    sizes = {(header.width, header.height) for header in headers}
    shared = min(sizes.pop()) if len(sizes) == 1 else _MAX_DEFAULT_SIZE
    image_size = min(shared, _MAX_DEFAULT_SIZE)
  grey = all(header.grey for header in headers)
  deep = any(header.deep for header in headers)

  def decode(files: list[Path]) -> Examples:
    return _decode(files, size=image_size, grey=grey, deep=deep)

  shape = (len(train), image_size, image_size, 1 if grey else 3)
  lazy = LazyImages(
    shape,
    lambda rows: decode([train[row] for row in rows]),
    dtype=np.float32 if deep else np.uint8,
  )
  source = _digest(train, test)
  if cache and not in_memory:
    lazy = cached(lazy, identity=source)
  images, test_images = lazy[:] if in_memory else lazy, decode(test)
  name = _checks.short_repr(path)
  # Reading lazily, only the test images are known.
  seen = [test_images, images] if isinstance(images, np.ndarray) else [test_images]
  high = max(array.max() for array in seen)
  if deep:
    if high < 1 / 8:
      warn(f"{name} holds 16-bit images up to {high:.1%} of white: scale images of fewer bits")
  elif in_memory or len(test) > 1:
    check_bytes(int(high), name)
  if counts := [f"{count} {what}" for what, count in sorted(passed_over.items()) if count]:
    warn(f"{name} also holds, and aejax passes over: {', '.join(counts)}")
  return Dataset(path.resolve().name, images, test_images, *labels, source=source)


def _find_split(
  path: Path,
) -> tuple[list[Path], list[Path], tuple[_Labels, _Labels], collections.Counter[str]]:
  """Returns the files of training and test images, their labels, and what is passed over."""
  folders = {entry.name.lower(): entry for entry in _entries(path) if entry.is_dir()}
  halves = [
    next((folders[name] for name in names if name in folders), None)
    for names in (_TRAIN, _TEST, _VALIDATION)
  ]
  train_folder, test_folder = halves[0], halves[1] or halves[2]
  if train_folder is not None and test_folder is not None:
    train, test = _find(train_folder), _find(test_folder)
    _check_apart(path, train_folder, test_folder)
    passed_over = train.passed_over + test.passed_over
    passed_over |= _outside(path, train_folder, test_folder)
    labels = _class_labels(train.classes(), test.classes())
    return train.files, test.files, labels, passed_over
  found = _find(path)
  if len(found.files) < 2:
    raise ValueError(
      f"{_checks.short_repr(path)} holds one image; at least 2 are needed, "
      "one of them for the test set"
    )
  parts = train_test_split(len(found.files), fraction=0.1)
  train, test = ([found.files[index] for index in part] for part in parts)
  classes = found.classes()
  labels = _class_labels(*([classes[index] for index in part] for part in parts))
  return train, test, labels, found.passed_over


@functools.cache
def _suffixes() -> frozenset[str]:
  """Returns the suffixes of the image files that the installed Pillow reads."""
  return _SUFFIXES | {".avif"} if imaging.reads_avif() else _SUFFIXES


def _class_labels(
  train: Sequence[str | None], test: Sequence[str | None]
) -> tuple[_Labels, _Labels]:
  """Returns the names of the classes as arrays, or None if the folders are no classes."""
  if None in train or None in test or len({*train, *test}) < 2:
    return None, None
  return np.array(train), np.array(test)


def _check_apart(path: Path, *folders: Path) -> None:
  first, second = (folder.resolve() for folder in folders)
  if first.is_relative_to(second) or second.is_relative_to(first):
    raise ValueError(
      f"{folders[0].name} and {folders[1].name} in {_checks.short_repr(path)} must be two folders, "
      "but share one."
    )


def _outside(path: Path, *used: Path) -> dict[str, int]:
  """Returns the number of images in a folder beside those in the sub-folders of its split."""
  others = [entry for entry in _entries(path) if entry not in used and not entry.is_symlink()]
  counts = {}
  for entry in others:
    if entry.is_dir() and not entry.name.startswith("."):
      counts[f"images in {entry.name}"] = len(_find(entry, least=0).files)
  loose = [entry for entry in others if entry.is_file() and entry.suffix.lower() in _suffixes()]
  return counts | {"images outside of the split": len(loose)}


def _entries(folder: Path) -> list[Path]:
  try:
    return sorted(folder.iterdir())
  except OSError as error:
    raise _unreadable(folder, error) from error


def _unreadable(folder: Path, error: OSError) -> ValueError:
  return ValueError(f"the folder {_checks.short_repr(folder)} cannot be read: {error.strerror}")


def _find(folder: Path, *, least: int = 1) -> _Found:
  """Returns all image files below a folder, ordered by path."""

  def refuse(error: OSError) -> None:
    raise _unreadable(Path(error.filename), error) from error

  found = _Found(folder)
  for parent, folders, files in os.walk(folder, onerror=refuse):
    links = [name for name in folders if Path(parent, name).is_symlink()]
    found.passed_over["symbolic links or pipes"] += len(links)
    folders[:] = [name for name in folders if not name.startswith(".")]
    for name in files:
      file = Path(parent, name)
      if name.startswith(".") or name in _SYSTEM_FILES:
        continue
      # Opening a pipe would block until some process writes to it.
      if not stat.S_ISREG(file.lstat().st_mode):
        found.passed_over["symbolic links or pipes"] += 1
      elif file.suffix.lower() in _suffixes():
        found.files.append(file)
      else:
        found.passed_over[f"{file.suffix.lower() or 'other'} files"] += 1
  if len(found.files) < least:
    counts = [f"{count} {what}" for what, count in sorted(found.passed_over.items()) if count]
    also = f" ({', '.join(counts)} skipped)" if counts else ""
    raise ValueError(
      f"no images in {_checks.short_repr(folder)}{also}: {', '.join(sorted(_suffixes()))} are read"
    )
  found.files.sort(key=lambda file: file.relative_to(folder).as_posix())
  return found


def _decode(files: list[Path], *, size: int, grey: bool, deep: bool) -> Examples:
  images = np.empty((len(files), size, size, 1 if grey else 3), np.float32 if deep else np.uint8)

  def decode(index: int) -> None:
    file = files[index]
    images[index] = imaging.decode(
      file, name=_checks.short_repr(file), size=size, grey=grey, deep=deep
    )

  # Threads help because Pillow releases the interpreter's lock while it decodes and resizes.
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for _ in pool.map(decode, range(len(files))):
      pass
  return images


def _digest(train: list[Path], test: list[Path]) -> str:
  """Returns the identity of a folder's images: their files in the order of each part."""
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    sums = list(pool.map(file_sha256, train + test))
  text = " ".join([*sums[: len(train)], "|", *sums[len(train) :]])
  return f"files:{hashlib.sha256(text.encode()).hexdigest()}"
