"""Imports other libraries at the time of their use."""

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from typing import Any

__all__ = ["optional_import", "quiet"]


def optional_import(name: str) -> Any:
  """Returns a module of another library, typed Any because it may not be installed."""
  with quiet():
    return importlib.import_module(name)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
  """Ignores warnings that another library issues when it is imported or traced."""
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    yield
