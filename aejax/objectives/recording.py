"""Objectives as names and numbers that JSON holds, and back."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aejax import _checks
from aejax._import_paths import is_import_path, path_of, resolve

__all__ = ["decode", "encode", "is_encoded"]

_PLAIN = bool | int | float | str | None
_KEYS = ({"class", "fields"}, {"function"}, {"array", "dtype"}, {"tuple"})


def encode(name: str, value: Any) -> Any:
  """Returns the value of a field as JSON holds it.

  Numbers, strings and None stay as they are. A dataclass, such as a prior or a kernel, is recorded
  by its import path and its fields; a function by its import path; an array by its numbers.

  Raises:
    ValueError: if the value is anything else, or has no import path.
  """
  if isinstance(value, _PLAIN):
    return value
  if isinstance(value, np.generic) and not value.ndim:
    return value.item()
  if isinstance(value, jax.Array | np.ndarray):
    array = np.asarray(value)
    return {"array": array.tolist(), "dtype": array.dtype.name}
  if isinstance(value, tuple | list):
    return {"tuple": [encode(name, part) for part in value]}
  if dataclasses.is_dataclass(value) and not isinstance(value, type):
    path = path_of(type(value))
    if path is not None:
      names = [field.name for field in dataclasses.fields(value) if field.init]
      fields = {field: encode(field, getattr(value, field)) for field in names}
      return {"class": path, "fields": fields}
  elif callable(value) and (path := path_of(value)) is not None:
    return {"function": path}
  raise ValueError(
    f"{name} cannot be recorded in config.json, because {_checks.type_name(value)} has no import "
    "path: define it in a module of its own."
  )


def is_encoded(value: Any) -> bool:
  """Returns whether a value of a JSON object is what `encode` makes of an object."""
  return isinstance(value, Mapping) and set(value) in _KEYS


def decode(name: str, value: Any) -> Any:
  """Returns what `encode` recorded.

  Raises:
    ValueError: if it is damaged, or its import path no longer exists.
  """
  if isinstance(value, _PLAIN):
    return value
  if not is_encoded(value):
    raise ValueError(f"{name} is damaged: {_checks.short_repr(value)}.")
  if "tuple" in value:
    return tuple(decode(name, part) for part in _list(name, value["tuple"]))
  if "array" in value:
    try:
      return jnp.asarray(np.asarray(value["array"], jnp.dtype(value["dtype"])))
    except (TypeError, ValueError) as error:
      raise ValueError(f"{name} is damaged: {_checks.short_message(error)}.") from error
  path = value["function"] if "function" in value else value["class"]
  if not is_import_path(path):
    raise ValueError(f"{name} is damaged: {_checks.short_repr(path)} is no import path.")
  found = resolve(name, path)
  if "function" in value:
    if not callable(found):
      raise ValueError(f"{name} must be a function, but {path} is {_checks.type_name(found)}.")
    return found
  if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
    raise ValueError(f"{name} must be a dataclass, but {path} is {_checks.type_name(found)}.")
  if not isinstance(value["fields"], Mapping):
    raise ValueError(f"{name} is damaged: {_checks.short_repr(value['fields'])}.")
  fields = {field: decode(field, part) for field, part in value["fields"].items()}
  try:
    return found(**fields)
  except TypeError as error:
    raise ValueError(f"{name} is not what {path} takes: {_checks.short_message(error)}.") from error


def _list(name: str, value: Any) -> list[Any]:
  if not isinstance(value, list):
    raise ValueError(f"{name} is damaged: {_checks.short_repr(value)}.")
  return value
