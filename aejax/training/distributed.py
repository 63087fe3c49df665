"""Several processes as one run: how they find each other, and how they make the same decisions.

Each process drives its own devices and runs the same program. Something that only one process sees
(its clock, a signal, a missing file) must not send it down another branch than the others: they
would wait for it in a collective for ever. The processes therefore exchange such values first.
"""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import TypeVar

import jax
import numpy as np

__all__ = [
  "all_reduce_max",
  "connection_lost",
  "processes",
  "run_on_all_processes",
  "run_on_process_zero_first",
]

T = TypeVar("T")

# EX_TEMPFAIL of sysexits.h: the same command may succeed when it is run again.
_EXIT_TRY_AGAIN = 75

_MAX_EVALUATION_SECONDS = 24 * 3600


@contextlib.contextmanager
def processes(
  distributed: bool,
  coordinator: str | None = None,
  num_processes: int | None = None,
  process_id: int | None = None,
) -> Iterator[None]:
  """Connects this process with the others of its run while the block runs.

  Without `distributed` and without a coordinator it does nothing.

  Args:
    distributed: whether to find the other processes through the cluster: Slurm, Open MPI,
      Kubernetes or TPU pods.
    coordinator: HOST:PORT of the first process, where there is no such cluster.
    num_processes: number of processes.
    process_id: number of this process, from 0.

  Raises:
    ValueError: if the last three are not given together or are out of range, or no cluster is
      found.
  """
  given = (coordinator, num_processes, process_id)
  if not distributed and given == (None, None, None):
    yield
    return
  _join(*given)
  try:
    yield
  except BaseException as error:
    # A regular shutdown would wait for the other processes, which may never reach it.
    _exit_now(error)
  jax.distributed.shutdown()


def all_reduce_max(*numbers: int) -> tuple[int, ...]:
  """Returns the maximum of each number over all processes; every process must call it."""
  if jax.process_count() == 1:
    return numbers
  from jax.experimental import multihost_utils

  gathered = multihost_utils.process_allgather(np.array(numbers, np.int32))
  return tuple(int(number) for number in np.max(gathered, axis=0))


def run_on_all_processes(action: Callable[[], T]) -> T:
  """Runs `action` in every process, and returns its result if it succeeds in all of them.

  Raises:
    ValueError: if another process failed; the process that failed raises its own error.
  """
  try:
    result = action()
  except (ValueError, ImportError, OSError):
    all_reduce_max(1)
    raise
  if all_reduce_max(0)[0]:
    raise ValueError("Another process of the run failed; its own message says why.")
  return result


def run_on_process_zero_first(action: Callable[[], T]) -> T:
  """Runs `action` in the first process, then in the others, which can use what it wrote."""
  if jax.process_index() == 0:
    result = run_on_all_processes(action)
    return run_on_all_processes(lambda: result)
  run_on_all_processes(lambda: None)
  return run_on_all_processes(action)


def connection_lost(error: BaseException | None) -> bool:
  """Returns whether `error` is what JAX raises when another process of the run has ended."""
  if jax.process_count() == 1 or error is None:
    return False
  # CPU collectives raise a ValueError that begins with a status: "UNKNOWN: Gloo …".
  status = re.match(r"[A-Z_]+: ", str(error)) is not None
  return isinstance(error, jax.errors.JaxRuntimeError) or (isinstance(error, ValueError) and status)


def _join(coordinator: str | None, num_processes: int | None, process_id: int | None) -> None:
  if coordinator is None or num_processes is None or process_id is None:
    if (coordinator, num_processes, process_id) != (None, None, None):
      raise ValueError("coordinator, num_processes and process_id must be given together.")
  else:
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal():
      raise ValueError(f"coordinator must be HOST:PORT, but is {coordinator!r}.")
    if not 0 <= process_id < num_processes:
      raise ValueError(
        f"process_id must be from 0 to num_processes − 1 = {num_processes - 1}, but is "
        f"{process_id}."
      )
  try:
    # At the end the other processes wait while the first scores and plots.
    jax.distributed.initialize(
      coordinator, num_processes, process_id, shutdown_timeout_seconds=_MAX_EVALUATION_SECONDS
    )
  except ValueError as error:
    raise ValueError(
      "distributed found no cluster: give coordinator, num_processes and process_id."
    ) from error


def _exit_now(error: BaseException) -> None:
  """Reports the error and ends this process without waiting for the others."""
  code = error.code if isinstance(error, SystemExit) else 1
  if connection_lost(error):
    print(
      "error: the connection to another process of the run is lost; that process may have ended. "
      f"Start all processes again with --resume. ({str(error).splitlines()[0][:200]})",
      file=sys.stderr,
    )
    code = _EXIT_TRY_AGAIN
  elif not isinstance(error, SystemExit):
    import traceback

    traceback.print_exception(error)
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(code if isinstance(code, int) else 1)
