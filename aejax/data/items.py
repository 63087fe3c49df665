"""What pipelines of users yield: an example, alone or with its label, or a batch of them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from aejax import _checks
from aejax._messages import warn
from aejax.data.dataset import KINDS, Kind

__all__ = ["Item", "is_batch", "parse"]

_EXAMPLE_NAMES = ("image", "images", "img", "x", "example", "vector", "signal", "volume")
_LABEL_NAMES = ("label", "labels", "y", "target", "class")


class Item(NamedTuple):
  """One item of a pipeline.

  Attributes:
    example: an example, or a batch of them.
    label: its class, a whole number or a name; those of a batch are an array; None without.
  """

  example: Shaped[np.ndarray, "..."]
  label: Shaped[np.ndarray, "..."] | None


def parse(item: Any, name: str) -> Item:
  """Returns the example and the label of an item.

  An item is an example, a pair (example, label), or a dict. In a dict, the example is called image,
  images, img, x, example, vector, signal or volume, or is the only entry besides the label, which
  is called label, labels, y, target or class.

  Args:
    item: what a pipeline yields; arrays of any library.
    name: name of the item in error messages, such as "data[3]".

  Raises:
    ValueError: if it is none of these, or the arrays hold no numbers.
  """
  label = None
  if isinstance(item, Mapping):
    item, label = _from_mapping(item, name)
  elif _is_pair(item):
    item, label = item
  elif isinstance(item, tuple) and not all(map(_is_number, item)):
    raise ValueError(
      f"{name} must be an example or a pair (example, label), but is a tuple of {len(item)}."
    )
  example = _as_numbers(item, name)
  return Item(example, None if label is None else _as_label(label, name))


def is_batch(item: Item, kind: Kind | None, name: str) -> bool:
  """Returns whether an item is a batch of examples.

  With a kind of data, the number of axes tells. Without one, an item with several labels is a
  batch, and every other item one example. A warning says so if it may be a batch.
  """
  shape = item.example.shape
  if item.label is not None:
    if item.label.ndim and (item.label.shape != shape[:1] or len(shape) < 2):
      raise ValueError(
        f"the label of {name} must be a whole number or a name, but has shape "
        f"{list(item.label.shape)}."
      )
    return item.label.ndim == 1
  if kind is not None:
    axes = len(KINDS[kind].split(",")) - 1
    if kind == "images" and len(shape) == 3:
      return shape[2] not in (1, 3)  # [n, height, width]
    return len(shape) == axes + 1
  if len(shape) in (2, 4):
    warn(
      f"each item of {name.partition('[')[0]} has shape {list(shape)} and is taken for one "
      "example: if the items are batches, use data.from_source with kind="
    )
  return False


def _from_mapping(item: Mapping[Any, Any], name: str) -> tuple[Any, Any]:
  labels = [key for key in item if key in _LABEL_NAMES]
  others = [key for key in item if key not in labels]
  named = [key for key in others if key in _EXAMPLE_NAMES]
  found = named or others
  if len(found) != 1:
    raise ValueError(
      f"{name} must have one entry for the example, such as image, and may have a label, but has "
      f"{', '.join(map(str, item)) or 'none'}."
    )
  return item[found[0]], item[labels[0]] if len(labels) == 1 else None


def _as_numbers(value: Any, name: str) -> Shaped[np.ndarray, "..."]:
  if value is None:
    raise ValueError(
      f"{name} is None: a source with random access cannot leave out items, but an iterable can"
    )
  if isinstance(value, str | bytes):
    raise ValueError(f"{name} must be an array of numbers, but is {_checks.type_name(value)}.")
  try:
    array = np.asarray(value)
  except (TypeError, ValueError) as error:
    raise ValueError(f"{name} must be an array: {_checks.short_message(error)}") from error
  if array.dtype.kind not in "iubf" and not jnp.issubdtype(array.dtype, jnp.floating):
    is_object = array.dtype == object
    found = f"is {_checks.type_name(value)}" if is_object else f"has dtype {array.dtype}"
    raise ValueError(f"{name} must be an array of numbers, but {found}.")
  if array.ndim < 1:
    raise ValueError(f"{name} must be an example, but is a single number.")
  # Files of NumPy cannot hold bfloat16.
  return array if array.dtype.kind in "iubf" else array.astype(np.float32)


def _as_label(label: Any, name: str) -> Shaped[np.ndarray, "..."]:
  array = np.asarray(label)
  if array.dtype.kind == "S":
    array = array.astype(str)
  if array.dtype.kind not in "iuUb" or array.ndim > 1:
    raise ValueError(
      f"the label of {name} must be a whole number or a name, but is {array.dtype} of shape "
      f"{list(array.shape)}."
    )
  return array


def _is_pair(item: Any) -> bool:
  # A list of two lists is a signal of two steps, but loaders yield lists of two arrays.
  if not isinstance(item, tuple | list) or len(item) != 2 or _is_number(item[0]):
    return False
  return isinstance(item, tuple) or hasattr(item[0], "__array__")


def _is_number(value: Any) -> bool:
  return isinstance(value, int | float | np.number) or (
    isinstance(value, np.ndarray | jax.Array) and not value.ndim
  )
