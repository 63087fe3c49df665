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


def test_images_are_found_at_any_depth_and_split(folder):
  for level, name in enumerate(("b.PNG", "a/x.jpeg", "a/b/y.Png", "c.bmp", "d.gif", "e.jpg")):
    _save(folder / name, level=40 * level)
  (folder / "notes.txt").write_text("no image")
  (folder / "._b.png").write_bytes(b"what macOS leaves behind")
  _save(folder / ".thumbnails" / "b.png", level=255)
  dataset = data.load(folder)
  assert dataset.name == "faces"
  assert (dataset.train.shape, dataset.test.shape) == ((5, 8, 8, 1), (1, 8, 8, 1))
  # Flat images survive lossy formats to within a level.
  np.testing.assert_allclose(
    _levels(np.concatenate([dataset.train, dataset.test])), [0, 40, 80, 120, 160, 200], atol=1
  )
  np.testing.assert_array_equal(data.load(folder).test, dataset.test)


def test_train_and_test_folders_are_the_split(folder):
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
def test_default_size(folder, sizes, side):
  for index, size in enumerate(sizes):
    _save(folder / f"{index}.png", size=size)
  assert data.load(folder).image_shape == (side, side, 1)
  assert data.load(folder, image_size=5).image_shape == (5, 5, 1)


def test_one_colour_image_makes_all_of_them_rgb(folder):
  _save(folder / "0.png", level=100)
  Image.new("RGB", (8, 8), (200, 0, 0)).save(folder / "1.webp", lossless=True)
  dataset = data.load(folder)
  colours = np.concatenate([dataset.train, dataset.test])[:, 0, 0]
  assert sorted(map(tuple, colours.tolist())) == [(100, 100, 100), (200, 0, 0)]


def test_links_are_passed_over(folder, tmp_path):
  _save(tmp_path / "outside.png", level=255)
  for level in (10, 20):
    _save(folder / f"{level}.png", level=level)
  (folder / "out.png").symlink_to(tmp_path / "outside.png")
  (folder / "twice.png").symlink_to(folder / "10.png")
  (folder / "loop").symlink_to(folder, target_is_directory=True)
  dataset = data.load(folder)
  assert _levels(np.concatenate([dataset.train, dataset.test])) == [10, 20]


def test_a_link_to_the_folder_itself_is_fine(folder, tmp_path):
  for level in (10, 20):
    _save(folder / f"{level}.png", level=level)
  (tmp_path / "link").symlink_to(folder, target_is_directory=True)
  assert len(data.load(tmp_path / "link").train) == 1


def test_a_folder_without_images_says_so(folder):
  folder.mkdir()
  (folder / "link.png").symlink_to(folder / "nowhere.png")
  with pytest.raises(
    ValueError, match=r"no images in .*faces \(1 symbolic links or pipes passed over\)"
  ):
    data.load(folder)


def test_an_empty_half_is_refused(folder):
  _save(folder / "train" / "0.png")
  (folder / "test").mkdir()
  with pytest.raises(ValueError, match=r"no images in .*test"):
    data.load(folder)


def test_one_image_is_not_enough(folder):
  _save(folder / "0.png")
  with pytest.raises(ValueError, match="holds one image; at least 2"):
    data.load(folder)


@pytest.mark.parametrize("keep", [0.1, 0.7])
def test_a_broken_image_is_named(folder, keep):
  for index in range(4):
    _save(folder / f"{index}.png", size=(64, 64))
  noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
  Image.fromarray(noise).save(folder / "2.png")
  content = (folder / "2.png").read_bytes()
  (folder / "2.png").write_bytes(content[: int(keep * len(content))])
  with pytest.raises(ValueError, match=r"2\.png cannot be read as an image"):
    data.load(folder)
