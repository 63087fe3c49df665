"""A data set: images to train on and images to test on."""

import dataclasses

import numpy as np
from jaxtyping import Int, UInt8

from aejax import _checks
from aejax.data.lazy import LazyImages

__all__ = ["Dataset", "train_test_split"]


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Dataset:
  """Images as bytes, `[n, height, width, channels]`, with 1 (grey) or 3 (RGB) channels.

  Bytes take a quarter of the memory of float32, so a whole set fits on the device. The jitted step
  scales them to [0, 1].

  Attributes:
    name: name that plots and records show.
    train: images to train on; `LazyImages` after `load(..., in_memory=False)`.
    test: images to evaluate on, disjoint from `train`.
    train_labels: class of each training image, or None if the source has no classes.
    test_labels: class of each test image, or None if the source has no classes.
  """

  name: str
  train: UInt8[np.ndarray, "n h w c"] | LazyImages
  test: UInt8[np.ndarray, "m h w c"]
  train_labels: Int[np.ndarray, " n"] | None = None
  test_labels: Int[np.ndarray, " m"] | None = None

  def __post_init__(self) -> None:
    if not isinstance(self.name, str):
      raise ValueError(f"name must be a string, but is {_checks.type_name(self.name)}.")
    _check_images("train", self.train)
    _check_images("test", self.test)
    if self.train.shape[1:] != self.test.shape[1:]:
      raise ValueError(
        f"train and test images must share one shape, "
        f"got {list(self.train.shape[1:])} and {list(self.test.shape[1:])}"
      )
    _check_labels("train_labels", self.train_labels, len(self.train))
    _check_labels("test_labels", self.test_labels, len(self.test))

  def __repr__(self) -> str:
    labels = "" if self.train_labels is None else ", labelled"
    return f"Dataset({self.name!r}, train={self.train.shape}, test={self.test.shape}{labels})"

  @property
  def image_shape(self) -> tuple[int, int, int]:
    """The tuple (height, width, channels) of every image."""
    height, width, channels = self.train.shape[1:]
    return height, width, channels


def train_test_split(
  n: int, *, fraction: float
) -> tuple[Int[np.ndarray, " n_train"], Int[np.ndarray, " n_test"]]:
  """Splits the indices of n examples at random, the same way on every machine and in every run.

  Args:
    n: number of examples, at least 2.
    fraction: fraction of the examples to test on; the test set has at least one example.

  Returns:
    Indices to train on and indices to test on. They are disjoint, ascending, and together cover
    all n examples.
  """
  # NumPy's compatibility policy freezes the stream of RandomState; that of Generator may change.
  order = np.random.RandomState(0).permutation(n)
  num_test = max(1, round(n * fraction))
  return np.sort(order[num_test:]), np.sort(order[:num_test])


def _check_images(name: str, images: object) -> None:
  found = None
  if not isinstance(images, np.ndarray | LazyImages):
    found = _checks.type_name(images)
  elif images.ndim != 4 or images.dtype != np.uint8:
    found = f"{images.dtype} of shape {list(images.shape)}"
  elif not images.size:
    raise ValueError(f"{name} is empty: shape {list(images.shape)}")
  if found is not None:
    raise ValueError(f"{name} must be uint8 of shape [n, height, width, channels], got {found}")


def _check_labels(name: str, labels: object, n: int) -> None:
  if labels is None:
    return
  if isinstance(labels, np.ndarray):
    if labels.shape == (n,):
      return
    found = f"shape {list(labels.shape)}"
  else:
    found = _checks.type_name(labels)
  raise ValueError(f"{name} must have one label for each of {n} images, got {found}")
