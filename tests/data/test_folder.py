import numpy as np
import pytest
from PIL import Image

import aejax
from aejax import data
from aejax.data import images


def _save(path, size=(8, 8), level=100, mode="L"):
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
  with pytest.warns(
    aejax.AejaxWarning, match=r"faces also holds, and aejax passes over: 1 .txt fil"
  ):
    dataset = data.load(folder)
  assert dataset.name == "faces"
  assert (dataset.train.shape, dataset.test.shape) == ((5, 8, 8, 1), (1, 8, 8, 1))
  # Lossy formats change an image of one level by at most one level.
  np.testing.assert_allclose(
    _levels(np.concatenate([dataset.train, dataset.test])), [0, 40, 80, 120, 160, 200], atol=1
  )
  (folder / "notes.txt").unlink()
  np.testing.assert_array_equal(data.load(folder).test, dataset.test)


def test_load_folder_uses_train_and_test_folders(folder):
  for level in (10, 20, 30):
    _save(folder / "train" / "deep" / f"{level}.png", level=level)
  _save(folder / "test" / "40.png", level=40)
  assert _levels(data.load(folder).train) == [10, 20, 30]
  assert _levels(data.load(folder).test) == [40]
  _save(folder / "other.png", level=50)
  _save(folder / "extra" / "other.png", level=50)
  message = "passes over: 1 images in extra, 1 images outside of the split"
  with pytest.warns(aejax.AejaxWarning, match=message):
    assert _levels(data.load(folder).train) == [10, 20, 30]


@pytest.mark.parametrize("name", ["val", "valid", "Validation"])
def test_load_folder_uses_a_validation_folder_where_there_is_no_test_folder(folder, name):
  _save(folder / "Train" / "a.png", level=60)
  _save(folder / name / "b.png", level=70)
  dataset = data.load(folder)
  assert (_levels(dataset.train), _levels(dataset.test)) == ([60], [70])
  _save(folder / "test" / "c.png", level=80)
  with pytest.warns(aejax.AejaxWarning, match=f"passes over: 1 images in {name}"):
    dataset = data.load(folder)
  assert (_levels(dataset.train), _levels(dataset.test)) == ([60], [80])


def test_load_folder_keeps_the_classes_of_folders(folder):
  for level in range(40, 60):
    _save(folder / ("cats" if level < 50 else "dogs") / "deep" / f"{level}.png", level=level)
  dataset = data.load(folder)
  for found, labels in (
    (dataset.train, dataset.train_labels),
    (dataset.test, dataset.test_labels),
  ):
    expected = np.where(found[:, 0, 0, 0] < 50, "cats", "dogs")
    np.testing.assert_array_equal(labels, expected)
  np.testing.assert_array_equal(
    data.load(folder, in_memory=False).train_labels, dataset.train_labels
  )
  _save(folder / "loose.png")
  assert data.load(folder).train_labels is None


def test_load_folder_keeps_the_classes_of_both_parts(folder):
  for part in ("train", "test"):
    for name in ("a", "b"):
      _save(folder / part / name / "0.png")
  dataset = data.load(folder)
  assert dataset.train_labels.tolist() == dataset.test_labels.tolist() == ["a", "b"]


def test_load_folder_of_one_sub_folder_has_no_classes(folder):
  for name in "abc":
    _save(folder / "images" / f"{name}.png")
  assert data.load(folder).train_labels is None


@pytest.mark.parametrize("suffix", [".tif", ".TIFF", ".jfif", ".avif"])
def test_load_folder_reads_other_formats(folder, suffix):
  if suffix == ".avif" and not images.reads_avif():
    pytest.skip("this Pillow does not read AVIF")
  for index in range(3):
    _save(folder / f"{index}.png", level=80)
  options = {"format": "JPEG"} if suffix == ".jfif" else {}
  Image.new("L", (8, 8), 80).save(folder / f"x{suffix}", **options)
  dataset = data.load(folder)
  assert len(dataset.train) + len(dataset.test) == 4
  np.testing.assert_allclose(dataset.train, 80, atol=1)


def test_load_folder_keeps_16_bits(folder):
  folder.mkdir()
  levels = np.array([[0, 1], [300, 65535]], np.uint16)
  for suffix in ("png", "tif"):
    Image.fromarray(levels).save(folder / f"a.{suffix}")
  _save(folder / "b.png", size=(2, 2), level=51)
  dataset = data.load(folder)
  found = sorted(np.concatenate([dataset.train, dataset.test])[..., 0].tolist())
  deep = (levels.astype(np.float32) / 65535).tolist()
  assert found == sorted([deep, deep, np.full((2, 2), 51 / 255, np.float32).tolist()])


def test_load_folder_says_that_images_are_dark(folder):
  folder.mkdir()
  for name in "ab":
    Image.fromarray(np.full((8, 8), 4095, np.uint16)).save(folder / f"{name}.png")
  with pytest.warns(aejax.AejaxWarning, match=r"16-bit images up to 6\.2% of white"):
    data.load(folder)
  for name in "ab":
    _save(folder / f"{name}.png", level=20)
  with pytest.warns(aejax.AejaxWarning, match="bytes up to 20 only"):
    data.load(folder)
  for name in "ab":
    _save(folder / f"{name}.png", level=1)
  with pytest.raises(ValueError, match=r"faces holds bytes up to 1 only, but 255 is white"):
    data.load(folder)


def test_load_folder_counts_what_it_drops(folder):
  for index in range(3):
    _save(folder / f"{index}.png")
  frames = [Image.new("L", (8, 8), level) for level in (50, 100, 200)]
  frames[0].save(folder / "x.tif", save_all=True, append_images=frames[1:])
  frames[0].save(folder / "y.gif", save_all=True, append_images=frames[1:])
  (folder / "twice.png").symlink_to(folder / "0.png")
  (folder / "README").write_text("no image")
  (folder / "Thumbs.db").write_text("no image")
  message = "over: 4 frames after the first, 1 other files, 1 symbolic links or pipes$"
  with pytest.warns(aejax.AejaxWarning, match=message):
    data.load(folder)


def test_digest_of_a_folder_depends_on_content_and_order(folder):
  for level in range(40, 60):
    _save(folder / f"{level}.png", level=level)
  before = data.load(folder).digest
  assert data.load(folder, image_size=4, in_memory=False).digest == before
  (folder / "59.png").rename(folder / "30.png")
  renamed = data.load(folder).digest
  assert renamed != before
  folder.rename(folder.parent / "moved")
  assert data.load(folder.parent / "moved").digest == renamed


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
  for level in (110, 120):
    _save(folder / f"{level}.png", level=level)
  (folder / "out.png").symlink_to(tmp_path / "outside.png")
  (folder / "twice.png").symlink_to(folder / "110.png")
  (folder / "loop").symlink_to(folder, target_is_directory=True)
  with pytest.warns(aejax.AejaxWarning, match="passes over: 3 symbolic links or pipes"):
    dataset = data.load(folder)
  assert _levels(np.concatenate([dataset.train, dataset.test])) == [110, 120]


def test_load_folder_follows_a_link_to_the_folder(folder, tmp_path):
  for level in (110, 120):
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
