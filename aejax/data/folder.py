"""Your own images, as files in a folder."""

import concurrent.futures
import os
import stat
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from aejax import _checks
from aejax.data import images as imaging
from aejax.data.dataset import Dataset, train_test_split
from aejax.data.lazy import LazyImages

__all__ = ["load_folder"]

_SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif"))
_MAX_DEFAULT_SIZE = 64


def load_folder(
  path: str | os.PathLike[str], *, image_size: int | None = None, in_memory: bool = True
) -> Dataset:
  """Loads every image under a folder, cropped to its central square and resized.

  If the folder has sub-folders `train` and `test`, they are the split, and the rest of the folder
  is ignored. Otherwise a fixed random 10 % of all images is the test set. Images are ordered by
  path. They are grey if every file is stored as grey, and RGB otherwise.

  Hidden files, pipes and symbolic links are skipped. A link could put one image into both the
  training set and the test set.

  Args:
    path: path of the folder.
    image_size: side of the images in pixels. By default, 64; or, if all images have one size, the
      shorter side of that size if it is smaller than 64.
    in_memory: whether to decode all training images now, or each one when it is read.

  Raises:
    ValueError: if there are fewer than two images, or one cannot be decoded.
  """
  path = Path(path)
  train, test = _find_split(path)
  headers = [imaging.read_header(file, name=_checks.short_repr(file)) for file in train + test]
  if image_size is None:
    sizes = {(header.width, header.height) for header in headers}
    shared = min(sizes.pop()) if len(sizes) == 1 else _MAX_DEFAULT_SIZE
    image_size = min(shared, _MAX_DEFAULT_SIZE)
  grey = all(header.grey for header in headers)

  def decode(files: list[Path]) -> UInt8[np.ndarray, "n h w c"]:
    return _decode(files, size=image_size, grey=grey)

  shape = (len(train), image_size, image_size, 1 if grey else 3)
  images = LazyImages(shape, lambda rows: decode([train[row] for row in rows]))
  return Dataset(path.resolve().name, images[:] if in_memory else images, decode(test))


def _find_split(path: Path) -> tuple[list[Path], list[Path]]:
  """Returns the files of the training images and those of the test images."""
  if (path / "train").is_dir() and (path / "test").is_dir():
    halves = (path / "train").resolve(), (path / "test").resolve()
    if halves[0].is_relative_to(halves[1]) or halves[1].is_relative_to(halves[0]):
      raise ValueError(
        f"train and test in {_checks.short_repr(path)} must be two folders, but share one."
      )
    return _find(path / "train"), _find(path / "test")
  files = _find(path)
  if len(files) < 2:
    raise ValueError(
      f"{_checks.short_repr(path)} holds one image; at least 2 are needed, "
      "one of them for the test set"
    )
  train, test = train_test_split(len(files), fraction=0.1)
  return [files[index] for index in train], [files[index] for index in test]


def _find(folder: Path) -> list[Path]:
  """Returns all image files below a folder, ordered by path."""

  def refuse(error: OSError) -> None:
    name = _checks.short_repr(Path(error.filename))
    raise ValueError(f"the folder {name} cannot be read: {error.strerror}") from error

  found, skipped = [], 0
  for parent, folders, files in os.walk(folder, onerror=refuse):
    folders[:] = [name for name in folders if not name.startswith(".")]
    for name in files:
      file = Path(parent, name)
      if name.startswith(".") or file.suffix.lower() not in _SUFFIXES:
        continue
      # Opening a pipe would block until some process writes to it.
      if stat.S_ISREG(file.lstat().st_mode):
        found.append(file)
      else:
        skipped += 1
  if not found:
    also = f" ({skipped} symbolic links or pipes skipped)" if skipped else ""
    raise ValueError(
      f"no images in {_checks.short_repr(folder)}{also}: {', '.join(sorted(_SUFFIXES))} are read"
    )
  return sorted(found, key=lambda file: file.relative_to(folder).as_posix())


def _decode(files: list[Path], *, size: int, grey: bool) -> UInt8[np.ndarray, "n s s c"]:
  images = np.empty((len(files), size, size, 1 if grey else 3), np.uint8)

  def decode(index: int) -> None:
    file = files[index]
    images[index] = imaging.decode(file, name=_checks.short_repr(file), size=size, grey=grey)

  # Threads help because Pillow releases the interpreter's lock while it decodes and resizes.
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for _ in pool.map(decode, range(len(files))):
      pass
  return images
