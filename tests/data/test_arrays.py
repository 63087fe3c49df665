import numpy as np
import pytest

from aejax import data
from aejax.data.arrays import as_images


def _bytes(*shape):
  return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_load_numpy_splits_npy(tmp_path):
  images = _bytes(25, 5, 4, 3)
  np.save(tmp_path / "faces.npy", images)
  dataset = data.load(str(tmp_path / "faces.npy"))
  assert (dataset.name, dataset.train_labels) == ("faces", None)
  assert (len(dataset.train), len(dataset.test)) == (23, 2)
  found = sorted(image.tobytes() for image in [*dataset.train, *dataset.test])
  assert found == sorted(image.tobytes() for image in images)


@pytest.mark.parametrize(
  ("keys", "label_keys"),
  [
    (("train", "test"), ("train_labels", "test_labels")),
    (("x_train", "x_test"), ("y_train", "y_test")),
  ],
)
def test_load_numpy_keeps_the_split_of_npz(tmp_path, keys, label_keys):
  train, test = _bytes(6, 5, 5), _bytes(3, 5, 5)
  # Keras stores labels of shape [n, 1].
  labels = {label_keys[0]: np.arange(6, dtype=np.uint8)[:, None], label_keys[1]: np.arange(3)}
  np.savez(tmp_path / "a.npz", **{keys[0]: train, keys[1]: test, **labels})
  dataset = data.load(tmp_path / "a.npz")
  np.testing.assert_array_equal(dataset.train, train[..., None])
  np.testing.assert_array_equal(dataset.test, test[..., None])
  np.testing.assert_array_equal(dataset.train_labels, range(6))
  np.testing.assert_array_equal(dataset.test_labels, range(3))


@pytest.mark.parametrize("key", ["images", "anything"])
def test_load_numpy_splits_labels_with_their_images(tmp_path, key):
  images = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None], (40, 5, 5))
  np.savez(tmp_path / "a.npz", **{key: images, "labels": np.arange(40)})
  dataset = data.load(tmp_path / "a.npz")
  assert (len(dataset.train), len(dataset.test)) == (36, 4)
  np.testing.assert_array_equal(dataset.train[:, 0, 0, 0], dataset.train_labels)
  np.testing.assert_array_equal(dataset.test[:, 0, 0, 0], dataset.test_labels)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_as_images_rounds_floats_to_bytes(dtype):
  levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
  images = as_images((levels / 255).astype(dtype), name="it")
  np.testing.assert_array_equal(images, levels[..., None])


@pytest.mark.parametrize(
  ("array", "message"),
  [
    (np.zeros((4, 4, 5), np.int64) + 7, r"it must be uint8, or floats .* int64 in \[7, 7\]"),
    (np.zeros((4, 4, 5), bool), "got bool in"),
    (np.zeros((4, 4, 5), complex), "got complex128"),
    (np.full((4, 4, 5), 255.0), r"floats in \[255, 255\]; they must lie in \[0, 1\]"),
    (np.full((4, 4, 5), -1e-3, np.float32), r"floats in \[-0.001"),
    (np.full((4, 4, 5), np.nan), "it holds NaN or infinite values"),
    (np.full((4, 4, 5), np.inf), "it holds NaN or infinite values"),
    (np.zeros((4, 64), np.uint8), r"must have shape \[n, height, width\] .* got \[4, 64\]"),
    (np.zeros((), np.uint8), r"got \[\]"),
    (np.zeros((1, 4, 4, 4, 1), np.uint8), r"got \[1, 4, 4, 4, 1\]"),
    (np.zeros((0, 8, 8), np.uint8), r"it is empty: shape \[0, 8, 8\]"),
    (np.zeros((32, 32, 3), np.uint8), "looks like one image"),
    (np.zeros((9, 3, 32, 32), np.uint8), r"transpose it with images.transpose\(0, 2, 3, 1\)"),
    (np.zeros((9, 1, 28, 28), np.uint8), "channels come first"),
    (np.zeros((9, 32, 32, 4), np.uint8), "drop the alpha channel"),
    (np.zeros((9, 32, 32, 2), np.uint8), r"the last axis must hold 1 \(grey\) or 3 \(RGB\)"),
  ],
)
def test_as_images_rejects_other_arrays(array, message):
  with pytest.raises(ValueError, match=message):
    as_images(array, name="it")


@pytest.mark.parametrize(
  ("arrays", "message"),
  [
    ({"a": _bytes(5, 4, 5), "b": _bytes(5, 4, 5)}, r"must hold the arrays .* got \['a', 'b'\]"),
    ({}, "got none"),
    ({"train": _bytes(5, 4, 5), "test": _bytes(5, 5, 5)}, r"got \[4, 5, 1\] and \[5, 5, 1\]"),
    ({"train": _bytes(5, 4, 5), "test": _bytes(0, 4, 5)}, r"\['test'\] is empty"),
    ({"images": _bytes(1, 4, 5)}, "holds one image; at least 2"),
    ({"images": _bytes(5, 4, 5), "labels": np.arange(4)}, r"\['labels'\] must be 5 integers"),
    ({"images": _bytes(5, 4, 5), "labels": np.ones(5)}, "got float64 of shape"),
    ({"images": np.array([[["x"]]], object)}, r"\['images'\] cannot be read: Object arrays"),
  ],
)
def test_load_numpy_rejects_other_archives(tmp_path, arrays, message):
  np.savez(tmp_path / "a.npz", **arrays)
  with pytest.raises(ValueError, match=message):
    data.load(tmp_path / "a.npz")


def test_load_numpy_rejects_pickles(tmp_path):
  np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
  with pytest.raises(ValueError, match="cannot be read as a NumPy file without pickles"):
    data.load(tmp_path / "a.npy")


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
@pytest.mark.parametrize("keep", [0.0, 0.1, 0.9])
def test_load_numpy_rejects_truncated_files(tmp_path, suffix, keep):
  path = tmp_path / f"a{suffix}"
  (np.save if suffix == ".npy" else np.savez_compressed)(path, _bytes(20, 8, 8))
  content = path.read_bytes()
  path.write_bytes(content[: int(keep * len(content))])
  with pytest.raises(ValueError, match=f"{path} cannot be read"):
    data.load(path)


def test_load_numpy_rejects_damaged_members(tmp_path):
  path = tmp_path / "a.npz"
  np.savez(path, _bytes(20, 8, 8))
  content = bytearray(path.read_bytes())
  content[700] ^= 0xFF
  path.write_bytes(content)
  with pytest.raises(ValueError, match=r"\['arr_0'\] cannot be read: Bad CRC"):
    data.load(path)
