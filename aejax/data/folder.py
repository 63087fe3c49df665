"""The user's own images as files in a folder."""

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
_DEFAULT_SIZE = 64


def load_folder(
  path: str | os.PathLike[str], *, image_size: int | None = None, in_memory: bool = True
) -> Dataset:
  """Loads every image under a folder, centre-cropped to a square and resized.

  If the folder has sub-folders `train` and `test`, they are the split, and nothing else in it is
  read; otherwise all images below it are one set, of which a fixed random 10 % is held out as the
  test set. Images are taken in the order of their paths. They become grey if every one of them is
  stored as grey, RGB otherwise. Hidden files are passed over, and so are pipes, and symbolic
  links: one that leads to an image elsewhere could put the same picture into both halves.

  Args:
    path: the folder.
    image_size: side of the images in pixels. By default 64, or the images' own size where all
      share one and its shorter side is smaller than that.
    in_memory: decode all training images now, or each when it is asked for.

  Raises:
    ValueError: if there are fewer than two images, or one cannot be decoded.
  """
  path = Path(path)
  if (path / "train").is_dir() and (path / "test").is_dir():
    halves = (path / "train").resolve(), (path / "test").resolve()
    if halves[0].is_relative_to(halves[1]) or halves[1].is_relative_to(halves[0]):
      raise ValueError(
        f"train and test in {_checks.short_repr(path)} must be two folders, but share one."
      )
    train, test = _find(path / "train"), _find(path / "test")
  else:
    files = _find(path)
    if len(files) < 2:
      raise ValueError(
        f"{_checks.short_repr(path)} holds one image; at least 2 are needed, one of them for the test set"
      )
    train, test = (
      [files[i] for i in indices] for indices in train_test_split(len(files), fraction=0.1)
    )

  headers = [imaging.read_header(file, name=_checks.short_repr(file)) for file in train + test]
  if image_size is None:
    sizes = {(header.width, header.height) for header in headers}
    shared = min(sizes.pop()) if len(sizes) == 1 else _DEFAULT_SIZE
    image_size = min(shared, _DEFAULT_SIZE)
  grey = all(header.grey for header in headers)

  def decode(files: list[Path]) -> UInt8[np.ndarray, "n h w c"]:
    return _decode(files, size=image_size, grey=grey)

  shape = (len(train), image_size, image_size, 1 if grey else 3)
  stored = LazyImages(shape, lambda rows: decode([train[row] for row in rows]))
  return Dataset(path.resolve().name, stored[:] if in_memory else stored, decode(test))


def _find(folder: Path) -> list[Path]:
  """All image files below a folder, in the order of their paths."""

  def refuse(error: OSError) -> None:
    where = _checks.short_repr(Path(error.filename))
    raise ValueError(f"the folder {where} cannot be read: {error.strerror}") from error

  found, others = [], 0
  for parent, folders, files in os.walk(folder, onerror=refuse):
    folders[:] = [name for name in folders if not name.startswith(".")]
    for name in files:
      file = Path(parent, name)
      if name.startswith(".") or file.suffix.lower() not in _SUFFIXES:
        continue
      # Of all else that has a name, a pipe is the worst: to open it waits for a writer for ever.
      if stat.S_ISREG(file.lstat().st_mode):
        found.append(file)
      else:
        others += 1
  if not found:
    passed_over = f" ({others} symbolic links or pipes passed over)" if others else ""
    raise ValueError(
      f"no images in {_checks.short_repr(folder)}{passed_over}: {', '.join(sorted(_SUFFIXES))} are read"
    )
  return sorted(found, key=lambda file: file.relative_to(folder).as_posix())


def _decode(files: list[Path], *, size: int, grey: bool) -> UInt8[np.ndarray, "n s s c"]:
  images = np.empty((len(files), size, size, 1 if grey else 3), np.uint8)

  def decode(index: int) -> None:
    file = files[index]
    images[index] = imaging.decode(file, name=_checks.short_repr(file), size=size, grey=grey)

  # Pillow decodes and resizes outside the interpreter's lock.
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    for _ in pool.map(decode, range(len(files))):
      pass
  return images
