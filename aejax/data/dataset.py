"""A data set: images for training, images for testing, never mixed."""

import dataclasses

import numpy as np
from jaxtyping import Int, UInt8

from aejax import _checks
from aejax.data.lazy import LazyImages

__all__ = ["Dataset", "train_test_split"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Dataset:
  """Images as bytes, `[n, height, width, channels]` with 1 (grey) or 3 (RGB) channels.

  Bytes because a whole set then fits in device memory; scaling to [0, 1] belongs in the jitted
  step.

  Attributes:
    name: what the figures and records call it.
    train: the images that may be trained on; from `load(..., in_memory=False)`, still where they
      are stored, to be read slice by slice.
    test: the images that are only ever evaluated.
    train_labels: one class a training image, where the source has classes.
    test_labels: likewise for the test images.
  """

  name: str
  train: UInt8[np.ndarray, "n h w c"] | LazyImages
  test: UInt8[np.ndarray, "m h w c"]
  train_labels: Int[np.ndarray, " n"] | None = None
  test_labels: Int[np.ndarray, " m"] | None = None

  def __post_init__(self):
    if not isinstance(self.name, str):
      raise ValueError(f"name must be a string, but is {_checks.type_name(self.name)}.")
    for split, images in (("train", self.train), ("test", self.test)):
      if not isinstance(images, np.ndarray | LazyImages):
        raise ValueError(
          f"{split} must be uint8 of shape [n, height, width, channels], got {_checks.type_name(images)}"
        )
      if images.ndim != 4 or images.dtype != np.uint8:
        raise ValueError(
          f"{split} must be uint8 of shape [n, height, width, channels], "
          f"got {images.dtype} of shape {list(images.shape)}"
        )
      if not images.size:
        raise ValueError(f"{split} is empty: shape {list(images.shape)}")
    if self.train.shape[1:] != self.test.shape[1:]:
      raise ValueError(
        f"train and test images must share one shape, "
        f"got {list(self.train.shape[1:])} and {list(self.test.shape[1:])}"
      )
    for split, images, labels in (
      ("train", self.train, self.train_labels),
      ("test", self.test, self.test_labels),
    ):
      if labels is None or (isinstance(labels, np.ndarray) and labels.shape == (len(images),)):
        continue
      found = f"shape {list(labels.shape)}" if isinstance(labels, np.ndarray) else None
      raise ValueError(
        f"{split}_labels must have one label for each of {len(images)} images, "
        f"got {found or _checks.type_name(labels)}"
      )

  def __repr__(self) -> str:
    labels = "" if self.train_labels is None else ", labelled"
    return f"Dataset({self.name!r}, train={self.train.shape}, test={self.test.shape}{labels})"

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """(height, width, channels) of every image."""
    height, width, channels = self.train.shape[1:]
    return height, width, channels


def train_test_split(
  n: int, *, fraction: float
) -> tuple[Int[np.ndarray, " n_train"], Int[np.ndarray, " n_test"]]:
  """Indices of a fixed random split of n examples: the same on every machine, in every run.

  Args:
    n: number of examples, at least 2.
    fraction: share held out, rounded, but never fewer than one example.

  Returns:
    Indices to train on and indices to test on: disjoint, together all of them, both ascending.
  """
  # RandomState's stream is frozen by NumPy's compatibility policy; Generator's may change.
  order = np.random.RandomState(0).permutation(n)
  num_test = max(1, round(n * fraction))
  return np.sort(order[num_test:]), np.sort(order[:num_test])
