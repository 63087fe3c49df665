"""What becomes of a run when the disk refuses what it writes: it waits, or tries again later."""

import errno
import math
import time
from collections.abc import Callable

from aejax._messages import logger, warn

__all__ = ["RetryingWriter"]

_PAUSE_SECONDS = 5.0
_WARNING_SECONDS = 60.0  # between the same


class RetryingWriter:
  """Writes things; waits while the disk is full, and puts off what fails otherwise.

  Args:
    interrupted: tells the signal that asked the run to stop, if one did.
  """

  def __init__(self, interrupted: Callable[[], int | None]):
    self._interrupted = interrupted
    self._warned: dict[str, float] = {}

  def write(self, action: Callable[[], object], *, last: bool = False) -> None:
    """Writes something.

    Args:
      action: writes it, whole or not at all; it may be called again.
      last: there is no later, so another failure than a full disk is an error.

    Raises:
      OSError: if there is no space and the run was asked to stop, or `last`.
    """
    waits = False
    while True:
      try:
        action()
      except OSError as error:
        what = f"{error.filename} cannot be written ({error.strerror})"
        if not _is_full(error):
          if last:
            raise
          self._warn(f"{what}; it is tried again later.")
          return
        self._warn(f"{what}: training waits for space. Ctrl-C stops it.")
        waits = True
        self._pause(error)
      else:
        if waits:
          logger.info("There is space again: training goes on.")
        return

  def _pause(self, error: OSError) -> None:
    end = time.monotonic() + _PAUSE_SECONDS
    while time.monotonic() < end:
      if self._interrupted():
        raise error
      time.sleep(0.1)

  def _warn(self, sentence: str) -> None:
    now = time.monotonic()
    if now - self._warned.get(sentence, -math.inf) > _WARNING_SECONDS:
      self._warned[sentence] = now
      warn(sentence)


def _is_full(error: OSError) -> bool:
  return error.errno in (errno.ENOSPC, errno.EDQUOT)
