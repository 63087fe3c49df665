"""CelebA: 202,599 aligned photographs of faces, whose files have to be fetched by hand.

Stored as it is used: the central 140x140 pixels of 178x218, resized to 64x64 (see
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
  """CelebA's aligned and cropped faces, split as its authors split them.

  Training is their partition 0, the test set their partition 2; partition 1, for validation, is
  left out. Their `list_eval_partition.txt` is not needed: it holds nothing but these ranges of file
  numbers, train first and test last.

  Attributes:
    num_images: number of files, numbered from 1.
    sha256: of the archive. Extracted files have no published checksum: they must all be there, be
      JPEGs without error and measure 178x218 pixels.
  """

  num_images: int
  sha256: str

  @property
  def wanted(self) -> str:
    """The archive."""
    return f"{_ARCHIVE} (or the folder {_FOLDER} extracted from it)"

  def find(self, folder: Path) -> dict[str, Path] | None:
    """Finds the archive, or the folder extracted from it."""
    if (folder / _ARCHIVE).is_file():
      return {_ARCHIVE: folder / _ARCHIVE}
    for inner in (folder / _FOLDER / _FOLDER, folder / _FOLDER):
      if (inner / _filename(1)).is_file():
        return {_FOLDER: inner}
    return None

  def numbers(self, split: str) -> range:
    """The numbers of a split's files."""
    if split == "train":
      return range(1, self.sizes["train"] + 1)
    return range(self.num_images - self.sizes["test"] + 1, self.num_images + 1)

  def read(self, files: Mapping[str, Path]) -> dict[str, Iterable[Example]]:
    """Decodes the faces of both splits, as they are asked for."""
    if _ARCHIVE in files:
      path = files[_ARCHIVE]
      if (digest := file_sha256(path)) != self.sha256:
        raise ValueError(
          f"{path} is not the published archive: its SHA-256 is {digest}, not {self.sha256}; "
          f"if it is another packing of the same images, extract it as the folder {_FOLDER}"
        )
      opened = _opened_archive
    else:
      path = files[_FOLDER]
      opened = _opened_folder
    with opened(path) as images:
      present = set(images)
    names = {split: [_filename(number) for number in self.numbers(split)] for split in self.sizes}
    missing = sorted({name for part in names.values() for name in part} - present)
    if missing:
      raise ValueError(f"{path} lacks {len(missing)} images, the first of them {missing[0]}")
    size = self.image_shape[0]
    return {split: _decoded(opened, path, part, size) for split, part in names.items()}


# The content of each image by its file name, read when asked for.
_Images = Mapping[str, Callable[[], bytes]]


@contextlib.contextmanager
def _opened_archive(path: Path) -> Iterator[_Images]:
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
def _opened_folder(path: Path) -> Iterator[_Images]:
  yield {name: (path / name).read_bytes for name in os.listdir(path)}


def _decoded(
  opened: Callable[[Path], contextlib.AbstractContextManager[_Images]],
  path: Path,
  names: list[str],
  size: int,
) -> Iterator[Example]:
  def decode(name: str) -> Example:
    where = f"{path}: {name}"
    try:
      content = images[name]()
    # zipfile and zlib raise nearly every built-in exception on broken bytes.
    except Exception as error:
      raise ValueError(f"{where} is damaged: {_checks.short_message(error)}") from error
    header = imaging.read_header(io.BytesIO(content), name=where)
    if (header.width, header.height) != (_WIDTH, _HEIGHT):
      raise ValueError(
        f"{where} must measure {_WIDTH}x{_HEIGHT} pixels, not {header.width}x{header.height}"
      )
    return imaging.decode(io.BytesIO(content), name=where, size=size, crop=_CROP), None

  remaining = iter(names)
  with opened(path) as images, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    # In groups: an executor's map would otherwise decode ahead of the writing without bound.
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
