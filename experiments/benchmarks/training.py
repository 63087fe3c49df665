"""What training costs: steps beside other libraries' and beside the plain autoencoder's."""

import functools
import importlib.util
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from aejax import distances, networks, objectives, training
from aejax.training.interruption import interruption
from benchmarks import torch_training as peers
from benchmarks.environment import environment
from benchmarks.first_step import measure_first_step
from benchmarks.peer import INSTALL
from benchmarks.progress import CellProgress
from benchmarks.results import Results, Row
from benchmarks.run import Interrupted
from benchmarks.timing import measure
from benchmarks.training_plan import Plan
from benchmarks.training_programs import Training, Workload, matrix_products
from benchmarks.training_report import (
  COMPILED,
  EAGER,
  LOWER_BOUND,
  OURS,
  PYTHAE,
  draw_figure,
  write_report,
)

__all__ = ["alternate", "benchmark_training"]

_COMPILED_METHODS = ("ae", "cwae")
_CHECKED_STEPS = 5
# Rounding grows step by step; measured, 4e-5 at most. A wrong ε or bias correction of Adam, or a
# layer that lies otherwise, shows from the second step on in the second digit.
_TOLERANCE = 3e-4
# A call of ours: long beside the cost of calling, short enough for `measure` to warm it up.
_CALL_SECONDS = 0.045


def benchmark_training(plan: Plan, out: Path) -> list[Path]:
  """Measures what `out` does not hold yet, and writes what it then holds.

  Args:
    plan: what to measure.
    out: a folder, made if need be; results.json in it is what an interrupted run goes on from.

  Returns:
    The files written.

  Raises:
    ValueError: if `out` holds results of another environment.
    Interrupted: after the part during which a signal came; what is measured is kept.
  """
  results = Results(
    out / "results.json",
    environment([training, networks, objectives, distances], ("flax", "optax", "torch", "pythae")),
    plan.settings(),
  )
  absent = _absent() if plan.peers else {}
  tasks = list(_tasks(plan, absent))
  with CellProgress(len(tasks)) as progress, interruption() as interrupted:
    for cell, work in tasks:
      if not results.has(cell):
        progress.start(" ".join(str(value) for value in cell.values()))
        results.add(cell, work())
      progress.done()
      if (number := interrupted()) is not None:
        raise Interrupted(out, number)
  figure = draw_figure(results.rows, out / "step_time.png")
  return [results.path, write_report(results, out / "results.md", absent, figure), figure]


def _tasks(plan: Plan, absent: dict[str, str]) -> Iterator[tuple[Row, Callable[[], list[Row]]]]:
  for workload in plan.workloads:
    # Quick, a slow network would take most of the minute.
    brief = plan.quick and workload.network != "mlp"
    for method in plan.methods[:1] if brief else plan.methods:
      work = functools.partial(_steps, plan, workload, method, absent)
      yield {"kind": "step", "network": workload.network, "method": method}, work
    for method in plan.methods:
      if method != "ae" and not brief:
        work = functools.partial(_overhead, plan, workload, method)
        yield {"kind": "overhead", "network": workload.network, "method": method}, work
    if workload.network == "mlp":
      for method in plan.first_steps:
        work = functools.partial(_first_step, workload, method)
        yield {"kind": "first step", "network": workload.network, "method": method}, work
      if plan.seeds > 1:
        method = "cwae" if "cwae" in plan.methods else plan.methods[0]
        work = functools.partial(_seeds, plan, workload, method)
        yield {"kind": "seeds", "network": workload.network, "method": method}, work


def alternate(
  first: Callable[[], object],
  second: Callable[[], object],
  *,
  seconds: float,
  clock: Callable[[], float] = time.perf_counter,
) -> list[tuple[float, float]]:
  """Times two calls in turns, five pairs at least: a machine's drift is the same for both.

  Every other pair is in reverse order, for a call may feel the one before it.

  Args:
    first: a call that blocks until its result is there.
    second: another.
    seconds: to spend.
    clock: in seconds.

  Returns:
    Seconds of the first and of the second, by pair.
  """

  def time_of(call):
    start = clock()
    call()
    return clock() - start

  time_of(first)
  time_of(second)
  both = time_of(first) + time_of(second)
  pairs = []
  for number in range(max(5, round(seconds / max(both, 1e-7)))):
    if number % 2:
      after = time_of(second)
      pairs.append((time_of(first), after))
    else:
      pairs.append((time_of(first), time_of(second)))
  return pairs


def _absent() -> dict[str, str]:
  """Peers that are not here, and why."""
  missing = [name for name in ("torch", "pythae") if importlib.util.find_spec(name) is None]
  reasons = {"torch": (EAGER, COMPILED, PYTHAE), "pythae": (PYTHAE,)}
  return {peer: f"{name} is not installed: {INSTALL}" for name in missing for peer in reasons[name]}


def _steps(plan: Plan, workload: Workload, method: str, absent: dict[str, str]) -> list[Row]:
  """Ours, the floor and the peers, in turns."""
  ours = Training(workload, objectives.make(method, {}))
  steps = _steps_a_call(ours)
  calls: dict[str, tuple[Callable[[int], Any], int]] = {OURS: (ours, steps)}
  if workload.network == "mlp" and method == "ae":
    calls[LOWER_BOUND] = (matrix_products(ours, workload), steps)
  rows: list[Row] = []
  fields: dict[str, Row] = {}
  for name, make in _peers(plan, workload, method, ours):
    if name in absent:
      continue
    start = time.perf_counter()
    try:
      with peers.time_limit(plan.torch_compile if name == COMPILED else 600.0):
        call = make()
        call(1)
    except Exception as error:  # another library's, of whatever kind
      reason = " ".join(str(error).split())[:200]
      rows.append({"contestant": name, "status": "failed", "reason": reason})
      continue
    if call.num_parameters != ours.num_parameters:
      reason = f"it has {call.num_parameters:,} parameters, ours {ours.num_parameters:,}"
      rows.append({"contestant": name, "status": "disagrees", "reason": reason})
      continue
    fields[name] = {"first_call_seconds": time.perf_counter() - start}
    if name == EAGER and (checked := _difference(workload, method)) is not None:
      fields[name]["loss_difference"] = checked
      if not checked <= _TOLERANCE:
        reason = f"its losses differ by {checked:.1e} of ours"
        rows.append({"contestant": name, "status": "disagrees", "reason": reason})
        continue
    calls[name] = (call, getattr(call, "steps", steps))
  timings = measure(
    {name: functools.partial(call, count) for name, (call, count) in calls.items()},
    seconds=plan.seconds,
    patience=10 * plan.seconds,
  )
  for name, timing in timings.items():
    count = calls[name][1]
    rows.append(
      {
        "contestant": name,
        "status": "measured",
        "median": timing.median / count,
        "lower": timing.lower / count,
        "upper": timing.upper / count,
        "repetitions": timing.repetitions,
        "steps_a_call": count,
        "images_per_second": workload.batch_size * count / timing.median,
        "parameters": ours.num_parameters,
        **fields.get(name, {}),
      }
    )
  return rows


def _peers(plan: Plan, workload: Workload, method: str, ours: Training) -> Iterator[Any]:
  if not plan.peers or method not in peers.METHODS:
    return
  torch = functools.partial(peers.TorchTraining, workload, method, ours.model)
  yield EAGER, torch
  if plan.torch_compile and method in _COMPILED_METHODS and workload.network == "mlp":
    yield COMPILED, functools.partial(torch, optimised=True)
  if method in peers.PYTHAE_METHODS and workload.network == "mlp":
    yield PYTHAE, functools.partial(peers.PythaeTraining, workload, ours.model)


def _difference(workload: Workload, method: str) -> float | None:
  """The largest relative difference of the first losses, where nothing is drawn at random."""
  if method not in ("ae", "cwae"):
    return None
  # PyTorch's code has the approximate φ.
  fields = {"approximate": True} if method == "cwae" else {}
  ours = Training(workload, objectives.make(method, fields))
  theirs = peers.TorchTraining(workload, method, ours.model)
  pairs = [(float(ours(1).totals["loss"]), theirs(1)) for _ in range(_CHECKED_STEPS)]
  return max(abs(a - b) / abs(a) for a, b in pairs)


def _overhead(plan: Plan, workload: Workload, method: str) -> list[Row]:
  plain, other = (Training(workload, objectives.make(name, {})) for name in ("ae", method))
  # Longer calls than usual, for a ratio of 1.1 wants little noise.
  steps = 3 * _steps_a_call(plain)
  pairs = alternate(lambda: plain(steps), lambda: other(steps), seconds=3 * plan.seconds)
  return [_ratios(after / before for before, after in pairs)]


def _first_step(workload: Workload, method: str) -> list[Row]:
  try:
    return [{"status": "measured", **row} for row in measure_first_step(workload, method)]
  except RuntimeError as error:
    return [{"status": "failed", "contestant": OURS, "reason": str(error)}]


def _seeds(plan: Plan, workload: Workload, method: str) -> list[Row]:
  """Images a second of several runs together over those of one."""
  objective = objectives.make(method, {})
  one, several = Training(workload, objective), Training(workload, objective, seeds=plan.seeds)
  steps = _steps_a_call(one)
  pairs = alternate(lambda: one(steps), lambda: several(steps), seconds=3 * plan.seconds)
  images = workload.batch_size * steps
  seconds = [statistics.median(column) for column in zip(*pairs, strict=True)]
  return [
    {
      **_ratios(plan.seeds * before / after for before, after in pairs),
      "seeds": plan.seeds,
      "images_per_second_of_one": images / seconds[0],
      "images_per_second": plan.seeds * images / seconds[1],
    }
  ]


def _ratios(values: Iterable[float]) -> Row:
  values = list(values)
  lower, median, upper = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
  return {"median": median, "lower": lower, "upper": upper, "pairs": len(values)}


def _steps_a_call(ours: Training) -> int:
  """Steps in a call of ours, once it is compiled: several, unless one is slow already."""
  ours(1)
  count = 1
  while True:
    start = time.perf_counter()
    ours(count)
    seconds = time.perf_counter() - start
    if seconds >= _CALL_SECONDS / 2:
      return max(count, round(count * _CALL_SECONDS / seconds))
    count *= 2
