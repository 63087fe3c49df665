import importlib.util

import numpy as np
import pytest
from sklearn import datasets

from aejax import data


def test_digits_hold_every_digit_once_with_its_label():
  digits = data.load("digits")
  assert digits.train.shape == (1438, 8, 8, 1)
  assert digits.test.shape == (359, 8, 8, 1)
  levels, labels = datasets.load_digits(return_X_y=True)
  expected = sorted(
    (bytes(round(255 * v / 16) for v in image), label)
    for image, label in zip(levels, labels, strict=True)
  )
  found = sorted(
    (image.tobytes(), label)
    for images, labels in (
      (digits.train, digits.train_labels),
      (digits.test, digits.test_labels),
    )
    for image, label in zip(images, labels, strict=True)
  )
  assert found == expected


def test_digits_levels_span_the_bytes():
  digits = data.load("digits")
  assert set(np.unique(digits.train)) == {round(255 * v / 16) for v in range(17)}


def test_digits_splits_share_no_image():
  digits = data.load("digits")
  train = {image.tobytes() for image in digits.train}
  assert not any(image.tobytes() in train for image in digits.test)


def test_digits_split_is_fixed_and_mixes_the_classes():
  first, second = data.load("digits"), data.load("digits")
  np.testing.assert_array_equal(first.test, second.test)
  # About 36 per class are expected; 15 is more than three standard deviations below.
  assert np.bincount(first.test_labels, minlength=10).min() > 15


def test_digits_ask_for_scikit_learn(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  with pytest.raises(ImportError, match=r"the package sklearn, .* pip install 'aejax\[train\]'"):
    data.load("digits")
