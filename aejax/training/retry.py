"""Writing on a disk that may fail: wait while it is full, try other failures again later."""

import errno
import math
import time
from collections.abc import Callable

from aejax._messages import logger, warn

__all__ = ["RetryingWriter"]

_PAUSE_SECONDS = 5.0
# Interval between two warnings with the same sentence.
_WARNING_SECONDS = 60.0


class RetryingWriter:
  """Writes; waits while the disk is full, and postpones a write that fails for another reason.

  If a filter turns the warning of a failed write into an error, `write` raises it and training
  ends. The run then continues from its newest checkpoint, which is complete.

  Args:
    interrupted: function that returns the number of the signal that stops the run, None before it.
  """

  def __init__(self, interrupted: Callable[[], int | None]):
    self._interrupted = interrupted
    self._warned: dict[str, float] = {}

  def write(self, action: Callable[[], object], *, last: bool = False) -> None:
    """Calls `action`, again and again while the disk is full.

    Args:
      action: function that writes everything or nothing; a later write repeats a failed one.
      last: whether there is no later write, so that every failure except a full disk is an error.

    Raises:
      OSError: if the disk is full and a signal stops the run, or `last` and the write fails.
    """
    waited = False
    while True:
      try:
        action()
      except OSError as error:
        failure = f"{error.filename} cannot be written ({error.strerror})"
        if not _is_full(error):
          if last:
            raise
          self._warn(f"{failure}; the write is tried again later.")
          return
        self._warn(f"{failure}: training waits for space. Ctrl-C stops it.")
        waited = True
        self._pause(error)
      else:
        if waited:
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
