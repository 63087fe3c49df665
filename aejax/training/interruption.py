"""Ctrl-C and SIGTERM ask a run to stop after the step, and to save; a second Ctrl-C insists."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

__all__ = ["Interrupted", "interruption"]


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
