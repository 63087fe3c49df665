"""Public functions keep their signatures at run time; basedpyright checks them statically."""

import inspect

import pytest
from types_of_public_functions import signatures

from aejax import distances

FUNCTIONS = {function.__name__: function for function in signatures()}


def test_static_checks_cover_every_public_distance():
  functions = {name for name in distances.__all__ if name[0].islower()}
  assert functions == set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signature_is_that_of_the_source(name):
  function = FUNCTIONS[name]
  parameters = inspect.signature(function).parameters
  assert not {"args", "kwargs"} & set(parameters)
  assert function.__doc__
  for parameter in parameters:
    assert parameter in function.__doc__ or parameter in ("bandwidth", "key", "nu")
