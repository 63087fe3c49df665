"""Several processes as one run: how they find each other, and that they decide alike.

Each process drives its own devices and runs the same program. What one of them alone sees, its
clock, a signal, a missing file, must not lead it elsewhere than the others: they would wait for it
for ever. So they put such things together first.
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

# EX_TEMPFAIL of sysexits.h: the same command may work if it is tried again.
_TRY_AGAIN = 75

_EVALUATION_SECONDS = 24 * 3600


@contextlib.contextmanager
def processes(
  distributed: bool,
  coordinator: str | None = None,
  num_processes: int | None = None,
  process_id: int | None = None,
) -> Iterator[None]:
  """Within it this process is one of several of a run, if `distributed` or a coordinator is given.

  Args:
    distributed: find the others by what the cluster says: Slurm, Open MPI, Kubernetes, TPU pods.
    coordinator: the first process's HOST:PORT, where no cluster says it.
    num_processes: how many there are.
    process_id: which of them this is, from 0.

  Raises:
    ValueError: if the three are not given together, or are out of range, or no cluster is found.
  """
  given = (coordinator, num_processes, process_id)
  if not distributed and given == (None, None, None):
    yield
    return
  _join(*given)
  try:
    yield
  except BaseException as error:
    # Leaving in good order would wait for the others, who cannot come.
    _leave(error)
  jax.distributed.shutdown()


def all_reduce_max(*numbers: int) -> tuple[int, ...]:
  """The largest of each of the numbers over all processes, which all get here alike."""
  if jax.process_count() == 1:
    return numbers
  from jax.experimental import multihost_utils

  everyones = multihost_utils.process_allgather(np.array(numbers, np.int32))
  return tuple(int(number) for number in np.max(everyones, axis=0))


def run_on_all_processes(action: Callable[[], T]) -> T:
  """Does something in every process; goes on only if it went well in all.

  Raises:
    ValueError: if another process failed; in that process, what it raised.
  """
  failure, result = None, None
  try:
    result = action()
  except (ValueError, ImportError, OSError) as error:
    failure = error
  failed = all_reduce_max(int(failure is not None))[0]
  if failure is not None:
    raise failure
  if failed:
    raise ValueError("Another process of the run could not go on; it says why.")
  return result  # pyright: ignore[reportReturnType]


def run_on_process_zero_first(action: Callable[[], T]) -> T:
  """Does something in the first process before the others do it, who may find it done."""
  leads = jax.process_index() == 0
  result = run_on_all_processes(action if leads else lambda: None)
  return run_on_all_processes((lambda: result) if leads else action)  # pyright: ignore[reportReturnType]


def connection_lost(error: BaseException | None) -> bool:
  """Whether this is how JAX says that another process of the run is gone."""
  if jax.process_count() == 1 or error is None:
    return False
  # From collectives on a CPU it is a ValueError that begins with a status: "UNKNOWN: Gloo …".
  status = re.match(r"[A-Z_]+: ", str(error)) is not None
  return isinstance(error, jax.errors.JaxRuntimeError) or (isinstance(error, ValueError) and status)


def _join(coordinator, num_processes, process_id):
  if (coordinator, num_processes, process_id) != (None, None, None):
    if None in (coordinator, num_processes, process_id):
      raise ValueError("coordinator, num_processes and process_id must be given together.")
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdecimal():
      raise ValueError(f"coordinator must be HOST:PORT, but is {coordinator!r}.")
    if not 0 <= process_id < num_processes:
      raise ValueError(
        f"process_id must be from 0 to num_processes − 1 = {num_processes - 1}, but is "
        f"{process_id}."
      )
  try:
    # At the end all wait for the first, which scores and draws.
    jax.distributed.initialize(
      coordinator, num_processes, process_id, shutdown_timeout_seconds=_EVALUATION_SECONDS
    )
  except ValueError as error:
    raise ValueError(
      "distributed found no cluster to ask: give coordinator, num_processes and process_id."
    ) from error


def _leave(error: BaseException):
  code = error.code if isinstance(error, SystemExit) else 1
  if connection_lost(error):
    print(
      "error: the connection to another process of the run is lost, it may have ended. Start all "
      f"of them again with --resume. ({str(error).splitlines()[0][:200]})",
      file=sys.stderr,
    )
    code = _TRY_AGAIN
  elif not isinstance(error, SystemExit):
    import traceback

    traceback.print_exception(error)
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(code if isinstance(code, int) else 1)
