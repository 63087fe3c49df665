"""What becomes of a run when the disk refuses what it writes: it waits, or tries again later."""

import errno
import sys
import time
from collections.abc import Callable

__all__ = ["Interrupted", "is_full", "persist"]

_FULL = (errno.ENOSPC, errno.EDQUOT)
_SECONDS = 5.0


class Interrupted(Exception):
  """The run was asked to stop, and saved itself if it could."""

  def __init__(self, step: int, signal_number: int, *, saved: int | None = None, reason: str = ""):
    """Says what to do.

    Args:
      step: at which it stopped.
      signal_number: what asked it to.
      saved: the step of the newest checkpoint, if it is another.
      reason: why it is another.
    """
    if not reason:
      said = f"Stopped at step {step:,}; --resume goes on from there."
    else:
      where = "the start" if saved is None else f"step {saved:,}"
      said = f"Stopped at step {step:,}, not saved ({reason}); --resume goes on from {where}."
    super().__init__(said)
    self.signal_number = signal_number


def is_full(error: OSError) -> bool:
  """Whether it is for want of space."""
  return error.errno in _FULL


def persist(
  action: Callable[[], object], interrupted: Callable[[], int | None], *, last: bool = False
) -> None:
  """Writes something; waits while the disk is full, and puts off what fails otherwise.

  Args:
    action: writes it, whole or not at all; it may be called again.
    interrupted: tells the signal that asked the run to stop, if one did.
    last: there is no later, so another failure than a full disk is an error.

  Raises:
    OSError: if there is no space and the run was asked to stop, or `last`.
  """
  waits = False
  while True:
    try:
      action()
    except OSError as error:
      if not is_full(error):
        if last:
          raise
        _warn(f"{error.filename} cannot be written ({error.strerror}); it is tried again later.")
        return
      if not waits:
        _warn(
          f"{error.filename} cannot be written ({error.strerror}): training waits for space. "
          "Ctrl-C stops it."
        )
      waits = True
      end = time.monotonic() + _SECONDS
      while time.monotonic() < end:
        if interrupted():
          raise
        time.sleep(0.1)
    else:
      if waits:
        print("There is space again: training goes on.", file=sys.stderr, flush=True)
      return


def _warn(sentence: str) -> None:
  print(f"warning: {sentence}", file=sys.stderr, flush=True)
