"""Checks that a file is rejected with one sentence."""

import os
from typing import Any

import pytest

from aejax import data

__all__ = ["assert_rejected"]


def assert_rejected(path: str | os.PathLike[str], match: str | None = None, **options: Any) -> str:
  """Asserts that `data.load` raises a ValueError of one printable line, and returns that line."""
  with pytest.raises(ValueError, match=match) as error:
    data.load(path, **options)
  assert "\n" not in str(error.value)
  assert str(error.value).isprintable()
  return str(error.value)
