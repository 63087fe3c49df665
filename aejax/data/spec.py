"""What a named data set is made of: its files, how they are recognised, how they are read."""

import abc
import dataclasses
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

__all__ = ["DatasetSpec", "Download", "file_sha256"]

Example = tuple[UInt8[np.ndarray, "h w c"], int | None]


@dataclasses.dataclass(frozen=True)
class Download:
  """A file as its authors publish it.

  Attributes:
    url: where it is fetched from.
    size: in bytes.
    sha256: of the file as downloaded.
  """

  url: str
  size: int
  sha256: str

  @property
  def filename(self) -> str:
    """The last part of the address."""
    return self.url.rpartition("/")[2]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetSpec(abc.ABC):
  """A named data set that is prepared once, without TensorFlow, for tensorflow-datasets to read.

  Everything that a file must satisfy is a field, so a test or a private mirror replaces just that:
  `dataclasses.replace(idx.MNIST, sizes=..., payloads=...)`.

  Attributes:
    name: as on the command line.
    description: one line on what the images show.
    homepage: where the authors describe it.
    image_shape: (height, width, channels) of the stored images.
    labels: names of the classes; empty where there are none.
    sizes: number of images of each split, `train` and `test`.
    downloads: the files to fetch; empty where they cannot be fetched by a program.
    folders: where operating systems' packages put the files.
    version: of what is stored; a change of content needs a new one.
  """

  name: str
  description: str
  homepage: str
  image_shape: tuple[int, int, int]
  labels: tuple[str, ...]
  sizes: Mapping[str, int]
  downloads: tuple[Download, ...] = ()
  folders: tuple[str, ...] = ()
  version: str = "1.0.0"

  @property
  def stored_name(self) -> str:
    """The prepared set's name; not the stock builder's, whose features and order differ."""
    return f"aejax_{self.name}"

  @property
  @abc.abstractmethod
  def wanted(self) -> str:
    """The files to put into a folder, in words."""

  @abc.abstractmethod
  def find(self, folder: Path) -> dict[str, Path] | None:
    """The files that `read` needs, by name, or None unless all of them are in the folder."""

  @abc.abstractmethod
  def read(self, files: Mapping[str, Path]) -> dict[str, Iterable[Example]]:
    """Verifies the files and returns the examples of each split.

    Args:
      files: paths by name, from `find`, or of the downloads by their file names.

    Raises:
      ValueError: if a file is damaged or not the one that was published.
    """


def file_sha256(path: str | os.PathLike[str]) -> str:
  """SHA-256 of a file's bytes, in hexadecimal."""
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()
