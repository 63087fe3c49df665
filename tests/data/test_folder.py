import numpy as np
import pytest
from PIL import Image

from aejax import data


def _save(path, size=(8, 8), level=0, mode="L"):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.new(mode, size, level if mode == "L" else (level, 0, 0)).save(path)


def _levels(images):
  return sorted(images[:, 0, 0, 0].tolist())


@pytest.fixture
def folder(tmp_path):
  return tmp_path / "faces"


def test_load_folder_finds_images_at_any_depth(folder):
  for level, name in enumerate(("b.PNG", "a/x.jpeg", "a/b/y.Png", "c.bmp", "d.gif", "e.jpg")):
    _save(folder / name, level=40 * level)
  (folder / "notes.txt").write_text("no image")
  (folder / "._b.png").write_bytes(b"macOS leaves such files behind")
  _save(folder / ".thumbnails" / "b.png", level=255)
  dataset = data.load(folder)
  assert dataset.name == "faces"
  assert (dataset.train.shape, dataset.test.shape) == ((5, 8, 8, 1), (1, 8, 8, 1))
  # Lossy formats change an image of one level by at most one level.
  np.testing.assert_allclose(
    _levels(np.concatenate([dataset.train, dataset.test])), [0, 40, 80, 120, 160, 200], atol=1
  )
  np.testing.assert_array_equal(data.load(folder).test, dataset.test)


def test_load_folder_uses_train_and_test_folders(folder):
  for level in (10, 20, 30):
    _save(folder / "train" / "deep" / f"{level}.png", level=level)
  _save(folder / "test" / "40.png", level=40)
  _save(folder / "other.png", level=50)
  dataset = data.load(folder)
  assert _levels(dataset.train) == [10, 20, 30]
  assert _levels(dataset.test) == [40]


@pytest.mark.parametrize(
  ("sizes", "side"),
  [
    ([(8, 8), (8, 8)], 8),
    ([(48, 32), (48, 32)], 32),
    ([(100, 80), (100, 80)], 64),
    ([(8, 8), (9, 9)], 64),
  ],
)
def test_load_folder_default_size(folder, sizes, side):
  for index, size in enumerate(sizes):
    _save(folder / f"{index}.png", size=size)
  assert data.load(folder).image_shape == (side, side, 1)
  assert data.load(folder, image_size=5).image_shape == (5, 5, 1)


def test_load_folder_is_rgb_if_one_image_is(folder):
  _save(folder / "0.png", level=100)
  Image.new("RGB", (8, 8), (200, 0, 0)).save(folder / "1.webp", lossless=True)
  dataset = data.load(folder)
  colours = np.concatenate([dataset.train, dataset.test])[:, 0, 0]
  assert sorted(map(tuple, colours.tolist())) == [(100, 100, 100), (200, 0, 0)]


def test_load_folder_skips_links(folder, tmp_path):
  _save(tmp_path / "outside.png", level=255)
  for level in (10, 20):
    _save(folder / f"{level}.png", level=level)
  (folder / "out.png").symlink_to(tmp_path / "outside.png")
  (folder / "twice.png").symlink_to(folder / "10.png")
  (folder / "loop").symlink_to(folder, target_is_directory=True)
  dataset = data.load(folder)
  assert _levels(np.concatenate([dataset.train, dataset.test])) == [10, 20]


def test_load_folder_follows_a_link_to_the_folder(folder, tmp_path):
  for level in (10, 20):
    _save(folder / f"{level}.png", level=level)
  (tmp_path / "link").symlink_to(folder, target_is_directory=True)
  assert len(data.load(tmp_path / "link").train) == 1


def test_load_folder_rejects_a_folder_without_images(folder):
  folder.mkdir()
  (folder / "link.png").symlink_to(folder / "nowhere.png")
  with pytest.raises(
    ValueError, match=r"no images in .*faces \(1 symbolic links or pipes skipped\)"
  ):
    data.load(folder)


def test_load_folder_rejects_an_empty_test_folder(folder):
  _save(folder / "train" / "0.png")
  (folder / "test").mkdir()
  with pytest.raises(ValueError, match=r"no images in .*test"):
    data.load(folder)


def test_load_folder_rejects_a_single_image(folder):
  _save(folder / "0.png")
  with pytest.raises(ValueError, match="holds one image; at least 2"):
    data.load(folder)


@pytest.mark.parametrize("keep", [0.1, 0.7])
def test_load_folder_names_a_damaged_image(folder, keep):
  for index in range(4):
    _save(folder / f"{index}.png", size=(64, 64))
  noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
  Image.fromarray(noise).save(folder / "2.png")
  content = (folder / "2.png").read_bytes()
  (folder / "2.png").write_bytes(content[: int(keep * len(content))])
  with pytest.raises(ValueError, match=r"2\.png cannot be read as an image"):
    data.load(folder)
