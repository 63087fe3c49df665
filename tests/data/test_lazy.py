import numpy as np
import pytest
from PIL import Image

from aejax import data
from aejax.data import LazyImages, prepare


@pytest.fixture
def npy(tmp_path):
  images = np.random.default_rng(0).integers(0, 256, (20, 6, 6, 3), np.uint8)
  path = tmp_path / "faces.npy"
  np.save(path, images)
  return path


@pytest.fixture
def folder(tmp_path):
  folder = tmp_path / "faces"
  folder.mkdir()
  generator = np.random.default_rng(0)
  for index in range(20):
    image = generator.integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(image).save(folder / f"{index:02}.png")
  return folder


@pytest.mark.parametrize("kind", ["npy", "folder"])
@pytest.mark.parametrize("image_size", [None, 4])
def test_lazy_images_equal_images_in_memory(kind, image_size, request):
  path = request.getfixturevalue(kind)
  expected = data.load(path, image_size=image_size)
  found = data.load(path, image_size=image_size, in_memory=False)
  assert isinstance(found.train, LazyImages)
  assert repr(found) == repr(expected)
  assert found.train.size == expected.train.size
  for rows in (
    slice(0, 18),
    slice(3, 7),
    slice(12, 99),
    slice(2, 9, 3),
    slice(5, 5),
    slice(None, None, -2),
  ):
    np.testing.assert_array_equal(found.train[rows], expected.train[rows])
  np.testing.assert_array_equal(np.asarray(found.train), expected.train)
  np.testing.assert_array_equal(found.test, expected.test)


def test_load_tfds_reads_lazily(small_idx, tmp_path, monkeypatch):
  # Read both within one chunk and across chunks.
  monkeypatch.setattr(prepare, "_CHUNK", 2)
  files = small_idx.write(tmp_path / "files")
  found = prepare.load_tfds(small_idx.spec, data_dir=files, in_memory=False)
  assert isinstance(found.train, LazyImages)
  assert found.train_labels is None
  np.testing.assert_array_equal(found.train[2:7], small_idx.images["train"][2:7])
  np.testing.assert_array_equal(np.asarray(found.train), small_idx.images["train"])
  np.testing.assert_array_equal(found.test_labels, small_idx.labels["test"])


def test_lazy_images_decode_only_the_slice(folder):
  lazy = data.load(folder, in_memory=False).train
  for file in sorted(folder.iterdir())[:10]:
    file.write_bytes(file.read_bytes()[:60])
  assert lazy[12:].shape == (6, 8, 8, 3)
  with pytest.raises(ValueError, match="cannot be read as an image"):
    np.asarray(lazy)


def test_lazy_images_name_damage_that_is_found_later(small_idx, tmp_path, prepared):
  files = small_idx.write(tmp_path / "files")
  lazy = prepare.load_tfds(small_idx.spec, data_dir=files, in_memory=False).train
  for file in prepared.glob("aejax_small/1.0.0/*train*array_record*"):
    size = file.stat().st_size
    file.write_bytes(b"\0" * size)
  with pytest.raises(ValueError, match=r"aejax_small/1.0.0 is damaged"):
    np.asarray(lazy)


def test_lazy_images_cache_the_whole_array():
  read = []

  def images(rows):
    read.append(rows)
    return np.zeros((len(rows), 2, 2, 1), np.uint8)

  lazy = LazyImages((7, 2, 2, 1), images)
  assert read == []
  assert np.asarray(lazy) is np.asarray(lazy)
  assert np.array(lazy, np.float32).dtype == np.float32
  assert read == [range(7)]


@pytest.mark.parametrize("scale", [1, 255])
def test_load_numpy_reads_floats_lazily(tmp_path, scale):
  path = tmp_path / "floats.npy"
  values = np.random.default_rng(0).random((10, 5, 5))
  np.save(path, np.rint(values * 255) / 255 if scale == 255 else values)
  found, expected = data.load(path, in_memory=False), data.load(path)
  assert isinstance(found.train, LazyImages)
  assert found.train.dtype == expected.train.dtype == (np.uint8 if scale == 255 else np.float32)
  np.testing.assert_array_equal(found.train, expected.train)
  np.testing.assert_array_equal(found.test, expected.test)
  assert found.digest == expected.digest


@pytest.mark.usefixtures("without_beartype")
@pytest.mark.parametrize("shape", [(5,), (1, 2, 3, 4, 5, 6), (3, -1), "ab", (2, 1.5)])
def test_lazy_images_reject_shapes(shape):
  with pytest.raises(ValueError, match="shape must be two to five whole numbers, but is"):
    LazyImages(shape, lambda rows: np.zeros(0))


@pytest.mark.parametrize("cut", [10, 200, 700])
def test_load_numpy_rejects_a_truncated_file_lazily(npy, cut):
  npy.write_bytes(npy.read_bytes()[:cut])
  with pytest.raises(ValueError, match="cannot be read as a NumPy file"):
    data.load(npy, in_memory=False)
