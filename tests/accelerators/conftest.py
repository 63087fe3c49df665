"""Programs compiled for accelerators, each once in a session."""

import functools

import pytest
from compiled import targets  # before JAX starts
from compiled.measure import Row, measure
from compiled.programs import distance, train_loop

DIM = 64


@pytest.fixture(scope="session")
def distance_row():
  """Compiles value and gradient of a distance, (name, n, target) -> Row."""

  @functools.cache
  def compiled(name: str, n: int, target: str) -> Row:
    row = measure(distance(name, n, DIM, several=":" in target), target)
    assert not row.error, row.error
    return row

  return compiled


@pytest.fixture(scope="session")
def step_row():
  """Compiles the loop of training steps, (method, network, target) -> Row."""

  @functools.cache
  def compiled(method: str, network: str, target: str, precision: str = "float32") -> Row:
    mesh = targets.mesh(target) if ":" in target else None
    row = measure(
      train_loop(method, network, batch_size=256, precision=precision, mesh=mesh), target
    )
    assert not row.error, row.error
    return row

  return compiled
