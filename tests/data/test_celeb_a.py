import dataclasses
import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aejax.data.celeb_a import CELEB_A
from aejax.data.prepare import load_tfds
from aejax.data.spec import file_sha256


def _jpeg(level, size=(178, 218)):
  """Returns a JPEG of one grey level, framed in white just outside the central 140x140 pixels."""
  pixels = np.full((size[1], size[0], 3), 255, np.uint8)
  pixels[39:-39, 19:-19] = level
  file = io.BytesIO()
  Image.fromarray(pixels).save(file, "JPEG", quality=100, subsampling=0)
  return file.getvalue()


@pytest.fixture
def faces():
  """Seven faces; number n has the grey level 20 n."""
  return {f"{number:06d}.jpg": _jpeg(20 * number) for number in range(1, 8)}


def _archive(folder, faces):
  """Writes the archive and returns its spec: 3 training, 2 validation and 2 test faces."""
  path = folder / "img_align_celeba.zip"
  with zipfile.ZipFile(path, "w") as archive:
    archive.writestr("img_align_celeba/", "")
    for name, content in faces.items():
      archive.writestr(f"img_align_celeba/{name}", content)
  return dataclasses.replace(
    CELEB_A, sizes={"train": 3, "test": 2}, num_images=7, sha256=file_sha256(path)
  )


def _check(dataset):
  assert dataset.image_shape == (64, 64, 3)
  assert dataset.train_labels is None
  # JPEG's blocks at the border hold a part of the frame, which rings a few levels into the crop.
  middle = slice(16, 48)
  for images, numbers in ((dataset.train, (1, 2, 3)), (dataset.test, (6, 7))):
    for image, number in zip(images, numbers, strict=True):
      np.testing.assert_allclose(image[middle, middle], 20.0 * number, atol=1)
      # A crop that is off by one pixel would change the border by 255 / 140 * 64 levels or more.
      np.testing.assert_allclose(image, 20.0 * number, atol=40)


def test_celeb_a_reads_archive(tmp_path, faces):
  _check(load_tfds(_archive(tmp_path, faces), data_dir=tmp_path))


@pytest.mark.parametrize("inner", ["img_align_celeba", "img_align_celeba/img_align_celeba"])
def test_celeb_a_reads_extracted_folder(tmp_path, faces, inner):
  spec = _archive(tmp_path, faces)
  (tmp_path / "img_align_celeba.zip").unlink()
  (tmp_path / inner).mkdir(parents=True)
  for name, content in faces.items():
    (tmp_path / inner / name).write_bytes(content)
  _check(load_tfds(spec, data_dir=tmp_path))


def test_celeb_a_rejects_another_archive(tmp_path, faces):
  spec = dataclasses.replace(_archive(tmp_path, faces), sha256="0" * 64)
  with pytest.raises(ValueError, match="is not the published archive: its SHA-256 is"):
    load_tfds(spec, data_dir=tmp_path)


def test_celeb_a_counts_missing_faces(tmp_path, faces):
  del faces["000002.jpg"], faces["000007.jpg"]
  spec = _archive(tmp_path, faces)
  with pytest.raises(ValueError, match=r"lacks 2 images; the first is 000002\.jpg"):
    load_tfds(spec, data_dir=tmp_path)


def test_celeb_a_ignores_validation_faces(tmp_path, faces):
  del faces["000004.jpg"]
  _check(load_tfds(_archive(tmp_path, faces), data_dir=tmp_path))


@pytest.mark.parametrize(
  ("content", "message"),
  [
    (_jpeg(9, size=(178, 217)), "must measure 178x218 pixels, not 178x217"),
    (_jpeg(9)[:900], "cannot be read as an image"),
    (b"", "cannot be read as an image"),
  ],
)
def test_celeb_a_rejects_bad_faces(tmp_path, prepared, faces, content, message):
  faces["000006.jpg"] = content
  spec = _archive(tmp_path, faces)
  with pytest.raises(ValueError, match=rf"000006\.jpg {message}"):
    load_tfds(spec, data_dir=tmp_path)
  assert not list((prepared / "aejax_celeb_a").iterdir())


def test_celeb_a_rejects_damaged_archives(tmp_path, faces):
  path = tmp_path / "img_align_celeba.zip"
  spec = _archive(tmp_path, faces)
  content = path.read_bytes()
  path.write_bytes(content[:-100])
  with pytest.raises(ValueError, match="is truncated or damaged"):
    load_tfds(dataclasses.replace(spec, sha256=file_sha256(path)), data_dir=tmp_path)
  flipped = bytearray(content)
  flipped[content.index(faces["000006.jpg"]) + 700] ^= 0xFF
  path.write_bytes(flipped)
  with pytest.raises(ValueError, match=r"000006\.jpg is damaged: Bad CRC-32"):
    load_tfds(dataclasses.replace(spec, sha256=file_sha256(path)), data_dir=tmp_path)


def test_celeb_a_split_is_the_published_one():
  # Rebuild list_eval_partition.txt; tensorflow-datasets registers its SHA-256.
  partition = {number: 1 for number in range(1, CELEB_A.num_images + 1)}
  partition |= dict.fromkeys(CELEB_A.file_numbers("train"), 0)
  partition |= dict.fromkeys(CELEB_A.file_numbers("test"), 2)
  text = "".join(f"{number:06d}.jpg {part}\r\n" for number, part in partition.items())
  assert (
    hashlib.sha256(text.encode()).hexdigest()
    == "fc955bcb3ef8fbdf7d5640d9a8693a8431b5f2ee291a5c1449a1549e7e073fe7"
  )


def test_celeb_a_checksum_is_that_of_tensorflow_datasets():
  import tensorflow_datasets as tfds

  path = Path(tfds.__file__).parent / "datasets" / "celeb_a" / "checksums.tsv"
  rows = [line.split("\t") for line in path.read_text().splitlines()]
  assert {row[3]: row[2] for row in rows}["img_align_celeba.zip"] == CELEB_A.sha256
