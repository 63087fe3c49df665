"""CIFAR-10, from its binary archive: records of one label byte and 3x32x32 pixels.

The Python archive is not read, because unpickling it could run any code that it holds.
"""

import dataclasses
import hashlib
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from aejax import _checks
from aejax.data.spec import DatasetSpec, Download, Example, file_sha256

__all__ = ["CIFAR10", "Cifar10"]

_FOLDER = "cifar-10-batches-bin"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cifar10(DatasetSpec):
  """CIFAR-10, or a data set in the same format.

  An archive with the SHA-256 that tensorflow-datasets registers is accepted as it is. In any other
  archive, and in an extracted folder, each file must have the MD5 that its authors publish.

  Attributes:
    batches: for each split, the names of its files and their MD5.
  """

  batches: Mapping[str, Mapping[str, str]]

  @property
  def required_files(self) -> str:
    """Name of the archive, and of the folder that it holds."""
    return f"{self.downloads[0].filename} (or the folder {_FOLDER} extracted from it)"

  def find(self, folder: Path) -> dict[str, Path] | None:
    """Finds the archive, or the files extracted from it."""
    archive = self.downloads[0].filename
    for path in (folder / archive, folder / archive.removesuffix(".gz")):
      if path.is_file():
        return {archive: path}
    names = [name for batches in self.batches.values() for name in batches]
    for inner in (folder / _FOLDER, folder):
      if all((inner / name).is_file() for name in names):
        return {name: inner / name for name in names}
    return None

  def read(self, files: Mapping[str, Path]) -> dict[str, Iterable[Example]]:
    """Reads the images and labels of both splits."""
    archive = files.get(self.downloads[0].filename)
    if archive is None:
      verified = False
      contents = {name: _read_batch(path, self._batch_bytes) for name, path in files.items()}
    else:
      verified = file_sha256(archive) == self.downloads[0].sha256
      contents = self._extract(archive)
    examples: dict[str, Iterable[Example]] = {}
    for split, batches in self.batches.items():
      for name, md5 in batches.items():
        where = archive or files[name]
        if len(contents[name]) != self._batch_bytes:
          raise ValueError(
            f"{where}: {name} must be {self._batch_bytes} bytes, but is shorter or longer"
          )
        digest = hashlib.md5(contents[name], usedforsecurity=False).hexdigest()
        if not verified and digest != md5:
          raise ValueError(f"{where}: {name} is not the published file: its MD5 is {digest}")
      records = np.frombuffer(b"".join(contents[name] for name in batches), np.uint8)
      records = records.reshape(self.sizes[split], -1)
      labels, pixels = records[:, 0], records[:, 1:]
      if labels.max() >= len(self.labels):
        raise ValueError(f"{archive or _FOLDER} holds the label {labels.max()}")
      height, width, channels = self.image_shape
      images = pixels.reshape(-1, channels, height, width).transpose(0, 2, 3, 1)
      examples[split] = zip(images, labels.tolist(), strict=True)
    return examples

  @property
  def _batch_bytes(self) -> int:
    """Size of each file in bytes."""
    height, width, channels = self.image_shape
    per_batch = self.sizes["test"] // len(self.batches["test"])
    return per_batch * (1 + height * width * channels)

  def _extract(self, archive: Path) -> dict[str, bytes]:
    """Reads the files of an archive in memory, so that no path in it is ever written to."""
    names = {name for batches in self.batches.values() for name in batches}
    contents: dict[str, bytes] = {}
    try:
      with tarfile.open(archive) as tar:
        for member in tar:
          name = member.name.rpartition("/")[2]
          if member.isfile() and name in names:
            file = tar.extractfile(member)
            assert file is not None, "a regular file has content"
            contents[name] = file.read(self._batch_bytes + 1)
    # tarfile and zlib raise nearly every built-in exception on damaged files.
    except Exception as error:
      raise ValueError(
        f"{_checks.short_repr(archive)} is truncated or damaged: {_checks.short_message(error)}"
      ) from error
    if missing := sorted(names - contents.keys()):
      raise ValueError(f"{archive} does not hold {', '.join(missing)}")
    return contents


def _read_batch(path: Path, size: int) -> bytes:
  with path.open("rb") as file:
    return file.read(size + 1)


CIFAR10 = Cifar10(
  name="cifar10",
  description="Photographs of ten kinds of animals and vehicles, 32x32 pixels, RGB",
  homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
  image_shape=(32, 32, 3),
  labels=(
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
  ),
  sizes={"train": 50_000, "test": 10_000},
  downloads=(
    Download(
      "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
      170_052_171,
      "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
  ),
  batches={
    "train": {
      "data_batch_1.bin": "5dd7e06a14cb22eb9f671a540d1b7c25",
      "data_batch_2.bin": "5ea93a67294ea407fff1d09f752e9692",
      "data_batch_3.bin": "942cd6a4bcdd0dd3c604fbe906cb4421",
      "data_batch_4.bin": "ae636b3ba5c66a11e91e8cb52e771fcb",
      "data_batch_5.bin": "53f37980c15c3d472c316c40844f3f0d",
    },
    "test": {"test_batch.bin": "803d5f7f4d78ea53de84dbe85f74fb6d"},
  },
)
