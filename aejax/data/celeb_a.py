"""CelebA: 202,599 aligned photographs of faces, whose files must be downloaded by hand.

The prepared data set holds the central 140x140 pixels of each 178x218 image, resized to 64x64 (see
`aejax.data.images` for the filter).
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import io
import itertools
import os
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from aejax import _checks
from aejax.data import images as imaging
from aejax.data.spec import DatasetSpec, Example, file_sha256

__all__ = ["CELEB_A", "CelebA"]

_ARCHIVE = "img_align_celeba.zip"
_FOLDER = "img_align_celeba"
_CROP = 140
_WIDTH, _HEIGHT = 178, 218


@dataclasses.dataclass(frozen=True, kw_only=True)
class CelebA(DatasetSpec):
  """The aligned and cropped faces of CelebA, with the split of its authors.

  The training set is partition 0 of the authors, the test set is partition 2. Partition 1, for
  validation, is left out. The partitions are ranges of file numbers, the training set first and the
  test set last, so `list_eval_partition.txt` is not needed.

  Attributes:
    num_images: number of files; their names count from 1.
    sha256: SHA-256 of the archive. Extracted files have no published checksum: all must be present,
      decode without error and measure 178x218 pixels.
  """

  num_images: int
  sha256: str

  @property
  def required_files(self) -> str:
    """Name of the archive, and of the folder that it holds."""
    return f"{_ARCHIVE} (or the folder {_FOLDER} extracted from it)"

  def find(self, folder: Path) -> dict[str, Path] | None:
    """Finds the archive, or the folder extracted from it."""
    if (folder / _ARCHIVE).is_file():
      return {_ARCHIVE: folder / _ARCHIVE}
    for inner in (folder / _FOLDER / _FOLDER, folder / _FOLDER):
      if (inner / _filename(1)).is_file():
        return {_FOLDER: inner}
    return None

  def file_numbers(self, split: str) -> range:
    """Returns the numbers of the files of a split."""
    if split == "train":
      return range(1, self.sizes["train"] + 1)
    return range(self.num_images - self.sizes["test"] + 1, self.num_images + 1)

  def read(self, files: Mapping[str, Path]) -> dict[str, Iterable[Example]]:
    """Returns iterators that decode the faces of both splits, in the order of their numbers."""
    if _ARCHIVE in files:
      path = files[_ARCHIVE]
      if (digest := file_sha256(path)) != self.sha256:
        raise ValueError(
          f"{path} is not the published archive: its SHA-256 is {digest}, not {self.sha256}; "
          f"if it packs the same images differently, extract it as the folder {_FOLDER}"
        )
      open_images = _open_archive
    else:
      path = files[_FOLDER]
      open_images = _open_folder
    with open_images(path) as images:
      present = set(images)
    names = {
      split: [_filename(number) for number in self.file_numbers(split)] for split in self.sizes
    }
    missing = sorted({name for part in names.values() for name in part} - present)
    if missing:
      raise ValueError(f"{path} lacks {len(missing)} images; the first is {missing[0]}")
    size = self.image_shape[0]
    return {split: _decode(open_images, path, part, size) for split, part in names.items()}


# Functions that read the content of each image, by file name.
_Images = Mapping[str, Callable[[], bytes]]


@contextlib.contextmanager
def _open_archive(path: Path) -> Iterator[_Images]:
  try:
    archive = zipfile.ZipFile(path)
  except Exception as error:
    raise ValueError(
      f"{_checks.short_repr(path)} is truncated or damaged: {_checks.short_message(error)}"
    ) from error
  with archive:
    yield {
      member.rpartition("/")[2]: functools.partial(archive.read, member)
      for member in archive.namelist()
    }


@contextlib.contextmanager
def _open_folder(path: Path) -> Iterator[_Images]:
  yield {name: (path / name).read_bytes for name in os.listdir(path)}


def _decode(
  open_images: Callable[[Path], contextlib.AbstractContextManager[_Images]],
  path: Path,
  names: list[str],
  size: int,
) -> Iterator[Example]:
  def decode(name: str) -> Example:
    full_name = f"{path}: {name}"
    try:
      content = images[name]()
    # zipfile and zlib raise nearly every built-in exception on damaged files.
    except Exception as error:
      raise ValueError(f"{full_name} is damaged: {_checks.short_message(error)}") from error
    header = imaging.read_header(io.BytesIO(content), name=full_name)
    if (header.width, header.height) != (_WIDTH, _HEIGHT):
      raise ValueError(
        f"{full_name} must measure {_WIDTH}x{_HEIGHT} pixels, not {header.width}x{header.height}"
      )
    return imaging.decode(io.BytesIO(content), name=full_name, size=size, crop=_CROP), None

  remaining = iter(names)
  with open_images(path) as images, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    # Executor.map submits its whole input at once, so without groups decoded images would pile up
    # in memory faster than they are written.
    while group := list(itertools.islice(remaining, 1024)):
      yield from pool.map(decode, group)


def _filename(number: int) -> str:
  return f"{number:06d}.jpg"


CELEB_A = CelebA(
  name="celeb_a",
  description="Aligned photographs of celebrities' faces, 64x64 pixels, RGB",
  homepage="http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html",
  image_shape=(64, 64, 3),
  labels=(),
  sizes={"train": 162_770, "test": 19_962},
  num_images=202_599,
  sha256="46fb89443c578308acf364d7d379fe1b9efb793042c0af734b6112e4fd3a8c74",
)
