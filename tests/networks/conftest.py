import math

import jax
import pytest
from flax import nnx


@pytest.fixture
def num_parameters():
  def count(module):
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))

  return count
