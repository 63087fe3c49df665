"""Small data sets in the published formats; nothing here touches the user's own folders."""

import dataclasses
import gzip
import hashlib
import struct
import tempfile

import numpy as np
import pytest

from aejax.data import idx


@pytest.fixture(autouse=True)
def prepared(tmp_path, monkeypatch):
  """Where this test's data sets are prepared."""
  folder = tmp_path / "prepared"
  monkeypatch.setenv("TFDS_DATA_DIR", str(folder))
  # A tensorflow-datasets builder makes a temporary folder that it forgets to remove.
  monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
  return folder


@dataclasses.dataclass
class SmallIdx:
  """An IDX data set: its recipe, its decompressed files, and what they say."""

  recipe: idx.Idx
  payloads: dict
  images: dict
  labels: dict

  def write(self, folder, *, compressed=True):
    folder.mkdir(exist_ok=True)
    for name, payload in self.payloads.items():
      if compressed:
        (folder / name).write_bytes(gzip.compress(payload))
      else:
        (folder / name.removesuffix(".gz")).write_bytes(payload)
    return folder


@pytest.fixture
def small_idx():
  generator = np.random.default_rng(0)
  sizes = {"train": 7, "test": 3}
  stems = {"train": "train", "test": "t10k"}
  images = {s: generator.integers(0, 256, (n, 28, 28, 1), np.uint8) for s, n in sizes.items()}
  labels = {s: generator.integers(0, 10, n, np.uint8) for s, n in sizes.items()}
  payloads = {}
  for split, n in sizes.items():
    header = struct.pack(">IIII", 0x00000803, n, 28, 28)
    payloads[f"{stems[split]}-images-idx3-ubyte.gz"] = header + images[split].tobytes()
    header = struct.pack(">II", 0x00000801, n)
    payloads[f"{stems[split]}-labels-idx1-ubyte.gz"] = header + labels[split].tobytes()
  recipe = dataclasses.replace(
    idx.MNIST,
    name="small",
    sizes=sizes,
    payloads={name: hashlib.sha256(payload).hexdigest() for name, payload in payloads.items()},
    downloads=(),
  )
  return SmallIdx(recipe, payloads, images, labels)
