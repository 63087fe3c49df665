"""Checks of arguments for public functions; each raises a ValueError with one sentence.

A traced number has no value to check, so it passes.
"""

import difflib
import math
import operator
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

__all__ = [
  "array",
  "boolean",
  "finite",
  "folder",
  "instance",
  "integer",
  "key",
  "new_key",
  "not_negative",
  "one_of",
  "path",
  "positive",
  "seed",
  "short_message",
  "short_repr",
  "type_name",
]

# Above this limit, shapes and indices overflow before memory runs out.
_MAX_INTEGER = 2**31 - 1


def type_name(value: object) -> str:
  """Returns a value's type in words: 'a str', 'an int', 'None', 'the class Gaussian'."""
  if value is None:
    return "None"
  if isinstance(value, type):
    return f"the class {value.__name__}"
  name = type(value).__name__
  return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


def short_repr(value: object) -> str:
  """Returns a value for the end of a sentence, short and on one line."""
  if isinstance(value, np.ndarray | jax.Array) and value.ndim:
    return f"an array of shape {list(value.shape)}"
  text = repr(value) if isinstance(value, str | bytes) else str(value)
  text = text if isinstance(value, os.PathLike) else " ".join(text.split())
  text = text if text.isprintable() else repr(text)
  # Paths may be longer than other values. The ends say more than the middle.
  limit = 500 if isinstance(value, os.PathLike) else 80
  return text if len(text) <= limit else f"{text[: limit // 2 - 3]}...{text[-(limit // 2) :]}"


def short_message(error: BaseException) -> str:
  """Returns an error's message for the end of a sentence, at most 200 characters on one line."""
  text = " ".join(str(error).split()) or type(error).__name__
  return text if len(text) <= 200 else f"{text[:197]}..."


def integer(name: str, value: Any, *, least: int = 1, most: int = _MAX_INTEGER) -> int:
  """Returns a whole number as an int.

  Raises:
    ValueError: if `value` is not a whole number from `least` to `most`, by default 2³¹ − 1.
  """
  try:
    number = None if isinstance(value, bool | np.bool) else operator.index(value)
  except TypeError:
    number = None
  if number is None or number < least:
    raise ValueError(f"{name} must be a whole number from {least} up, but is {short_repr(value)}.")
  if number > most:
    limit = "less than 2^31" if most == _MAX_INTEGER else f"at most {most}"
    raise ValueError(f"{name} must be {limit}, but is {short_repr(value)}.")
  return number


def seed(value: Any) -> int:
  """Returns a seed. JAX drops the bits above 32, so two larger seeds could give the same samples.

  Raises:
    ValueError: if `value` is not a whole number from 0 to 2^32 − 1.
  """
  if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**32:
    raise ValueError(f"seed must be a whole number from 0 to 2^32 − 1, but is {short_repr(value)}.")
  return value


def positive(name: str, value: Any) -> Any:
  """Returns a positive, finite number unchanged.

  Raises:
    ValueError: if `value` is anything else.
  """
  return _number(name, value, "positive and finite", lambda v: 0 < v < math.inf)


def not_negative(name: str, value: Any) -> Any:
  """Returns a finite number that is not negative, unchanged.

  Raises:
    ValueError: if `value` is anything else.
  """
  return _number(name, value, "finite and not negative", lambda v: 0 <= v < math.inf)


def _number(name: str, value: Any, expected: str, fits: Callable[[float], bool]) -> Any:
  """Returns a number unchanged, or raises a ValueError. Traced numbers pass, booleans do not."""
  is_boolean = isinstance(value, bool) or getattr(value, "dtype", None) == np.bool
  if isinstance(value, Tracer) and not value.ndim and not is_boolean:
    return value
  try:
    is_number = not is_boolean and not isinstance(value, str | bytes) and not np.ndim(value)
    valid = is_number and fits(float(value))
  except (TypeError, ValueError, OverflowError):
    valid = False
  if not valid:
    raise ValueError(f"{name} must be {expected}, but is {short_repr(value)}.")
  return value


def finite(name: str, value: Any) -> Any:
  """Returns a finite number unchanged.

  Raises:
    ValueError: if `value` is anything else.
  """
  return _number(name, value, "a finite number", math.isfinite)


def boolean(name: str, value: Any) -> bool:
  """Returns True or False.

  Raises:
    ValueError: if `value` is anything else; the string "no", for example, would count as true.
  """
  if not isinstance(value, bool | np.bool):
    raise ValueError(f"{name} must be True or False, but is {short_repr(value)}.")
  return bool(value)


def one_of(kind: str, value: Any, names: Iterable[str]) -> Any:
  """Returns one of `names`.

  Raises:
    ValueError: if `value` is anything else; the sentence suggests the nearest names.
  """
  names = list(names)
  if not isinstance(value, str) or value not in names:
    near = difflib.get_close_matches(str(value), names, n=2)
    meant = f": did you mean {' or '.join(near)}?" if near else "."
    raise ValueError(f"There is no {kind} {value!r}{meant} There are {', '.join(names)}.")
  return value


def path(name: str, value: Any) -> Path:
  """Returns a path, with a leading `~` expanded.

  Raises:
    ValueError: if `value` is not a path, or `~user` has no home folder.
  """
  if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
    raise ValueError(f"{name} must be a path, but is {type_name(value)}.")
  try:
    return Path(value).expanduser()
  except RuntimeError:
    raise ValueError(
      f"{name} is {short_repr(os.fspath(value))}, but there is no such home."
    ) from None


def folder(name: str, value: Any) -> Path:
  """Returns the path of a writable folder, and creates it if necessary.

  Call it before a long computation, so that a bad path fails early.

  Raises:
    ValueError: if the folder cannot be created or written to.
  """
  found = path(name, value)
  try:
    found.mkdir(parents=True, exist_ok=True)
    if not os.access(found, os.W_OK):
      raise PermissionError("it is not writable")
  except (OSError, ValueError) as error:
    reason = getattr(error, "strerror", None) or error
    raise ValueError(f"{name} must be a folder, but is {short_repr(found)}: {reason}.") from None
  return found


def instance(name: str, value: Any, wanted: type | tuple[type, ...], words: str) -> Any:
  """Returns an instance of a class, or of one of several classes.

  Raises:
    ValueError: if `value` is anything else, also if it is a class.
  """
  if isinstance(value, type) or not isinstance(value, wanted):
    raise ValueError(f"{name} must be {words}, but is {type_name(value)}.")
  return value


def key(name: str, value: Any) -> Any:
  """Returns one random key, either typed or of the old uint32 kind.

  Raises:
    ValueError: if `value` is not a key, or an array of several keys.
  """
  if isinstance(value, jax.Array | np.ndarray):
    if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
      if not value.ndim:
        return value
      raise ValueError(f"{name} must be one jax.random.key, but is {value.size} of them.")
    if value.dtype == np.uint32 and value.shape in ((2,), (4,)):
      return value
    raise ValueError(
      f"{name} must be a jax.random.key, but is {value.dtype} of shape {list(value.shape)}."
    )
  raise ValueError(f"{name} must be a jax.random.key, but is {type_name(value)}.")


def new_key(name: str, value: Any) -> Any:
  """Returns one typed random key, converted from the old uint32 kind if necessary.

  Raises:
    ValueError: if `value` is not a key, or an array of several keys.
  """
  value = key(name, value)
  return value if not value.ndim else jax.random.wrap_key_data(value)


def array(name: str, value: Any) -> Any:
  """Returns an array unchanged, or converts lists of numbers to one.

  Raises:
    ValueError: if `value` is neither, or holds anything other than numbers.
  """
  if isinstance(value, jax.Array):
    return value
  if isinstance(value, list | tuple) or hasattr(value, "__jax_array__"):
    try:
      return jnp.asarray(value)
    except (TypeError, ValueError, OverflowError):
      pass
  elif isinstance(value, np.ndarray | np.generic):
    if value.dtype.kind in "biufc" or jnp.issubdtype(value.dtype, jnp.floating):
      return value
    raise ValueError(f"{name} must be an array of numbers, but has dtype {value.dtype}.")
  raise ValueError(f"{name} must be an array of numbers, but is {type_name(value)}.")
