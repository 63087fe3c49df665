import dataclasses
import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from aejax import data
from aejax.data import idx
from aejax.data.prepare import load_tfds

IMAGES, LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def _check(dataset, small):
  for split in ("train", "test"):
    np.testing.assert_array_equal(getattr(dataset, split), small.images[split])
    np.testing.assert_array_equal(getattr(dataset, f"{split}_labels"), small.labels[split])


@pytest.mark.parametrize("compressed", [True, False])
def test_idx_reads_what_is_written(small_idx, tmp_path, compressed):
  folder = small_idx.write(tmp_path / "files", compressed=compressed)
  _check(load_tfds(small_idx.spec, data_dir=folder), small_idx)


def test_idx_reads_repacked_and_renamed_files(small_idx, tmp_path):
  folder = small_idx.write(tmp_path / "files")
  (folder / IMAGES).unlink()
  repacked = gzip.compress(small_idx.payloads[IMAGES], compresslevel=1, mtime=12345)
  (folder / "train-images.idx3-ubyte.gz").write_bytes(repacked)
  _check(load_tfds(small_idx.spec, data_dir=folder), small_idx)


def _idx(magic, *shape, tail=b""):
  count = int(np.prod(shape))
  return struct.pack(f">I{len(shape)}I", magic, *shape) + bytes(count) + tail


@pytest.mark.parametrize(
  ("name", "payload", "message"),
  [
    (IMAGES, _idx(0x00000803, 7, 28, 28), "is not the published train-images-idx3-ubyte: "),
    (IMAGES, _idx(0x00000801, 7, 28, 28), "not an IDX file of bytes in 3 dim.* 0x00000801, not"),
    (IMAGES, b"<html>", "not an IDX file of bytes in 3 dimensions: it begins with 0x3c68746d"),
    (IMAGES, b"", "not an IDX file"),
    (IMAGES, _idx(0x00000803, 6, 28, 28), r"must hold \[7, 28, 28\] .* but declares \[6, 28, 28\]"),
    (IMAGES, _idx(0x00000803, 7, 28, 28)[:-1], "in 5504 bytes, .* has 5503 bytes"),
    (IMAGES, _idx(0x00000803, 7, 28, 28, tail=bytes(9)), "has more than 5504 bytes"),
    (LABELS, _idx(0x00000803, 7, 28, 28), "not an IDX file of bytes in 1 dimensions"),
    (LABELS, _idx(0x00000801, 8), r"must hold \[7\]"),
  ],
)
def test_idx_rejects_other_files(small_idx, tmp_path, prepared, name, payload, message):
  folder = small_idx.write(tmp_path / "files")
  (folder / name).write_bytes(gzip.compress(payload))
  with pytest.raises(ValueError, match=f"{folder / name} .*{message}"):
    load_tfds(small_idx.spec, data_dir=folder)
  assert not (prepared / "aejax_small" / "1.0.0").exists()


@pytest.mark.parametrize(
  "damage",
  [
    lambda content: content[:-20],
    lambda content: content[:5],
    lambda content: content[:500] + bytes(50) + content[550:],
    lambda content: b"PK" + content[2:],
  ],
)
def test_idx_rejects_damaged_gzip(small_idx, tmp_path, damage):
  folder = small_idx.write(tmp_path / "files")
  (folder / IMAGES).write_bytes(damage((folder / IMAGES).read_bytes()))
  with pytest.raises(ValueError, match=f"{folder / IMAGES} is truncated or damaged"):
    load_tfds(small_idx.spec, data_dir=folder)


def test_idx_rejects_labels_out_of_range(small_idx, tmp_path):
  payload = struct.pack(">II", 0x00000801, 7) + bytes([0, 1, 2, 3, 4, 5, 10])
  digest = hashlib.sha256(payload).hexdigest()
  folder = small_idx.write(tmp_path / "files")
  (folder / LABELS).write_bytes(gzip.compress(payload))
  spec = small_idx.spec
  checksums = {**spec.payload_sha256, LABELS: digest}
  spec = dataclasses.replace(spec, payload_sha256=checksums)
  with pytest.raises(ValueError, match="holds the label 10"):
    load_tfds(spec, data_dir=folder)


def test_idx_downloads_are_those_of_tensorflow_datasets():
  import tensorflow_datasets as tfds

  folder = Path(tfds.__file__).parent / "url_checksums"
  for spec in (idx.MNIST, idx.FASHION_MNIST):
    lines = (folder / f"{spec.name}.txt").read_text().splitlines()
    registered = {tuple(line.split("\t")) for line in lines}
    stated = {(f.url, str(f.size), f.sha256, f.filename) for f in spec.downloads}
    assert stated == registered
    assert spec.payload_sha256.keys() == {file.filename for file in spec.downloads}


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_fashion_mnist_of_debian():
  dataset = data.load("fashion_mnist")
  assert dataset.train.shape == (60_000, 28, 28, 1)
  assert dataset.test.shape == (10_000, 28, 28, 1)
  # The ten classes have the same size.
  np.testing.assert_array_equal(np.bincount(dataset.train_labels), 6000)
  np.testing.assert_array_equal(np.bincount(dataset.test_labels), 1000)
  # The images are the published ones, in the published order.
  content = gzip.decompress((DEBIAN / "t10k-images-idx3-ubyte.gz").read_bytes())
  assert dataset.test.tobytes() == content[16:]
  content = gzip.decompress((DEBIAN / LABELS).read_bytes())
  np.testing.assert_array_equal(dataset.train_labels, np.frombuffer(content, np.uint8, offset=8))


@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_fashion_mnist_of_debian_with_a_flipped_pixel(tmp_path):
  for source in DEBIAN.iterdir():
    (tmp_path / source.name).symlink_to(source)
  name = "t10k-images-idx3-ubyte.gz"
  content = bytearray(gzip.decompress((DEBIAN / name).read_bytes()))
  content[5000] ^= 1
  (tmp_path / name).unlink()
  (tmp_path / name.removesuffix(".gz")).write_bytes(content)
  with pytest.raises(ValueError, match="is not the published t10k-images-idx3-ubyte"):
    data.load("fashion_mnist", data_dir=tmp_path)
