"""The implementations that a cell compares: ours, a lower bound, and those of other libraries."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from benchmarks.distances import DISTANCES, NORMAL, Cell
from benchmarks.lower_bounds import LOWER_BOUNDS
from benchmarks.peer import Calls, Peer
from benchmarks.programs import prepare_ours, value_and_gradients
from benchmarks.results import Row

__all__ = ["LOWER_BOUND", "OURS", "Implementation", "disagreement", "implementations"]

OURS = "aejax"
LOWER_BOUND = "floor"  # the name in stored results


@dataclasses.dataclass(frozen=True)
class Implementation:
  """An implementation of a distance.

  Attributes:
    name: OURS, LOWER_BOUND or the name of a peer.
    form: target of the distance.
    prepare: function of a cell that returns the calls by mode, "forward" and "gradient".
    check: function of a cell and the result of "gradient" that returns an error in words, or None.
    num_bytes: function of a cell that estimates the memory of a call.
    rivals: forms of ours that the implementation is compared with.
  """

  name: str
  form: str
  prepare: Callable[[Cell], Calls]
  check: Callable[[Cell, Any], str | None] = lambda cell, result: None
  num_bytes: Callable[[Cell], float] = lambda cell: 0.0
  rivals: tuple[str, ...] = ()

  def fields(self) -> Row:
    """Returns the fields that identify the implementation in a row."""
    fields: Row = {"contestant": self.name, "form": self.form}
    return {**fields, "rivals": list(self.rivals)} if self.rivals else fields


def implementations(cell: Cell, peers: Iterable[Peer]) -> list[Implementation]:
  """Returns the implementations of a cell; only ours supports other precisions and devices."""
  distance = DISTANCES[cell.distance]
  found = [_ours(form) for form in distance.forms]
  if cell.devices > 1 or cell.dtype != "float32":
    return found
  if distance.lower_bound:
    prepare = LOWER_BOUNDS[distance.lower_bound]
    found.append(Implementation(LOWER_BOUND, NORMAL, lambda cell: prepare(cell.data())))
  return found + [_of_peer(peer) for peer in peers if peer.distance == cell.distance]


def disagreement(
  value: float,
  gradients: Iterable[np.ndarray],
  expected: float,
  slopes: Iterable[np.ndarray],
  *,
  tolerance: float,
) -> str | None:
  """Describes how a value and gradients differ from the expected ones; None if they agree."""
  # `not a <= b` is true for a NaN, `a > b` is not.
  if not abs(value - expected) <= tolerance * abs(expected):
    return f"its value is {value:.6g}, but ours says {expected:.6g}"
  for gradient, slope in zip(gradients, slopes, strict=True):
    error = np.linalg.norm(gradient - slope) / np.linalg.norm(slope)
    if not error <= tolerance:
      return f"its gradient differs from ours by {error:.2g} of its length"
  return None


def _ours(form: str) -> Implementation:
  def check(cell, result):
    if cell.devices == 1:
      return None
    distance = DISTANCES[cell.distance]
    expected = value_and_gradients(distance.forms[form], distance.inputs, cell)
    value, gradients = float(result[0]), [np.asarray(result[1][k]) for k in distance.inputs]
    return disagreement(value, gradients, *expected, tolerance=1e-3)

  return Implementation(OURS, form, lambda cell: prepare_ours(cell, form), check)


def _of_peer(peer: Peer) -> Implementation:
  def check(cell, result):
    value, gradients = result
    expected, slopes = value_and_gradients(peer.ours, DISTANCES[cell.distance].inputs, cell)
    return disagreement(
      float(_as_array(value)) / peer.factor,
      [_as_array(g) / peer.factor for g in gradients],
      expected,
      slopes,
      tolerance=peer.tolerance,
    )

  return Implementation(
    peer.name,
    peer.form,
    lambda cell: peer.prepare(cell.data()),
    check,
    peer.num_bytes,
    peer.rivals,
  )


def _as_array(value: Any) -> np.ndarray:
  return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
