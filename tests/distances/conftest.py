"""Distances are compiled as for users: optimisations change how their float32 sums are rounded."""

import jax
import pytest


@pytest.fixture(scope="module", autouse=True)
def _all_optimisations():
  previous = jax.config.read("jax_disable_most_optimizations")
  jax.config.update("jax_disable_most_optimizations", False)
  yield
  jax.config.update("jax_disable_most_optimizations", previous)
