"""The examples in docstrings, run: each public module, as its user would type them."""

import doctest
import importlib
import pkgutil

import jax
import jax.numpy as jnp
import pytest

import aejax
from aejax import distances

MODULES = [m.name for m in pkgutil.walk_packages(aejax.__path__, "aejax.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
  module = importlib.import_module(name)
  result = doctest.testmod(module, extraglobs={**vars(distances), "jax": jax, "jnp": jnp})
  assert result.failed == 0


def test_there_are_examples():
  finder = doctest.DocTestFinder()
  tests = [t for n in MODULES for t in finder.find(importlib.import_module(n)) if t.examples]
  assert len(tests) >= 8
