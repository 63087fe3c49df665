"""The benchmark of training: steps of ours, other libraries' and of the plain autoencoder."""

import functools
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from aejax import distances, networks, objectives, training
from benchmarks import torch_training
from benchmarks.environment import environment
from benchmarks.first_step import measure_first_step
from benchmarks.peer import not_installed
from benchmarks.results import OURS, Results, Row
from benchmarks.tasks import Task, run_tasks
from benchmarks.timing import alternate, measure, time_limit
from benchmarks.training_plan import TrainingPlan
from benchmarks.training_programs import Training, Workload, matrix_products
from benchmarks.training_report import (
  COMPILED,
  EAGER,
  MATRIX_PRODUCTS,
  PYTHAE,
  draw_figure,
  write_training_report,
)

__all__ = ["benchmark_training"]

_COMPILED_METHODS = ("ae", "cwae")
_CHECKED_STEPS = 5
# Rounding errors grow from step to step: measured, at most 4e-5. A wrong ε or bias correction of
# Adam, or a layer with permuted weights, changes the second digit from the second step on.
_TOLERANCE = 3e-4
# Duration of a call of ours: long enough to make the overhead of the call negligible, short enough
# for `measure` to warm it up.
_CALL_SECONDS = 0.045
_SETUP_SECONDS = 600.0


def benchmark_training(plan: TrainingPlan, out: Path) -> list[Path]:
  """Measures what `out` does not have yet, and writes page and figure.

  Args:
    plan: what to measure.
    out: folder; its results.json is what an interrupted run continues.

  Returns:
    The files written.

  Raises:
    ValueError: if `out` holds results of another environment.
    Interrupted: after the task during which a signal came; its rows are saved.
  """
  results = Results(
    out / "results.json",
    environment([training, networks, objectives, distances], ("flax", "optax", "torch", "pythae")),
    plan.settings(),
  )
  absent = _absent() if plan.peers else {}
  run_tasks(list(_tasks(plan, absent)), results)
  figure = draw_figure(results.rows, out / "step_time.png")
  return [results.path, write_training_report(results, out / "results.md", absent, figure), figure]


def _tasks(plan: TrainingPlan, absent: dict[str, str]) -> Iterator[Task]:
  for workload in plan.workloads:
    # In the short version, a slow network would take most of the time.
    brief = plan.quick and workload.network != "mlp"
    for method in plan.methods[:1] if brief else plan.methods:
      work = functools.partial(_steps, plan, workload, method, absent)
      yield _task("step", workload, method, work)
    for method in plan.methods:
      if method != "ae" and not brief:
        yield _task(
          "overhead", workload, method, functools.partial(_overhead, plan, workload, method)
        )
    if workload.network == "mlp":
      for method in plan.first_steps:
        yield _task(
          "first step", workload, method, functools.partial(_first_step, workload, method)
        )
      if plan.seeds > 1:
        method = "cwae" if "cwae" in plan.methods else plan.methods[0]
        yield _task("seeds", workload, method, functools.partial(_seeds, plan, workload, method))


def _task(kind: str, workload: Workload, method: str, work: Callable[[], list[Row]]) -> Task:
  fields = {"kind": kind, "network": workload.network, "method": method}
  return Task(" ".join(fields.values()), fields, lambda history: work())


def _absent() -> dict[str, str]:
  """Returns the peers that are not installed, and why each is left out."""
  needed = {EAGER: ("torch",), COMPILED: ("torch",), PYTHAE: ("torch", "pythae")}
  return {
    peer: reason
    for peer, modules in needed.items()
    for module in modules
    if (reason := not_installed(module))
  }


def _steps(
  plan: TrainingPlan, workload: Workload, method: str, absent: dict[str, str]
) -> list[Row]:
  """Times steps of ours, of the lower bound and of the peers, in turns."""
  ours = Training(workload, objectives.make(method, {}))
  steps = _steps_per_call(ours)
  calls: dict[str, tuple[Callable[[int], Any], int]] = {OURS: (ours, steps)}
  if workload.network == "mlp" and method == "ae":
    calls[MATRIX_PRODUCTS] = (matrix_products(ours, workload), steps)
  rows: list[Row] = []
  fields: dict[str, Row] = {}
  for name, make in _peers(plan, workload, method, ours):
    if name in absent:
      continue
    start = time.perf_counter()
    try:
      with time_limit(plan.torch_compile if name == COMPILED else _SETUP_SECONDS):
        call = make()
        call(1)
    except Exception as error:  # other libraries raise errors of every kind
      reason = " ".join(str(error).split())[:200]
      rows.append({"contestant": name, "status": "failed", "reason": reason})
      continue
    fields[name] = {"first_call_seconds": time.perf_counter() - start}
    if reason := _disagreement(name, call, ours, workload, method, fields[name]):
      rows.append({"contestant": name, "status": "disagrees", "reason": reason})
      continue
    calls[name] = (call, getattr(call, "steps", steps))
  timings = measure(
    {name: functools.partial(call, count) for name, (call, count) in calls.items()},
    seconds=plan.seconds,
    max_seconds=10 * plan.seconds,
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


def _peers(
  plan: TrainingPlan, workload: Workload, method: str, ours: Training
) -> Iterator[tuple[str, Callable[[], Any]]]:
  """Yields name and maker of each training in another library for this workload and method."""
  if not plan.peers or method not in torch_training.METHODS:
    return
  eager = functools.partial(torch_training.TorchTraining, workload, method, ours.model)
  yield EAGER, eager
  if plan.torch_compile and method in _COMPILED_METHODS and workload.network == "mlp":
    yield COMPILED, functools.partial(eager, torch_compile=True)
  if method in torch_training.PYTHAE_METHODS and workload.network == "mlp":
    yield PYTHAE, functools.partial(torch_training.PythaeTraining, workload, ours.model)


def _disagreement(
  name: str, call: Any, ours: Training, workload: Workload, method: str, fields: Row
) -> str | None:
  """Returns in words how a peer differs from ours, or None; adds the measured difference."""
  if call.num_parameters != ours.num_parameters:
    return f"it has {call.num_parameters:,} parameters, ours has {ours.num_parameters:,}"
  if name != EAGER or (difference := _loss_difference(workload, method)) is None:
    return None
  fields["loss_difference"] = difference
  # `not ... <=` rather than `>`: a NaN must count as a difference.
  if not difference <= _TOLERANCE:
    return f"its losses have a relative error of {difference:.1e}"
  return None


def _loss_difference(workload: Workload, method: str) -> float | None:
  """Returns the largest relative difference of the first losses; None for a random penalty."""
  if method not in ("ae", "cwae"):
    return None
  # The PyTorch formula has the approximate φ.
  fields = {"approximate": True} if method == "cwae" else {}
  ours = Training(workload, objectives.make(method, fields))
  theirs = torch_training.TorchTraining(workload, method, ours.model)
  pairs = [(float(ours(1).totals["loss"]), theirs(1)) for _ in range(_CHECKED_STEPS)]
  return max(abs(a - b) / abs(a) for a, b in pairs)


def _overhead(plan: TrainingPlan, workload: Workload, method: str) -> list[Row]:
  """Times steps of a method and of the plain autoencoder in pairs."""
  plain, other = (Training(workload, objectives.make(name, {})) for name in ("ae", method))
  # Longer calls than elsewhere: a ratio of 1.1 needs a small error.
  steps = 3 * _steps_per_call(plain)
  pairs = alternate(lambda: plain(steps), lambda: other(steps), seconds=3 * plan.seconds)
  return [_quartiles(after / before for before, after in pairs)]


def _first_step(workload: Workload, method: str) -> list[Row]:
  try:
    return [{"status": "measured", **row} for row in measure_first_step(workload, method)]
  except RuntimeError as error:
    return [{"status": "failed", "contestant": OURS, "reason": str(error)}]


def _seeds(plan: TrainingPlan, workload: Workload, method: str) -> list[Row]:
  """Compares the images per second of several runs together with those of one run."""
  objective = objectives.make(method, {})
  one, several = Training(workload, objective), Training(workload, objective, seeds=plan.seeds)
  steps = _steps_per_call(one)
  pairs = alternate(lambda: one(steps), lambda: several(steps), seconds=3 * plan.seconds)
  images = workload.batch_size * steps
  seconds = [statistics.median(column) for column in zip(*pairs, strict=True)]
  return [
    {
      **_quartiles(plan.seeds * before / after for before, after in pairs),
      "seeds": plan.seeds,
      "images_per_second_of_one": images / seconds[0],
      "images_per_second": plan.seeds * images / seconds[1],
    }
  ]


def _quartiles(values: Iterable[float]) -> Row:
  values = list(values)
  lower, median, upper = np.quantile(values, (0.25, 0.5, 0.75)).tolist()
  return {"median": median, "lower": lower, "upper": upper, "pairs": len(values)}


def _steps_per_call(ours: Training) -> int:
  """Returns how many steps a compiled call of ours takes in `_CALL_SECONDS`, at least one."""
  ours(1)
  count = 1
  while True:
    start = time.perf_counter()
    ours(count)
    seconds = time.perf_counter() - start
    if seconds >= _CALL_SECONDS / 2:
      return max(count, round(count * _CALL_SECONDS / seconds))
    count *= 2
