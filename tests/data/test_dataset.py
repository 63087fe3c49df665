import numpy as np
import pytest

from aejax.data import Dataset, LazyImages
from aejax.data.dataset import train_test_split


def _images(n, *shape):
  return np.zeros((n, *shape), np.uint8)


def test_dataset_shape_and_repr():
  dataset = Dataset("faces", _images(3, 4, 5, 3), _images(2, 4, 5, 3))
  assert dataset.image_shape == (4, 5, 3)
  assert repr(dataset) == "Dataset('faces', train=(3, 4, 5, 3), test=(2, 4, 5, 3))"


@pytest.mark.usefixtures("without_beartype")
@pytest.mark.parametrize(
  ("train", "test", "message"),
  [
    (np.zeros((2, 4, 4, 1)), _images(1, 4, 4, 1), "train must be uint8 or float32 .* float64"),
    (np.zeros(2, np.uint8), _images(1, 4), r"train must be uint8 .* got uint8 of shape \[2\]"),
    (_images(2, 4, 4, 1), _images(1, 4, 4), r"one shape, got \[4, 4, 1\] and \[4, 4\]"),
    (
      np.zeros((2, 4, 4, 1), np.float32),
      _images(1, 4, 4, 1),
      "train and test must share one dtype, got float32 and uint8",
    ),
    (_images(0, 4, 4, 1), _images(1, 4, 4, 1), r"train is empty: shape \[0, 4, 4, 1\]"),
    (_images(2, 4, 4, 1), _images(1, 5, 4, 1), r"share one shape, got \[4, 4, 1\] and \[5, 4, 1\]"),
  ],
)
def test_dataset_rejects_bad_images(train, test, message):
  with pytest.raises(ValueError, match=message):
    Dataset("wrong", train, test)


@pytest.mark.parametrize(
  ("shape", "kind"),
  [((3,), "vectors"), ((9, 2), "signals"), ((4, 5, 3), "images"), ((3, 4, 5, 1), "volumes")],
)
def test_dataset_kind(shape, kind):
  dataset = Dataset("x", np.zeros((2, *shape), np.float32), np.zeros((1, *shape), np.float32))
  assert (dataset.kind, dataset.image_shape) == (kind, shape)


def test_digest_depends_on_every_value_its_place_and_the_split():
  train, test = (np.arange(n * 6, dtype=np.float32).reshape(n, 6) for n in (4, 2))
  digest = Dataset("x", train, test).digest
  assert Dataset("y", train.copy(), test, np.arange(4), np.arange(2)).digest == digest
  changed = train.copy()
  changed[3, 5] += 1
  moved = np.concatenate([train, test])
  lazy = LazyImages(train.shape, lambda rows: train[rows], dtype=np.float32)
  assert Dataset("x", lazy, test).digest == digest
  others = [
    Dataset("x", changed, test),
    Dataset("x", train[::-1], test),
    Dataset("x", moved[:5], moved[5:]),
    Dataset("x", train.reshape(4, 3, 2), test.reshape(2, 3, 2)),
  ]
  assert len({digest, *(other.digest for other in others)}) == 5


@pytest.mark.usefixtures("without_beartype")
def test_dataset_rejects_labels_of_another_length():
  with pytest.raises(ValueError, match=r"test_labels must have one label for each of 1 images"):
    Dataset("x", _images(2, 4, 4, 1), _images(1, 4, 4, 1), np.zeros(2, int), np.zeros(2, int))


@pytest.mark.parametrize(("n", "num_test"), [(2, 1), (9, 1), (10, 1), (25, 2), (1000, 100)])
def test_train_test_split_partitions_the_indices(n, num_test):
  train, test = train_test_split(n, fraction=0.1)
  assert len(test) == num_test
  np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(n))
  assert (np.diff(train) > 0).all()
  assert (np.diff(test) > 0).all()


def test_train_test_split_never_changes():
  # Another split would test old models on images that they were trained on.
  assert train_test_split(30, fraction=0.1)[1].tolist() == [2, 13, 28]
