"""What a refused file looks like."""

import pytest

from aejax import data

__all__ = ["refused"]


def refused(path, match=None, **options):
  """Loads what cannot be loaded, and returns the one sentence that says so."""
  with pytest.raises(ValueError, match=match) as error:
    data.load(path, **options)
  assert "\n" not in str(error.value)
  assert str(error.value).isprintable()
  return str(error.value)
