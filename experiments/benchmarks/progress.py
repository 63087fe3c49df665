"""How a benchmark shows itself: a bar on a terminal, a line a cell now and then elsewhere."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["CellProgress"]

# Without a terminal: a line at most so often, in seconds.
_LINE_INTERVAL = 10.0


class CellProgress:
  """Shows which cell is measured, and how many there are."""

  def __init__(self, total: int):
    console = Console(stderr=True)
    self._bar = Progress(
      BarColumn(bar_width=24),
      MofNCompleteColumn(),
      TimeElapsedColumn(),
      TextColumn("{task.description}"),
      console=console,
      disable=not console.is_terminal,
    )
    self._task = self._bar.add_task("", total=total)
    self._last_line = -_LINE_INTERVAL

  def __enter__(self) -> "CellProgress":
    self._bar.start()
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    exception: BaseException | None,
    traceback: TracebackType | None,
  ) -> None:
    self._bar.stop()

  def start(self, text: str) -> None:
    """A cell begins."""
    self._bar.update(self._task, description=text)
    if self._bar.disable and time.monotonic() - self._last_line >= _LINE_INTERVAL:
      self._last_line = time.monotonic()
      task = self._bar.tasks[0]
      print(f"{int(task.completed) + 1}/{task.total:.0f}  {text}", file=sys.stderr, flush=True)

  def done(self) -> None:
    """A cell is measured, or was before."""
    self._bar.advance(self._task)
