import numpy as np
import pytest

from aejax import data


def test_load_names():
  assert data.NAMES == ("digits", "mnist", "fashion_mnist", "cifar10", "celeb_a")


def test_load_resizes_named_sets_and_arrays(tmp_path):
  assert data.load("digits", image_size=16).image_shape == (16, 16, 1)
  np.save(tmp_path / "a.npy", np.full((10, 6, 8, 3), 77, np.uint8))
  dataset = data.load(tmp_path / "a.npy", image_size=4)
  np.testing.assert_array_equal(dataset.train, np.full((9, 4, 4, 3), 77))
  assert dataset.test.shape == (1, 4, 4, 3)
  assert data.load("digits", image_size=16).train_labels is not None


@pytest.mark.parametrize("size", [0, -3])
def test_load_rejects_image_size(size):
  with pytest.raises(ValueError, match=f"image_size must be a whole number .* but is {size}"):
    data.load("digits", image_size=size)


@pytest.mark.parametrize(
  ("name", "message"),
  [
    ("fashion-mnist", "no data set 'fashion-mnist', did you mean fashion_mnist"),
    ("MNIST", "did you mean mnist"),
    ("zebra", "no data set 'zebra': there are digits, mnist, fashion_mnist, cifar10, celeb_a, and"),
    ("", "no data set ''"),
    ("no/such", "no file or folder no/such"),
    ("faces.npz", "no file or folder faces.npz"),
  ],
)
def test_load_rejects_unknown_names_and_paths(name, message, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(ValueError, match=message):
    data.load(name)


def test_load_rejects_other_files(tmp_path):
  (tmp_path / "faces.csv").write_text("1,2")
  with pytest.raises(ValueError, match=r"is neither a folder of images nor a .npy or .npz file"):
    data.load(tmp_path / "faces.csv")


def test_load_rejects_missing_data_dir(tmp_path):
  with pytest.raises(
    ValueError, match=f"data_dir must be a folder, but there is none at {tmp_path}/x"
  ):
    data.load("mnist", data_dir=tmp_path / "x")


def test_load_expands_home(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  np.save(tmp_path / "a.npy", np.full((4, 5, 5), 99, np.uint8))
  assert data.load("~/a.npy").image_shape == (5, 5, 1)
