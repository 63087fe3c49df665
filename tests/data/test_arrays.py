import numpy as np
import pytest

import aejax
from aejax import data


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


def test_load_numpy_keeps_labels_that_are_names(tmp_path):
  names = np.array(["cat", "dog"])[np.arange(20) % 2]
  np.savez(tmp_path / "a.npz", X=np.arange(60.0).reshape(20, 3), y=names)
  dataset = data.load(tmp_path / "a.npz")
  assert dataset.train.dtype == np.float32
  np.testing.assert_array_equal(
    dataset.train_labels, np.where(dataset.train[:, 0] % 2, "dog", "cat")
  )


@pytest.mark.parametrize(
  ("kind", "shape"),
  [
    ("vectors", (20, 6)),
    ("signals", (20, 6, 1)),
    ("images", (20, 6, 6)),
    ("volumes", (20, 3, 3, 3, 1)),
  ],
)
def test_load_numpy_takes_the_kind_from_the_name(tmp_path, kind, shape):
  values = np.random.default_rng(0).random(shape).astype(np.float32)
  np.savez(tmp_path / "a.npz", **{kind: values})
  dataset = data.load(tmp_path / "a.npz")
  assert dataset.kind == kind
  both = np.concatenate([dataset.train, dataset.test]).reshape(20, -1)
  np.testing.assert_array_equal(np.sort(both, 0), np.sort(values.reshape(20, -1), 0))


def test_load_numpy_names_arrays_that_are_not_used(tmp_path):
  np.savez(tmp_path / "a.npz", train=_bytes(5, 4, 5), test=_bytes(5, 4, 5), x_val=_bytes(2, 4, 5))
  with pytest.warns(aejax.AejaxWarning, match=r"a\.npz also holds x_val, which is unused"):
    data.load(tmp_path / "a.npz")


def test_load_numpy_stores_both_parts_alike(tmp_path):
  train = _bytes(5, 4, 5) / 255
  np.savez(tmp_path / "a.npz", train=train, test=train + 1e-3 * (train < 0.5))
  dataset = data.load(tmp_path / "a.npz")
  assert dataset.train.dtype == dataset.test.dtype == np.float32
  np.testing.assert_array_equal(dataset.train[..., 0], train.astype(np.float32))


def test_from_arrays_splits_and_keeps_labels():
  values = np.arange(40.0).reshape(20, 2)
  dataset = data.from_arrays(values, train_labels=range(20), name="table")
  assert repr(dataset) == "Dataset('table', train=(18, 2), test=(2, 2), labelled)"
  np.testing.assert_array_equal(dataset.train[:, 0], 2 * dataset.train_labels)
  given = data.from_arrays(values, values[:3], train_labels=range(20), test_labels=list("abc"))
  assert (given.train.shape, given.test_labels.tolist()) == ((20, 2), ["a", "b", "c"])
  assert data.from_arrays(values.reshape(5, 4, 2), kind="signals").kind == "signals"


@pytest.mark.usefixtures("without_beartype")
@pytest.mark.parametrize(
  ("arguments", "options", "message"),
  [
    ((np.zeros((3, 2)), np.zeros((3, 3))), {}, r"share one shape, got \[2\] and \[3\]"),
    ((np.zeros((3, 2)),), {"test_labels": [1]}, "there is no test"),
    ((np.zeros((3, 2)),), {"train_labels": [1]}, "train_labels must be 3 integers or names"),
    ((np.zeros((3, 2)),), {"kind": "tables"}, "There is no kind 'tables'"),
    ((np.zeros((3, 2)),), {"kind": "images"}, r"array must have shape \[n, height, width\]"),
    ((np.zeros((3, 2)),), {"kind": "signals"}, r"array holds signals, .* got \[3, 2\]"),
    ((np.zeros((1, 2)),), {}, "array holds one"),
  ],
)
def test_from_arrays_rejects_other_arguments(arguments, options, message):
  with pytest.raises(ValueError, match=message):
    data.from_arrays(*arguments, **options)


@pytest.mark.parametrize(
  ("arrays", "message"),
  [
    ({"a": _bytes(5, 4, 5), "b": _bytes(5, 4, 5)}, r"must hold the arrays .* got \['a', 'b'\]"),
    ({}, "got none"),
    ({"train": _bytes(5, 4, 5), "test": _bytes(5, 5, 5)}, r"got \[4, 5, 1\] and \[5, 5, 1\]"),
    ({"train": _bytes(5, 4, 5), "test": _bytes(0, 4, 5)}, r"\['test'\] is empty"),
    ({"images": _bytes(1, 4, 5)}, "holds one image; at least 2"),
    (
      {"images": _bytes(5, 4, 5), "labels": np.arange(4)},
      r"\['labels'\] must be 5 integers or names",
    ),
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
