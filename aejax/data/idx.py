"""MNIST and Fashion-MNIST: four gzipped files in LeCun's IDX format.

Files are verified by the SHA-256 of their *decompressed* content, because repackagers normalise the
headers of gzip. The checksums of Fashion-MNIST were computed from Debian's copy
(dataset-fashion-mnist). Those of MNIST are the ones that many projects publish, next to the
checksums of the .gz files that tensorflow-datasets registers.
"""

import dataclasses
import gzip
import hashlib
import math
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from aejax.data.spec import DatasetSpec, Download, Example

__all__ = ["FASHION_MNIST", "MNIST", "Idx"]

_FILES = {
  "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
  "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}
# In the magic number, the third byte 0x08 means unsigned bytes; the fourth is the number of
# dimensions.
_MAGIC = {3: 0x00000803, 1: 0x00000801}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Idx(DatasetSpec):
  """A data set of the MNIST family.

  Attributes:
    payload_sha256: SHA-256 of each decompressed file, by the name of the compressed one.
  """

  payload_sha256: Mapping[str, str]

  @property
  def required_files(self) -> str:
    """Names of the four files."""
    return f"{', '.join(name for names in _FILES.values() for name in names)} (or decompressed)"

  def find(self, folder: Path) -> dict[str, Path] | None:
    """Finds the four files, gzipped or not, also under names like `train-images.idx3-ubyte`."""
    found = {}
    for name in (name for names in _FILES.values() for name in names):
      plain = name.removesuffix(".gz")
      dotted = plain.replace("-idx", ".idx")
      paths = (folder / spelling for spelling in (name, plain, f"{dotted}.gz", dotted))
      path = next((path for path in paths if path.is_file()), None)
      if path is None:
        return None
      found[name] = path
    return found

  def read(self, files: Mapping[str, Path]) -> dict[str, Iterable[Example]]:
    """Reads the images and labels of both splits."""
    examples: dict[str, Iterable[Example]] = {}
    for split, (images_name, labels_name) in _FILES.items():
      shape = (self.sizes[split], *self.image_shape[:2])
      images = self._read(files[images_name], images_name, shape).reshape(-1, *self.image_shape)
      labels = self._read(files[labels_name], labels_name, shape[:1])
      if labels.max() >= len(self.labels):
        raise ValueError(f"{files[labels_name]} holds the label {labels.max()}")
      examples[split] = zip(images, labels.tolist(), strict=True)
    return examples

  def _read(self, path: Path, name: str, shape: tuple[int, ...]) -> UInt8[np.ndarray, "..."]:
    header = 4 + 4 * len(shape)
    size = header + math.prod(shape)
    try:
      with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        # One extra byte shows that a file is too long, without reading all of it.
        payload = file.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
      raise ValueError(f"{path} is truncated or damaged: {error}") from error
    magic = int.from_bytes(payload[:4], "big")
    if magic != _MAGIC[len(shape)]:
      raise ValueError(
        f"{path} is not an IDX file of bytes in {len(shape)} dimensions: "
        f"it begins with {magic:#010x}, not {_MAGIC[len(shape)]:#010x}"
      )
    found = tuple(np.frombuffer(payload[4:header], ">u4").tolist())
    if found != shape or len(payload) != size:
      length = f"{len(payload)}" if len(payload) <= size else f"more than {size}"
      raise ValueError(
        f"{path} must hold {list(shape)} in {size} bytes, "
        f"but declares {list(found)} and has {length} bytes"
      )
    if (digest := hashlib.sha256(payload).hexdigest()) != self.payload_sha256[name]:
      raise ValueError(
        f"{path} is not the published {name.removesuffix('.gz')}: its content's SHA-256 is "
        f"{digest}, not {self.payload_sha256[name]}"
      )
    return np.frombuffer(payload, np.uint8, offset=header).reshape(shape)


def _downloads(root: str, *files: tuple[str, int, str]) -> tuple[Download, ...]:
  return tuple(Download(root + name, size, sha256) for name, size, sha256 in files)


MNIST = Idx(
  name="mnist",
  description="Handwritten digits, 28x28 pixels, grey",
  homepage="http://yann.lecun.com/exdb/mnist/",
  image_shape=(28, 28, 1),
  labels=tuple("0123456789"),
  sizes={"train": 60_000, "test": 10_000},
  downloads=_downloads(
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    (
      "train-images-idx3-ubyte.gz",
      9_912_422,
      "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    (
      "train-labels-idx1-ubyte.gz",
      28_881,
      "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    (
      "t10k-images-idx3-ubyte.gz",
      1_648_877,
      "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    (
      "t10k-labels-idx1-ubyte.gz",
      4_542,
      "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
  ),
  payload_sha256={
    "train-images-idx3-ubyte.gz": (
      "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    "train-labels-idx1-ubyte.gz": (
      "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    "t10k-images-idx3-ubyte.gz": (
      "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    "t10k-labels-idx1-ubyte.gz": (
      "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
  },
)

FASHION_MNIST = Idx(
  name="fashion_mnist",
  description="Zalando's articles of clothing, 28x28 pixels, grey",
  homepage="https://github.com/zalandoresearch/fashion-mnist",
  image_shape=(28, 28, 1),
  labels=(
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
  ),
  sizes={"train": 60_000, "test": 10_000},
  downloads=_downloads(
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    (
      "train-images-idx3-ubyte.gz",
      26_421_880,
      "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    ),
    (
      "train-labels-idx1-ubyte.gz",
      29_515,
      "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    ),
    (
      "t10k-images-idx3-ubyte.gz",
      4_422_102,
      "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    ),
    (
      "t10k-labels-idx1-ubyte.gz",
      5_148,
      "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
  ),
  folders=("/usr/share/datasets/fashion-mnist",),
  payload_sha256={
    "train-images-idx3-ubyte.gz": (
      "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
    ),
    "train-labels-idx1-ubyte.gz": (
      "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
    ),
    "t10k-images-idx3-ubyte.gz": (
      "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
    ),
    "t10k-labels-idx1-ubyte.gz": (
      "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
    ),
  },
)
