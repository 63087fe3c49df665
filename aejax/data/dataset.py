"""A data set: examples to train on and examples to test on."""

import dataclasses
import functools
import hashlib
from typing import Literal

import numpy as np
from jaxtyping import Float32, Int, Shaped, UInt8

from aejax import _checks
from aejax.data.lazy import LazyImages, chunks

__all__ = ["KINDS", "Dataset", "Examples", "Kind", "train_test_split"]

Examples = UInt8[np.ndarray, "_ ..."] | Float32[np.ndarray, "_ ..."]

Kind = Literal["vectors", "signals", "images", "volumes"]

KINDS: dict[Kind, str] = {
  "vectors": "[n, d]",
  "signals": "[n, steps, channels]",
  "images": "[n, height, width, channels]",
  "volumes": "[n, depth, height, width, channels]",
}
"""The layout of each kind of data; the number of axes tells them apart."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Dataset:
  """Examples as bytes or float32: vectors `[n, d]`, signals `[n, t, c]`, images, or volumes.

  Images are `[n, height, width, channels]` with 1 (grey) or 3 (RGB) channels, volumes
  `[n, depth, height, width, channels]`. Bytes take a quarter of the memory of float32, so a whole
  set fits on the device. The jitted step scales them to [0, 1].

  Attributes:
    name: name that plots and records show.
    train: examples to train on; `LazyImages` after `load(..., in_memory=False)`.
    test: examples to evaluate on, disjoint from `train`.
    train_labels: class of each training example, a whole number or a name, or None if the source
      has no classes.
    test_labels: class of each test example, or None if the source has no classes.
    source: identity of the source files, if the loader knows it; see `digest`.
  """

  name: str
  train: Examples | LazyImages
  test: Examples
  train_labels: Shaped[np.ndarray, " n"] | None = None
  test_labels: Shaped[np.ndarray, " m"] | None = None
  source: str | None = None

  def __post_init__(self) -> None:
    if not isinstance(self.name, str):
      raise ValueError(f"name must be a string, but is {_checks.type_name(self.name)}.")
    _check_examples("train", self.train)
    _check_examples("test", self.test)
    if self.train.shape[1:] != self.test.shape[1:]:
      raise ValueError(
        f"train and test {self.kind} must share one shape, "
        f"got {list(self.train.shape[1:])} and {list(self.test.shape[1:])}"
      )
    if self.train.dtype != self.test.dtype:
      raise ValueError(
        f"train and test must share one dtype, got {self.train.dtype} and {self.test.dtype}"
      )
    _check_labels("train_labels", self.train_labels, len(self.train))
    _check_labels("test_labels", self.test_labels, len(self.test))

  def __repr__(self) -> str:
    labels = "" if self.train_labels is None else ", labelled"
    return f"Dataset({self.name!r}, train={self.train.shape}, test={self.test.shape}{labels})"

  @property
  def image_shape(self) -> tuple[int, ...]:
    """The shape of every example: (height, width, channels) of images, (d,) of vectors."""
    return tuple(self.train.shape[1:])

  @property
  def kind(self) -> Kind:
    """What the examples are: "vectors", "signals", "images" or "volumes"."""
    return list(KINDS)[len(self.train.shape) - 2]

  @functools.cached_property
  def digest(self) -> str:
    """Identity of the data: the same for the same examples in the same order and split.

    It is the SHA-256 of both arrays. A folder of images has that of its files, which does not
    depend on the decoder, and a published data set its name and version. Labels do not count.
    """
    return self.source or f"sha256:{_sha256(self.train, self.test)}"


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


def _sha256(*arrays: Examples | LazyImages) -> str:
  found = hashlib.sha256()
  for array in arrays:
    found.update(f"{array.dtype.name}{list(array.shape)}".encode())
    for rows in chunks(array):
      found.update(np.ascontiguousarray(array[rows]).data)
  return found.hexdigest()


def _check_examples(name: str, examples: object) -> None:
  found = None
  if not isinstance(examples, np.ndarray | LazyImages):
    found = _checks.type_name(examples)
  elif not 2 <= examples.ndim <= 5 or examples.dtype not in (np.uint8, np.float32):
    found = f"{examples.dtype} of shape {list(examples.shape)}"
  elif not examples.size:
    raise ValueError(f"{name} is empty: shape {list(examples.shape)}")
  if found is not None:
    raise ValueError(
      f"{name} must be uint8 or float32 of shape {', '.join(KINDS.values())}, got {found}"
    )


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
