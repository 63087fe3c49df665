"""Checks of arguments for public functions; each raises a ValueError with one sentence.

Traced values pass, since they are not known yet.
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

# Above this, shapes and indices overflow.
_MAX = 2**31 - 1


def type_name(value: object) -> str:
  """Returns the type of a value in words: 'a str', 'an int', 'None', 'the class Gaussian'."""
  if value is None:
    return "None"
  if isinstance(value, type):
    return f"the class {value.__name__}"
  name = type(value).__name__
  return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"


def short_repr(value: object) -> str:
  """Returns a value for the end of a sentence, on one line and short."""
  if isinstance(value, np.ndarray | jax.Array) and value.ndim:
    return f"an array of shape {list(value.shape)}"
  text = repr(value) if isinstance(value, str | bytes) else str(value)
  text = text if isinstance(value, os.PathLike) else " ".join(text.split())
  text = text if text.isprintable() else repr(text)
  # Paths may be longer than other values. Both ends are kept, since they say more than the middle.
  most = 500 if isinstance(value, os.PathLike) else 80
  return text if len(text) <= most else f"{text[: most // 2 - 3]}...{text[-(most // 2) :]}"


def short_message(error: BaseException) -> str:
  """Returns the message of an error for the end of a sentence, on one line and short."""
  text = " ".join(str(error).split()) or type(error).__name__
  return text if len(text) <= 200 else f"{text[:197]}..."


def integer(name: str, value: Any, *, least: int = 1, most: int = _MAX) -> int:
  """Returns a whole number as an int.

  Raises:
    ValueError: if it is not a whole number, less than `least` or more than `most`.
  """
  try:
    finite = None if isinstance(value, bool | np.bool) else operator.index(value)
  except TypeError:
    finite = None
  if finite is None or finite < least:
    raise ValueError(f"{name} must be a whole number from {least} up, but is {short_repr(value)}.")
  if finite > most:
    limit = "less than 2^31" if most == _MAX else f"at most {most}"
    raise ValueError(f"{name} must be {limit}, but is {short_repr(value)}.")
  return finite


def seed(value: Any) -> int:
  """Returns a seed. JAX drops bits beyond 32, so larger seeds would repeat the draws of others.

  Raises:
    ValueError: if it is not a whole number from 0 to 2^32 − 1.
  """
  if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**32:
    raise ValueError(f"seed must be a whole number from 0 to 2^32 − 1, but is {short_repr(value)}.")
  return value


def positive(name: str, value: Any) -> Any:
  """Returns a positive, finite number unchanged.

  Raises:
    ValueError: for any other value.
  """
  return _number(name, value, "positive and finite", lambda v: 0 < v < math.inf)


def not_negative(name: str, value: Any) -> Any:
  """Returns a finite number that is not negative unchanged.

  Raises:
    ValueError: for any other value.
  """
  return _number(name, value, "finite and not negative", lambda v: 0 <= v < math.inf)


def _number(name: str, value: Any, expected: str, fits: Callable[[float], bool]) -> Any:
  if isinstance(value, Tracer) and not value.ndim:
    return value
  try:
    is_number = not isinstance(value, str | bytes) and np.asarray(value).dtype != bool
    good = is_number and not np.ndim(value) and fits(float(value))
  except (TypeError, ValueError, OverflowError):
    good = False
  if not good:
    raise ValueError(f"{name} must be {expected}, but is {short_repr(value)}.")
  return value


def finite(name: str, value: Any) -> Any:
  """Returns a finite number unchanged.

  Raises:
    ValueError: for any other value.
  """
  return _number(name, value, "a finite number", math.isfinite)


def boolean(name: str, value: Any) -> bool:
  """Returns True or False.

  Raises:
    ValueError: for any other value; the string "no" would count as true.
  """
  if not isinstance(value, bool | np.bool):
    raise ValueError(f"{name} must be True or False, but is {short_repr(value)}.")
  return bool(value)


def one_of(what: str, value: Any, names: Iterable[str]) -> Any:
  """Returns one of `names`.

  Raises:
    ValueError: for any other value; it suggests the nearest names.
  """
  names = list(names)
  if not isinstance(value, str) or value not in names:
    near = difflib.get_close_matches(str(value), names, n=2)
    meant = f": did you mean {' or '.join(near)}?" if near else "."
    raise ValueError(f"There is no {what} {value!r}{meant} There are {', '.join(names)}.")
  return value


def path(name: str, value: Any) -> Path:
  """Returns a path with `~` replaced by the home folder.

  Raises:
    ValueError: if it is not a path, or begins with a home folder that does not exist.
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
  """Returns the path of a writable folder, which is created if it does not exist.

  Raises:
    ValueError: if it cannot be created or written to.
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
  """Returns an instance of a class, or of one of several classes.

  Raises:
    ValueError: if it is an instance of another class, or a class.
  """
  if isinstance(value, type) or not isinstance(value, wanted):
    raise ValueError(f"{name} must be {words}, but is {type_name(value)}.")
  return value


def key(name: str, value: Any) -> Any:
  """Returns a random key, typed or of the old kind (uint32).

  Raises:
    ValueError: if it is not a key, or several keys.
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
  """Returns a typed random key; an old one (uint32) is converted.

  Raises:
    ValueError: if it is not a key, or several keys.
  """
  value = key(name, value)
  return value if not value.ndim else jax.random.wrap_key_data(value)


def array(name: str, value: Any) -> Any:
  """Returns an array unchanged, and a list of numbers as an array.

  Raises:
    ValueError: for any other value, or if it contains anything but numbers.
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
