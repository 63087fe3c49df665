import dataclasses
import hashlib
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from aejax.data.cifar10 import CIFAR10
from aejax.data.prepare import load_tfds
from aejax.data.spec import file_sha256

ARCHIVE, FOLDER = "cifar-10-binary.tar.gz", "cifar-10-batches-bin"


@pytest.fixture
def batches():
  """Two training batches and one test batch, of three records each."""
  generator = np.random.default_rng(0)

  def batch():
    records = generator.integers(0, 256, (3, 3073), np.uint8)
    records[:, 0] %= 10
    return records.tobytes()

  return {name: batch() for name in ("data_batch_1.bin", "data_batch_2.bin", "test_batch.bin")}


@pytest.fixture
def spec(batches):
  digests = {name: hashlib.md5(content).hexdigest() for name, content in batches.items()}
  test = {"test_batch.bin": digests.pop("test_batch.bin")}
  return dataclasses.replace(
    CIFAR10, sizes={"train": 6, "test": 3}, batches={"train": digests, "test": test}
  )


def _archive(path, batches):
  with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as tar:
    for name, content in batches.items():
      member = tarfile.TarInfo(f"{FOLDER}/{name}")
      member.size = len(content)
      tar.addfile(member, io.BytesIO(content))
  return path


def _check(dataset, batches):
  train = batches["data_batch_1.bin"] + batches["data_batch_2.bin"]
  for images, labels, content in (
    (dataset.train, dataset.train_labels, train),
    (dataset.test, dataset.test_labels, batches["test_batch.bin"]),
  ):
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
      record = content[3073 * index : 3073 * (index + 1)]
      assert label == record[0]
      # A record holds the red, green and blue planes, each row by row.
      assert image.shape == (32, 32, 3)
      assert image[1, 2].tolist() == [record[1 + 1024 * c + 34] for c in range(3)]
      assert image.transpose(2, 0, 1).tobytes() == record[1:]


@pytest.mark.parametrize("name", [ARCHIVE, "cifar-10-binary.tar"])
def test_cifar10_reads_archive(spec, batches, tmp_path, name):
  _archive(tmp_path / name, batches)
  _check(load_tfds(spec, data_dir=tmp_path), batches)


def test_cifar10_reads_extracted_folder(spec, batches, tmp_path):
  (tmp_path / FOLDER).mkdir()
  for name, content in batches.items():
    (tmp_path / FOLDER / name).write_bytes(content)
  _check(load_tfds(spec, data_dir=tmp_path), batches)


def test_cifar10_accepts_the_published_archive_without_md5(spec, batches, tmp_path):
  path = _archive(tmp_path / ARCHIVE, batches)
  unknown = {split: dict.fromkeys(names, "") for split, names in spec.batches.items()}
  spec = dataclasses.replace(spec, batches=unknown)
  with pytest.raises(ValueError, match="is not the published file"):
    load_tfds(spec, data_dir=tmp_path)
  published = dataclasses.replace(spec.downloads[0], sha256=file_sha256(path))
  spec = dataclasses.replace(spec, downloads=(published,))
  _check(load_tfds(spec, data_dir=tmp_path), batches)


@pytest.mark.parametrize(
  ("change", "message"),
  [
    (lambda b: b.update({"test_batch.bin": bytes(3 * 3073)}), "test_batch.bin is not the publ"),
    (lambda b: b.update({"test_batch.bin": bytes(3073)}), "test_batch.bin must be 9219 bytes"),
    (lambda b: b.update({"data_batch_1.bin": bytes(4 * 3073)}), "data_batch_1.bin must be 9219"),
    (lambda b: b.pop("data_batch_2.bin"), "does not hold data_batch_2.bin"),
  ],
)
def test_cifar10_rejects_other_archives(spec, batches, tmp_path, change, message):
  change(batches)
  path = _archive(tmp_path / ARCHIVE, batches)
  with pytest.raises(ValueError, match=f"{path}.*{message}"):
    load_tfds(spec, data_dir=tmp_path)


@pytest.mark.parametrize("keep", [0, 100, 5000, 20_000])
def test_cifar10_rejects_truncated_archives(spec, batches, tmp_path, keep):
  path = _archive(tmp_path / ARCHIVE, batches)
  path.write_bytes(path.read_bytes()[:keep])
  with pytest.raises(ValueError, match=f"{path} (is truncated or damaged|does not hold)"):
    load_tfds(spec, data_dir=tmp_path)


def test_cifar10_rejects_labels_out_of_range(spec, batches, tmp_path):
  content = bytes([10]) + batches["test_batch.bin"][1:]
  batches["test_batch.bin"] = content
  _archive(tmp_path / ARCHIVE, batches)
  test = {"test_batch.bin": hashlib.md5(content).hexdigest()}
  spec = dataclasses.replace(spec, batches={**spec.batches, "test": test})
  with pytest.raises(ValueError, match="holds the label 10"):
    load_tfds(spec, data_dir=tmp_path)


def test_cifar10_download_is_that_of_tensorflow_datasets():
  import tensorflow_datasets as tfds

  path = Path(tfds.__file__).parent / "url_checksums" / "cifar10.txt"
  (file,) = CIFAR10.downloads
  assert path.read_text().split() == [file.url, str(file.size), file.sha256, file.filename]
