"""The benchmark of distances: times, memory and operations, then a page and figures."""

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import jax
from jax.sharding import AbstractMesh

from aejax import distances
from benchmarks.distance_figures import draw_figures
from benchmarks.distance_plan import Case, DistancePlan
from benchmarks.distance_report import write_distance_report
from benchmarks.distances import DISTANCES, NORMAL, value_and_gradient
from benchmarks.environment import environment
from benchmarks.flops import count_flops
from benchmarks.implementations import Implementation, implementations
from benchmarks.measurement import measure_case, reason_to_skip
from benchmarks.memory import MEMORY_DIRECTIONS, measure_memory
from benchmarks.peer import DISTRIBUTIONS, Peer, absence
from benchmarks.peers import PEERS
from benchmarks.programs import AXIS, shard_batch
from benchmarks.results import OURS, Results, Row
from benchmarks.tasks import Task, run_tasks

__all__ = ["benchmark_distances"]

# Dimension at which memory and operations are measured; n and devices of the count of operations.
_DIMENSION, _FLOPS_SIZE, _FLOPS_DEVICES = 64, 8192, 8
_MEMORY_TIMEOUT = 300.0


def benchmark_distances(plan: DistancePlan, out: Path) -> list[Path]:
  """Measures what `out` does not have yet, and writes page and figures.

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
    environment([distances], DISTRIBUTIONS),
    plan.settings(),
    # A longer cut-off measures again what a shorter one left out.
    is_stale=lambda row: row.get("cutoff", plan.budget.cutoff) < plan.budget.cutoff,
  )
  wanted = PEERS if plan.peers else ()
  absent = {peer.name: reason for peer in wanted if (reason := absence(peer))}
  peers = [peer for peer in wanted if peer.name not in absent]
  if plan.torch_compile:
    peers += [compiled for peer in peers if (compiled := peer.compiled())]
  tasks = [
    *(_timing_task(case, peers, plan) for case in plan.cases),
    *_memory_tasks(plan, peers),
    *_flops_tasks(plan),
  ]
  run_tasks(tasks, results)
  figures = draw_figures(results.rows, out)
  page = write_distance_report(results, out / "results.md", absent, figures)
  return [results.path, page, *figures]


def _timing_task(case: Case, peers: Iterable[Peer], plan: DistancePlan) -> Task:
  def work(history: list[Row]) -> list[Row]:
    return measure_case(case, implementations(case, peers), history=history, budget=plan.budget)

  return Task(str(case), case.fields(), work)


def _memory_tasks(plan: DistancePlan, peers: Iterable[Peer]) -> Iterator[Task]:
  for name in plan.memory:
    directions = MEMORY_DIRECTIONS if DISTANCES[name].slices else None
    cases = [Case(name, n, _DIMENSION, directions) for n in plan.memory_sizes]
    for one in implementations(cases[0], peers):
      # Our form to N(0, I), and the peers that serve the same purpose.
      if (one.name, one.form) == (OURS, NORMAL) or NORMAL in one.counterparts:
        fields = {"kind": "memory", "distance": name, "d": _DIMENSION, **one.fields()}
        yield Task(f"memory of {name}, {one.name}", fields, _memory_work(one, cases, plan))


def _memory_work(
  one: Implementation, cases: list[Case], plan: DistancePlan
) -> Callable[[list[Row]], list[Row]]:
  def work(history: list[Row]) -> list[Row]:
    rows, sizes = [], []
    for case in cases:
      reason = reason_to_skip(one, case, history, plan.budget)
      if reason:
        rows.append({"n": case.n, "status": "skipped", "reason": reason})
      else:
        sizes.append(case.n)
    try:
      found = measure_memory(
        cases[0].distance, one.name, one.form, _DIMENSION, sizes, timeout=_MEMORY_TIMEOUT
      )
    except RuntimeError as error:
      return [*rows, *({"n": n, "status": "skipped", "reason": str(error)} for n in sizes)]
    return [*rows, *({"n": n, "status": "measured", "bytes": b} for n, b in found.items())]

  return work


def _flops_tasks(plan: DistancePlan) -> Iterator[Task]:
  """Yields tasks that count each of eight devices' operations, which needs no such device."""
  for name in dict.fromkeys(case.distance for case in plan.cases):
    distance = DISTANCES[name]
    if distance.pairwise or name == "sliced_wasserstein":
      fields = {"kind": "flops", "distance": name, "form": NORMAL, "devices": _FLOPS_DEVICES}
      yield Task(f"operations of {name}", fields, functools.partial(_count, name))


def _count(name: str, history: list[Row]) -> list[Row]:
  del history
  distance = DISTANCES[name]
  form = distance.forms[NORMAL]
  data = {
    key: jax.ShapeDtypeStruct(value.shape, value.dtype)
    for key, value in Case(name, _FLOPS_SIZE, _DIMENSION, MEMORY_DIRECTIONS).data().items()
  }
  total = count_flops(value_and_gradient(form, distance.inputs), data)
  mesh = AbstractMesh((_FLOPS_DEVICES,), (AXIS,))
  share = count_flops(shard_batch(form, distance.inputs, mesh), data)
  return [{"n": _FLOPS_SIZE, "d": _DIMENSION, "flops": share, "flops_of_one_device": total}]
