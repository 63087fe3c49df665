"""Classes and functions by import path: "package.module:name"."""

import importlib
import os
import sys
from typing import Any

from aejax import _checks

__all__ = ["is_import_path", "path_of", "resolve"]


def is_import_path(name: Any) -> bool:
  """Returns whether a name has the form "package.module:name"."""
  if not isinstance(name, str):
    return False
  module, colon, attributes = name.partition(":")
  parts = [*module.split("."), *attributes.split(".")]
  return bool(colon) and all(part.isidentifier() for part in parts)


def resolve(kind: str, path: str) -> Any:
  """Imports what an import path names; modules in the current folder are found too.

  Args:
    kind: what the path names, for the sentence of an error.
    path: "package.module:name".

  Raises:
    ValueError: if the module or the name in it cannot be imported.
  """
  module, _, attributes = path.partition(":")
  added = os.getcwd()  # a script's own folder is on the path, but not that of the command
  sys.path.append(added)
  try:
    found = importlib.import_module(module)
    for attribute in attributes.split("."):
      found = getattr(found, attribute)
  except (ImportError, AttributeError) as error:
    raise ValueError(
      f"The {kind} {path} cannot be imported: {_checks.short_message(error)}."
    ) from error
  except Exception as error:  # the module of the user may raise anything
    raise ValueError(
      f"The {kind} {path} cannot be imported: its module raises {type(error).__name__}: "
      f"{_checks.short_message(error)}."
    ) from error
  finally:
    sys.path.remove(added)
  return found


def path_of(thing: Any) -> str | None:
  """Returns the import path of a class or a function; None if it has none.

  What a script or a notebook defines itself, or one function inside another, has none.
  """
  module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
  if not isinstance(module, str) or not isinstance(name, str) or module == "__main__":
    return None
  path = f"{module}:{name}"
  if not is_import_path(path):
    return None
  try:
    return path if resolve("name", path) is thing else None
  except ValueError:
    return None
