"""The implementations that a case compares: ours, the lower bound and peers, with their checks."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from benchmarks.distance_plan import Case
from benchmarks.distances import DISTANCES, NORMAL
from benchmarks.lower_bounds import LOWER_BOUNDS
from benchmarks.peer import Calls, Peer
from benchmarks.programs import prepare_ours, value_and_gradients
from benchmarks.results import LOWER_BOUND, OURS, Row

__all__ = ["Implementation", "disagreement", "implementations"]


@dataclasses.dataclass(frozen=True)
class Implementation:
  """One implementation of a distance.

  Attributes:
    name: OURS, LOWER_BOUND or the name of a peer.
    form: target that the distance compares with.
    prepare: function of a case that returns calls by mode, "forward" and "gradient".
    check: function of a case and of what "gradient" returned there; it returns the error in words,
      or None.
    num_bytes: approximate memory that a case needs.
    counterparts: our forms that it is compared with.
  """

  name: str
  form: str
  prepare: Callable[[Case], Calls]
  check: Callable[[Case, Any], str | None] = lambda case, result: None
  num_bytes: Callable[[Case], float] = lambda case: 0.0
  counterparts: tuple[str, ...] = ()

  def fields(self) -> Row:
    """Returns the fields of a row that identify this implementation."""
    fields: Row = {"contestant": self.name, "form": self.form}
    return {**fields, "rivals": list(self.counterparts)} if self.counterparts else fields


def implementations(case: Case, peers: Iterable[Peer]) -> list[Implementation]:
  """Returns what to compare in a case; only ours unless it is float32 on one device."""
  distance = DISTANCES[case.distance]
  found = [_ours(form) for form in distance.forms]
  if case.devices > 1 or case.dtype != "float32":
    return found
  if distance.lower_bound:
    prepare = LOWER_BOUNDS[distance.lower_bound]
    found.append(Implementation(LOWER_BOUND, NORMAL, lambda case: prepare(case.data())))
  return found + [_of_peer(peer) for peer in peers if peer.distance == case.distance]


def disagreement(
  value: float,
  gradients: Iterable[np.ndarray],
  expected_value: float,
  expected_gradients: Iterable[np.ndarray],
  *,
  tolerance: float,
) -> str | None:
  """Returns in words how a value and its gradients differ from ours, or None if they agree."""
  # `not ... <=` rather than `>`: a NaN must count as a difference.
  if not abs(value - expected_value) <= tolerance * abs(expected_value):
    return f"its value is {value:.6g}, but ours is {expected_value:.6g}"
  for gradient, expected in zip(gradients, expected_gradients, strict=True):
    error = np.linalg.norm(gradient - expected) / np.linalg.norm(expected)
    if not error <= tolerance:
      return f"its gradient has a relative error of {error:.2g}"
  return None


def _ours(form: str) -> Implementation:
  def check(case: Case, result: Any) -> str | None:
    """Compares the value and gradients over several devices with those of one device."""
    if case.devices == 1:
      return None
    distance = DISTANCES[case.distance]
    value, gradients = float(result[0]), [np.asarray(result[1][k]) for k in distance.inputs]
    expected = value_and_gradients(distance.forms[form], distance.inputs, case)
    return disagreement(value, gradients, *expected, tolerance=1e-3)

  return Implementation(OURS, form, lambda case: prepare_ours(case, form), check)


def _of_peer(peer: Peer) -> Implementation:
  def check(case: Case, result: Any) -> str | None:
    value, gradients = result
    return disagreement(
      float(_as_array(value)) / peer.factor,
      [_as_array(g) / peer.factor for g in gradients],
      *value_and_gradients(peer.ours, DISTANCES[case.distance].inputs, case),
      tolerance=peer.tolerance,
    )

  return Implementation(
    peer.name,
    peer.form,
    lambda case: peer.prepare(case.data()),
    check,
    peer.num_bytes,
    peer.counterparts,
  )


def _as_array(value: Any) -> np.ndarray:
  return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
