"""Ctrl-C and SIGTERM ask a run to stop after the step, and to save; a second Ctrl-C insists."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

__all__ = ["interruption"]


@contextlib.contextmanager
def interruption() -> Iterator[Callable[[], int | None]]:
  """Yields a function that returns the number of the signal that asked to stop, if any did."""
  if threading.current_thread() is not threading.main_thread():  # only the main one gets signals
    yield lambda: None
    return
  received: list[int] = []

  def handler(number, frame):
    received.append(number)
    signal.signal(signal.SIGINT, signal.default_int_handler)

  previous = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
  try:
    yield lambda: received[0] if received else None
  finally:
    for number, action in previous.items():
      signal.signal(number, action)
