"""How long a call takes: warmed up, in turns with its rivals, quartiles over many repetitions."""

import contextlib
import dataclasses
import gc
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import jax
import numpy as np

__all__ = ["Program", "Timing", "compile_program", "measure"]

Name = TypeVar("Name")

# A machine that slows down for a while must not slow down one rival alone.
_TURNS = 5
# Below this many seconds a call feels what ran before it: cold caches, another library's threads
# still spinning. The first call of each turn is then not counted.
_FEELS_OTHERS = 0.05


@dataclasses.dataclass(frozen=True)
class Timing:
  """Seconds a call takes.

  Attributes:
    median: over the repetitions.
    lower: the first quartile.
    upper: the third.
    repetitions: how many were timed; one, where a call is too slow to be repeated.
  """

  median: float
  lower: float
  upper: float
  repetitions: int


def measure(
  calls: Mapping[Name, Callable[[], object]],
  *,
  seconds: float = 0.3,
  patience: float = math.inf,
  clock: Callable[[], float] = time.perf_counter,
) -> dict[Name, Timing]:
  """Times calls that block until their result is there, in turns, with garbage collection off.

  Each call is made at least three times after a warm-up, but only once if three would take longer
  than `patience`.

  Args:
    calls: by name.
    seconds: to spend on each.
    patience: the most seconds to spend on each, beyond the first call.
    clock: in seconds.
  """
  with _no_garbage_collection():
    plans = {name: _plan(call, seconds, patience, clock) for name, call in calls.items()}
    for turn in range(_TURNS):
      for name in calls if turn % 2 == 0 else reversed(list(calls)):
        _take_turn(calls[name], plans[name], turn, clock)
  return {name: plan.timing() for name, plan in plans.items()}


@dataclasses.dataclass
class _Plan:
  estimate: float
  repetitions: int
  times: list[float]

  def timing(self) -> Timing:
    lower, median, upper = np.quantile(self.times, (0.25, 0.5, 0.75)).tolist()
    return Timing(median, lower, upper, len(self.times))


def _plan(call, seconds, patience, clock) -> _Plan:
  estimate = _time(call, clock)
  if 3 * estimate > patience:
    return _Plan(estimate, 0, [estimate])
  if estimate < seconds:
    estimate = _time(call, clock)
  return _Plan(estimate, max(3, round(seconds / max(estimate, 1e-7))), [])


def _take_turn(call, plan, turn, clock):
  # Of 7 repetitions in 5 turns: 1, 1, 2, 1, 2.
  count = plan.repetitions * (turn + 1) // _TURNS - plan.repetitions * turn // _TURNS
  if count and plan.estimate < _FEELS_OTHERS:
    call()
  plan.times += [_time(call, clock) for _ in range(count)]


def _time(call, clock) -> float:
  start = clock()
  call()
  return clock() - start


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
  enabled = gc.isenabled()
  gc.collect()
  gc.disable()
  try:
    yield
  finally:
    if enabled:
      gc.enable()


@dataclasses.dataclass(frozen=True)
class Program:
  """A compiled JAX function and its arguments: call it to run it to its end.

  Attributes:
    compile_seconds: tracing, lowering and compiling, from nothing.
    bytes: of arguments, results and temporaries, by the compiler's plan; None where it tells none.
    flops: by the compiler's count, on one device. A loop's body is counted once.
  """

  executable: Callable[..., Any]
  arguments: tuple[Any, ...]
  compile_seconds: float
  bytes: int | None
  flops: float | None

  def __call__(self) -> Any:
    """Runs it, and returns its result once that is there."""
    return jax.block_until_ready(self.executable(*self.arguments))


def compile_program(
  function: Callable[..., Any],
  *arguments: Any,
  clock: Callable[[], float] = time.perf_counter,
) -> Program:
  """Compiles `function` (jitted here) for arguments of these shapes, dtypes and shardings."""
  start = clock()
  executable = jax.jit(function).lower(*arguments).compile()
  seconds = clock() - start
  memory, cost = executable.memory_analysis(), executable.cost_analysis()
  planned = None
  if memory is not None:
    planned = (
      memory.argument_size_in_bytes
      + memory.output_size_in_bytes
      + memory.temp_size_in_bytes
      - memory.alias_size_in_bytes
    )
  flops = (cost or {}).get("flops")
  return Program(executable, arguments, seconds, planned, flops)
