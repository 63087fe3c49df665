"""Other libraries, imported when they are used and not before."""

import contextlib
import importlib
import warnings
from collections.abc import Iterator
from typing import Any

__all__ = ["foreign", "quiet"]


def foreign(name: str) -> Any:
  """A module of another library, untyped: it need not be installed where types are checked."""
  with quiet():
    return importlib.import_module(name)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
  """What others warn of when they are imported or traced is theirs."""
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    yield
