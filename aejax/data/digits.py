"""The 1797 handwritten digits of 8x8 pixels that scikit-learn ships: no download needed."""

import numpy as np

from aejax._extras import require
from aejax.data.dataset import Dataset, train_test_split

__all__ = ["load_digits"]


def load_digits() -> Dataset:
  """Loads the digits: 1438 to train on and 359 (20 %) to test on, by a fixed permutation.

  The 17 grey levels 0..16 become the bytes round(255 v / 16).

  Raises:
    ImportError: if scikit-learn is not installed.
  """
  require("train", "sklearn")
  from sklearn import datasets

  levels, labels = datasets.load_digits(return_X_y=True)
  images = np.rint(levels * 255 / 16).astype(np.uint8).reshape(-1, 8, 8, 1)
  labels = labels.astype(np.int64)
  train, test = train_test_split(len(images), fraction=0.2)
  return Dataset("digits", images[train], images[test], labels[train], labels[test])
