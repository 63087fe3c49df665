"""Runs the benchmark of distances: times, memory and operations, then tables and plots."""

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import jax
from jax.sharding import AbstractMesh

from aejax import _checks, distances
from aejax.training.interruption import interruption
from benchmarks.cells import measure_cell, reason_to_skip
from benchmarks.distances import DISTANCES, NORMAL, Cell, value_and_gradient
from benchmarks.environment import environment
from benchmarks.figures import draw_figures
from benchmarks.flops import count_flops
from benchmarks.implementations import OURS, implementations
from benchmarks.memory import MEMORY_SLICES, measure_memory
from benchmarks.peer import DISTRIBUTIONS, Peer, absence
from benchmarks.peers import PEERS
from benchmarks.plan import Plan
from benchmarks.programs import AXIS, spread
from benchmarks.progress import CellProgress
from benchmarks.report import write_report
from benchmarks.results import Results, Row

__all__ = ["Interrupted", "benchmark_distances", "configure"]

# A title, the fields shared by the rows, and a function of all earlier rows that measures them.
_Task = tuple[str, Row, Callable[[list[Row]], list[Row]]]

# Sizes at which memory and operations are measured.
_DIMENSION, _FLOPS_SIZE, _FLOPS_DEVICES = 64, 8192, 8
_MEMORY_TIMEOUT = 300.0


class Interrupted(Exception):
  """A signal stopped a run, which can be continued.

  Attributes:
    signal_number: number of the signal.
  """

  def __init__(self, out: Path, signal_number: int):
    super().__init__(f"Interrupted; the same command goes on from {out}.")
    self.signal_number = signal_number


def configure(devices: int | None) -> int:
  """Configures JAX before it initialises devices, and returns the number of devices to use.

  Args:
    devices: number of devices, simulated on a CPU; all accelerators by default.

  Raises:
    ValueError: if there are fewer devices.
  """
  if devices is not None:
    _checks.integer("devices", devices)
  # Other processes measure memory on the same GPU, so this one must not reserve it.
  os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
  # Compile times are measured, so programs must not come from a cache.
  jax.config.update("jax_enable_compilation_cache", False)
  # JAX refuses these settings in a process that has initialised its devices, as tests have.
  try:
    if (devices or 1) > 1:
      jax.config.update("jax_num_cpu_devices", devices)
    else:
      # A CPU then computes in the calling thread, as PyTorch does. Handing each call over to
      # another thread costs up to 0.1 ms, which a distance within a training step does not cost.
      jax.config.update("jax_cpu_enable_async_dispatch", False)
  except RuntimeError:
    pass
  available = len(jax.devices())
  if devices is not None and devices > available:
    raise ValueError(
      f"devices is {devices}, but {available} can be used on this {jax.default_backend()}."
    )
  return devices or (available if jax.default_backend() != "cpu" else 1)


def benchmark_distances(plan: Plan, out: Path) -> list[Path]:
  """Measures the cells that are missing in `out`, then writes tables and plots.

  Args:
    plan: plan of the benchmark.
    out: folder, created if missing; an interrupted run continues from its results.json.

  Returns:
    The paths of the written files.

  Raises:
    ValueError: if `out` holds results of another environment.
    Interrupted: after a cell if a signal came during it; the cell is saved.
  """
  results = Results(
    out / "results.json",
    environment([distances], DISTRIBUTIONS),
    plan.settings(),
    # Calls skipped at a shorter cut-off are measured again.
    is_stale=lambda row: row.get("cutoff", plan.effort.cutoff) < plan.effort.cutoff,
  )
  wanted = PEERS if plan.peers else ()
  absent = {peer.name: reason for peer in wanted if (reason := absence(peer))}
  peers = [peer for peer in wanted if peer.name not in absent]
  if plan.torch_compile:
    peers += [compiled for peer in peers if (compiled := peer.compiled())]
  tasks = [
    *(_timing_task(cell, peers, plan) for cell in plan.cells),
    *_memory_tasks(plan, peers),
    *_flops_tasks(plan),
  ]
  with CellProgress(len(tasks)) as progress, interruption() as interrupted:
    for title, cell, work in tasks:
      if not results.has(cell):
        progress.start(title)
        results.add(cell, work(results.rows))
      progress.done()
      if (number := interrupted()) is not None:
        raise Interrupted(out, number)
  figures = draw_figures(results.rows, out)
  return [results.path, write_report(results, out / "results.md", absent, figures), *figures]


def _timing_task(cell: Cell, peers: Iterable[Peer], plan: Plan) -> _Task:
  def work(history):
    return measure_cell(cell, implementations(cell, peers), history=history, effort=plan.effort)

  return str(cell), cell.fields(), work


def _memory_tasks(plan: Plan, peers: Iterable[Peer]) -> Iterator[_Task]:
  for name in plan.memory:
    slices = MEMORY_SLICES if DISTANCES[name].slices else None
    cells = [Cell(name, n, _DIMENSION, slices) for n in plan.memory_sizes]
    for one in implementations(cells[0], peers):
      ours = one.name == OURS and one.form == NORMAL
      # Peers with the same purpose as our form to N(0, I) are compared with it.
      if ours or NORMAL in one.rivals:
        fields = {"kind": "memory", "distance": name, "d": _DIMENSION, **one.fields()}
        yield f"memory of {name}, {one.name}", fields, _memory_work(one, cells, plan)


def _memory_work(one, cells, plan):
  def work(history):
    rows, sizes = [], []
    for cell in cells:
      reason = reason_to_skip(one, cell, history, plan.effort)
      if reason:
        rows.append({"n": cell.n, "status": "skipped", "reason": reason})
      else:
        sizes.append(cell.n)
    try:
      found = measure_memory(
        cells[0].distance, one.name, one.form, _DIMENSION, sizes, timeout=_MEMORY_TIMEOUT
      )
    except RuntimeError as error:
      return [*rows, *({"n": n, "status": "skipped", "reason": str(error)} for n in sizes)]
    return [*rows, *({"n": n, "status": "measured", "bytes": b} for n, b in found.items())]

  return work


def _flops_tasks(plan: Plan) -> Iterator[_Task]:
  """Yields tasks that count the operations of each of eight devices, which need not exist."""
  for name in dict.fromkeys(cell.distance for cell in plan.cells):
    distance = DISTANCES[name]
    if distance.pairwise or name == "sliced_wasserstein":
      fields = {"kind": "flops", "distance": name, "form": NORMAL, "devices": _FLOPS_DEVICES}
      yield f"operations of {name}", fields, functools.partial(_count, name)


def _count(name: str, history: list[Row]) -> list[Row]:
  del history
  distance = DISTANCES[name]
  form = distance.forms[NORMAL]
  data = {
    key: jax.ShapeDtypeStruct(value.shape, value.dtype)
    for key, value in Cell(name, _FLOPS_SIZE, _DIMENSION, MEMORY_SLICES).data().items()
  }
  one_device = count_flops(value_and_gradient(form, distance.inputs), data)
  mesh = AbstractMesh((_FLOPS_DEVICES,), (AXIS,))
  share = count_flops(spread(form, distance.inputs, mesh), data)
  return [{"n": _FLOPS_SIZE, "d": _DIMENSION, "flops": share, "flops_of_one_device": one_device}]
