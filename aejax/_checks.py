"""What arguments must be: checks for public entrances, each with its one sentence.

What is traced has no value yet, and passes.
"""

import difflib
import math
import operator
import os
from collections.abc import Iterable
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

# Beyond, shapes and indices overflow long before memory has ended the attempt.
_MOST = 2**31 - 1


def type_name(value: object) -> str:
  """What a value is, in words: 'a str', 'an int', 'None', 'the class Gaussian'."""
  if value is None:
    return "None"
  if isinstance(value, type):
    return f"the class {value.__name__}"
  name = type(value).__name__
  return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


def short_repr(value: object) -> str:
  """A value for the end of a sentence: on one line, and short."""
  if isinstance(value, np.ndarray | jax.Array) and value.ndim:
    return f"an array of shape {list(value.shape)}"
  text = repr(value) if isinstance(value, str | bytes) else str(value)
  text = text if isinstance(value, os.PathLike) else " ".join(text.split())
  text = text if text.isprintable() else repr(text)
  # A path is worth more room than other values; of all, the ends tell more than the middle.
  most = 500 if isinstance(value, os.PathLike) else 80
  return text if len(text) <= most else f"{text[: most // 2 - 3]}...{text[-(most // 2) :]}"


def short_message(error: BaseException) -> str:
  """What an error says, for the end of a sentence: on one line, and not too long."""
  text = " ".join(str(error).split()) or type(error).__name__
  return text if len(text) <= 200 else f"{text[:197]}..."


def integer(name: str, value: Any, *, least: int = 1, most: int = _MOST) -> int:
  """Returns a whole number as an int.

  Raises:
    ValueError: if it is none, less than `least`, or more than `most`: by default, beyond 32 bits.
  """
  try:
    finite = None if isinstance(value, bool | np.bool) else operator.index(value)
  except TypeError:
    finite = None
  if finite is None or finite < least:
    raise ValueError(f"{name} must be a whole number from {least} up, but is {short_repr(value)}.")
  if finite > most:
    limit = "less than 2^31" if most == _MOST else f"at most {most}"
    raise ValueError(f"{name} must be {limit}, but is {short_repr(value)}.")
  return finite


def seed(value: Any) -> int:
  """Returns a seed; JAX would drop what exceeds 32 bits, and give two seeds the same draws.

  Raises:
    ValueError: if it is no whole number from 0 to 2^32 − 1.
  """
  if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**32:
    raise ValueError(f"seed must be a whole number from 0 to 2^32 − 1, but is {short_repr(value)}.")
  return value


def positive(name: str, value: Any) -> Any:
  """Returns a positive, finite number as it is.

  Raises:
    ValueError: if it is none.
  """
  return _number(name, value, "positive and finite", lambda v: 0 < v < math.inf)


def not_negative(name: str, value: Any) -> Any:
  """Returns a finite number that is not negative as it is.

  Raises:
    ValueError: if it is none.
  """
  return _number(name, value, "finite and not negative", lambda v: 0 <= v < math.inf)


def _number(name, value, expected, fits):
  if isinstance(value, Tracer) and not value.ndim:
    return value
  try:
    good = not isinstance(value, str | bytes) and not np.ndim(value) and fits(float(value))
  except (TypeError, ValueError, OverflowError):
    good = False
  if not good:
    raise ValueError(f"{name} must be {expected}, but is {short_repr(value)}.")
  return value


def finite(name: str, value: Any) -> Any:
  """Returns a finite number as it is.

  Raises:
    ValueError: if it is none.
  """
  return _number(name, value, "a finite number", math.isfinite)


def boolean(name: str, value: Any) -> bool:
  """Returns True or False.

  Raises:
    ValueError: for all else: a string "no" would count as true.
  """
  if not isinstance(value, bool | np.bool):
    raise ValueError(f"{name} must be True or False, but is {short_repr(value)}.")
  return bool(value)


def one_of(what: str, value: Any, names: Iterable[str]) -> Any:
  """Returns one of `names`.

  Raises:
    ValueError: for all else, with the nearest of them.
  """
  names = list(names)
  if not isinstance(value, str) or value not in names:
    near = difflib.get_close_matches(str(value), names, n=2)
    meant = f": did you mean {' or '.join(near)}?" if near else "."
    raise ValueError(f"There is no {what} {value!r}{meant} There are {', '.join(names)}.")
  return value


def path(name: str, value: Any) -> Path:
  """Returns a path, its `~` replaced.

  Raises:
    ValueError: if it is none, or begins with the home folder of a user who has none.
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
  """Returns the path of a folder, made if need be: before the work of hours, not after.

  Raises:
    ValueError: if there can be none.
  """
  found = path(name, value)
  try:
    found.mkdir(parents=True, exist_ok=True)
    if not os.access(found, os.W_OK):
      raise PermissionError("it is not writable")
  except (OSError, ValueError) as error:
    short_message = getattr(error, "strerror", None) or error
    raise ValueError(
      f"{name} must be a folder, but is {short_repr(found)}: {short_message}."
    ) from None
  return found


def instance(name: str, value: Any, wanted: type | tuple[type, ...], words: str) -> Any:
  """Returns an object of a class, or of one of several.

  Raises:
    ValueError: if it is of another, or a class itself.
  """
  if isinstance(value, type) or not isinstance(value, wanted):
    raise ValueError(f"{name} must be {words}, but is {type_name(value)}.")
  return value


def key(name: str, value: Any) -> Any:
  """Returns one key, of the new kind or of the old.

  Raises:
    ValueError: if it is none, or several.
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
  """Returns one key of the new kind, for those who take no other.

  Raises:
    ValueError: if it is none, or several.
  """
  value = key(name, value)
  return value if not value.ndim else jax.random.wrap_key_data(value)


def array(name: str, value: Any) -> Any:
  """Returns an array as it is, and lists of numbers as one.

  Raises:
    ValueError: if it is neither, or holds anything but numbers.
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
