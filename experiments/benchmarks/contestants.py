"""Those that a cell sets side by side, each prepared and checked the same way."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from benchmarks.distances import DISTANCES, NORMAL, Cell
from benchmarks.floors import prepare_floor
from benchmarks.peer import Calls, Peer
from benchmarks.programs import prepare_ours, value_and_gradients
from benchmarks.results import Row

__all__ = ["FLOOR", "OURS", "Contestant", "contestants", "disagreement"]

OURS, FLOOR = "aejax", "floor"


@dataclasses.dataclass(frozen=True)
class Contestant:
  """One of those that a cell sets side by side.

  Attributes:
    name: OURS, FLOOR or a peer's.
    form: the target it takes.
    prepare: cell -> its calls by mode, "forward" and "gradient".
    check: what is wrong with what "gradient" returned at a cell, or None.
    num_bytes: about how much memory it takes.
    rivals: the forms of ours that it stands beside.
  """

  name: str
  form: str
  prepare: Callable[[Cell], Calls]
  check: Callable[[Cell, Any], str | None] = lambda cell, result: None
  num_bytes: Callable[[Cell], float] = lambda cell: 0.0
  rivals: tuple[str, ...] = ()

  def fields(self) -> Row:
    """As the fields of a row."""
    fields: Row = {"contestant": self.name, "form": self.form}
    return {**fields, "rivals": list(self.rivals)} if self.rivals else fields


def contestants(cell: Cell, peers: Iterable[Peer]) -> list[Contestant]:
  """Those that meet in a cell: ours alone, but for float32 on one device."""
  distance = DISTANCES[cell.distance]
  found = [_ours(form) for form in distance.forms]
  if cell.devices > 1 or cell.dtype != "float32":
    return found
  if distance.floor:
    floor = distance.floor
    found.append(Contestant(FLOOR, NORMAL, lambda cell: prepare_floor(floor, cell.data())))
  return found + [_of_peer(peer) for peer in peers if peer.distance == cell.distance]


def disagreement(
  value: float,
  gradients: Iterable[np.ndarray],
  expected: float,
  slopes: Iterable[np.ndarray],
  *,
  tolerance: float,
) -> str | None:
  """How a value and gradients differ from what is expected, or None if they do not."""
  # Written so that a NaN differs.
  if not abs(value - expected) <= tolerance * abs(expected):
    return f"its value is {value:.6g}, but ours says {expected:.6g}"
  for gradient, slope in zip(gradients, slopes, strict=True):
    error = np.linalg.norm(gradient - slope) / np.linalg.norm(slope)
    if not error <= tolerance:
      return f"its gradient differs from ours by {error:.2g} of its length"
  return None


def _ours(form: str) -> Contestant:
  def check(cell, result):
    if cell.devices == 1:
      return None
    distance = DISTANCES[cell.distance]
    whole = value_and_gradients(distance.forms[form], distance.inputs, cell)
    value, gradients = float(result[0]), [np.asarray(result[1][k]) for k in distance.inputs]
    return disagreement(value, gradients, *whole, tolerance=1e-3)

  return Contestant(OURS, form, lambda cell: prepare_ours(cell, form), check)


def _of_peer(peer: Peer) -> Contestant:
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

  return Contestant(
    peer.name,
    peer.form,
    lambda cell: peer.prepare(cell.data()),
    check,
    peer.num_bytes,
    peer.rivals,
  )


def _as_array(value: Any) -> np.ndarray:
  return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
