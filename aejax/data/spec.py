"""Specification of a named data set: its files, how to find them, and how to read them."""

import abc
import dataclasses
import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

__all__ = ["DatasetSpec", "Download", "Example", "file_sha256"]

# An image and its label, or None if the data set has no classes.
Example = tuple[UInt8[np.ndarray, "h w c"], int | None]


@dataclasses.dataclass(frozen=True)
class Download:
  """A file as its authors publish it.

  Attributes:
    url: address to download it from.
    size: size in bytes.
    sha256: SHA-256 of the downloaded file, in hexadecimal.
  """

  url: str
  size: int
  sha256: str

  @property
  def filename(self) -> str:
    """Last part of the address."""
    return self.url.rpartition("/")[2]


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetSpec(abc.ABC):
  """A named data set that tensorflow-datasets stores and reads, without TensorFlow.

  All facts that the files are checked against are fields, so a test or a private mirror replaces
  only what differs: `dataclasses.replace(idx.MNIST, sizes=..., payload_sha256=...)`.

  Attributes:
    name: name on the command line.
    description: one line about the images.
    homepage: address where the authors describe the data set.
    image_shape: the tuple (height, width, channels) of the stored images.
    labels: names of the classes; empty if there are none.
    sizes: number of images in each split, `train` and `test`.
    downloads: files to download; empty if a program cannot download them.
    folders: folders in which packages of operating systems install the files.
    version: version of the stored data; a change of content needs a new one.
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
    """Name of the prepared data set.

    It differs from that of tensorflow-datasets' builder, which stores other features in another
    order.
    """
    return f"aejax_{self.name}"

  @property
  @abc.abstractmethod
  def required_files(self) -> str:
    """Names of the files to put into a folder, in words."""

  @abc.abstractmethod
  def find(self, folder: Path) -> dict[str, Path] | None:
    """Returns the files that `read` needs, by name, or None if one is not in the folder."""

  @abc.abstractmethod
  def read(self, files: Mapping[str, Path]) -> dict[str, Iterable[Example]]:
    """Verifies the files and returns the examples of each split.

    Args:
      files: paths by name, as `find` returns them, or downloaded files by their `filename`.

    Raises:
      ValueError: if a file is damaged or is not the published one.
    """


def file_sha256(path: str | os.PathLike[str]) -> str:
  """Returns the SHA-256 of a file, in hexadecimal."""
  with open(path, "rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()
