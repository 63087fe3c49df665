"""Ctrl-C and SIGTERM stop a run after its step and save it; a second Ctrl-C stops it at once."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

__all__ = ["Interrupted", "interruption"]


class Interrupted(Exception):
  """A signal stopped the run, which is saved unless the disk failed.

  Attributes:
    signal_number: number of the signal.
  """

  def __init__(self, step: int, signal_number: int, *, saved: int | None = None, reason: str = ""):
    """Makes the sentence that says how to continue.

    Args:
      step: step at which the run stopped.
      signal_number: number of the signal.
      saved: step of the newest checkpoint, if the run could not be saved at `step`.
      reason: reason why it could not; empty if it is saved.
    """
    if not reason:
      sentence = f"Stopped at step {step:,}; --resume goes on from there."
    else:
      where = "the start" if saved is None else f"step {saved:,}"
      sentence = f"Stopped at step {step:,}, not saved ({reason}); --resume goes on from {where}."
    super().__init__(sentence)
    self.signal_number = signal_number


@contextlib.contextmanager
def interruption() -> Iterator[Callable[[], int | None]]:
  """Yields a function that returns the number of the first SIGINT or SIGTERM, None before it."""
  if threading.current_thread() is not threading.main_thread():
    # Python delivers signals to the main thread only.
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
