"""Fixtures: small data sets in the published formats, prepared in temporary folders."""

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
  """Folder in which this test prepares data sets."""
  folder = tmp_path / "prepared"
  monkeypatch.setenv("TFDS_DATA_DIR", str(folder))
  # A tensorflow-datasets builder leaves a temporary folder behind.
  monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
  return folder


@dataclasses.dataclass
class SmallIdx:
  """An IDX data set: its spec, the content of its decompressed files, its images and labels."""

  spec: idx.Idx
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
  spec = dataclasses.replace(
    idx.MNIST,
    name="small",
    sizes=sizes,
    payload_sha256={
      name: hashlib.sha256(payload).hexdigest() for name, payload in payloads.items()
    },
    downloads=(),
  )
  return SmallIdx(spec, payloads, images, labels)
