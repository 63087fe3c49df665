"""Progress of a benchmark: a bar on a terminal, occasional lines elsewhere."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["CellProgress"]

# Minimum seconds between two lines without a terminal.
_LINE_INTERVAL = 10.0


class CellProgress:
  """Shows the current cell and the number of cells."""

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
    """Shows that a cell begins."""
    self._bar.update(self._task, description=text)
    if self._bar.disable and time.monotonic() - self._last_line >= _LINE_INTERVAL:
      self._last_line = time.monotonic()
      task = self._bar.tasks[0]
      print(f"{int(task.completed) + 1}/{task.total:.0f}  {text}", file=sys.stderr, flush=True)

  def done(self) -> None:
    """Counts a cell as measured, now or in an earlier run."""
    self._bar.advance(self._task)
