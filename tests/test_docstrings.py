"""Runs the examples in docstrings, as a user would type them."""

import doctest
import importlib.util
import pkgutil
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

import aejax
from aejax import distances

MODULES = [
  module.name
  for module in pkgutil.walk_packages(aejax.__path__, "aejax.")
  if not module.ispkg
  and (spec := importlib.util.find_spec(module.name)) is not None
  and ">>>" in Path(spec.origin or "").read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
  module = importlib.import_module(name)
  result = doctest.testmod(module, extraglobs={**vars(distances), "jax": jax, "jnp": jnp})
  assert result.attempted > 0
  assert result.failed == 0


def test_distances_have_examples():
  assert {"aejax.distances.cramer_wold", "aejax.distances.mmd"} <= set(MODULES)
