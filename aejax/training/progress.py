"""Progress of a run: a bar on a terminal, a line in the log every few seconds elsewhere."""

import logging
import time
from collections.abc import Iterable
from types import TracebackType

import jax
from rich.console import Console, RenderableType
from rich.progress import (
  BarColumn,
  Progress,
  ProgressColumn,
  SpinnerColumn,
  Task,
  TextColumn,
  TimeElapsedColumn,
  TimeRemainingColumn,
)
from rich.text import Text

from aejax._messages import logger

__all__ = ["Activity", "TrainingProgress"]

# Minimum interval between two lines in the log.
_LINE_SECONDS = 10.0


class TrainingProgress:
  """Shows epoch, loss, reconstruction error, penalty, images per second and the time left.

  The bar needs a terminal and the logger `aejax` at level INFO. Otherwise lines go to that logger.
  With several processes, only the first shows anything.
  """

  def __init__(self, title: str, *, epochs: int, steps_per_epoch: int, batch_size: int, step: int):
    """Prepares the bar or the lines.

    Args:
      title: name of the run.
      epochs: number of epochs.
      steps_per_epoch: number of steps in an epoch.
      batch_size: number of images in a step, over all runs that are trained together.
      step: step from which the run continues.
    """
    self._steps_per_epoch = steps_per_epoch
    self._epochs = epochs
    self._batch_size = batch_size
    self._first_step = step
    self._metrics = self._line = ""
    self._start = self._last_line = time.monotonic()
    console = Console(stderr=True)
    has_bar = _has_bar(console)
    self._has_lines = jax.process_index() == 0 and not has_bar
    self._bar = _Display(
      TextColumn("{task.description}"),
      BarColumn(bar_width=24),
      TextColumn("{task.fields[epoch]}"),
      TimeRemainingColumn(compact=True),
      _Left(),
      console=console,
      disable=not has_bar,
    )
    self._task = self._bar.add_task(
      title, total=epochs * steps_per_epoch, completed=step, epoch="compiling", text=""
    )
    self._title = title
    self._step = step
    self._logged: tuple[int, str] | None = None

  def __enter__(self) -> "TrainingProgress":
    self._bar.start()
    return self

  def __exit__(
    self,
    kind: type[BaseException] | None,
    exception: BaseException | None,
    traceback: TracebackType | None,
  ) -> None:
    self._bar.stop()
    if kind is None and self._line:
      self._log()

  @property
  def images_per_second(self) -> float:
    """Training speed since the start, compilation included."""
    steps = self._bar.tasks[0].completed - self._first_step
    return steps * self._batch_size / max(time.monotonic() - self._start, 1e-9)

  def epoch(self, metrics: dict[str, float]) -> None:
    """Sets the mean metrics of the last epoch."""
    self._metrics = (
      f"loss {metrics['loss']:.4g}  reconstruction {metrics['reconstruction_error']:.4g}  "
      f"penalty {metrics['penalty']:.3g}  "
    )

  def step(self, step: int) -> None:
    """Sets the number of steps taken."""
    epoch = f"epoch {min(step // self._steps_per_epoch + 1, self._epochs)}/{self._epochs}"
    self._bar.update(self._task, completed=step)
    text = f"{self._metrics}{self.images_per_second:,.0f} images/s"
    self._step = step
    self._line = f"{epoch}  {text}"
    self._bar.update(self._task, epoch=epoch, text=text)
    # The line of the last step waits for the metrics of the last epoch: `__exit__` logs it.
    is_last = step == self._epochs * self._steps_per_epoch
    if not is_last and time.monotonic() - self._last_line > _LINE_SECONDS:
      self._log()

  def _log(self) -> None:
    self._last_line = time.monotonic()
    state = self._step, self._metrics
    if self._has_lines and state != self._logged:
      self._logged = state
      logger.info("%s: %s", self._title, self._line)


class Activity:
  """Shows on a terminal that work goes on and for how long; notes appear above it.

  Like the bar of training, it needs the logger `aejax` at level INFO. It leaves nothing behind.
  """

  def __init__(self, title: str):
    """Prepares the line with the name of the work."""
    console = Console(stderr=True)
    self._line = Progress(
      SpinnerColumn("line"),  # letters that every terminal has
      TextColumn("{task.description}"),
      TimeElapsedColumn(),
      console=console,
      disable=not _has_bar(console),
      transient=True,
    )
    self._line.add_task(title, total=None)

  def __enter__(self) -> "Activity":
    self._line.start()
    return self

  def __exit__(self, *raised: object) -> None:
    self._line.stop()


def _has_bar(console: Console) -> bool:
  return jax.process_index() == 0 and console.is_terminal and logger.isEnabledFor(logging.INFO)


class _Display(Progress):
  """The bar, with the metrics on a line of their own: one line of 80 columns is too short."""

  def get_renderables(self) -> Iterable[RenderableType]:
    yield self.make_tasks_table(self.tasks)
    for task in self.tasks:
      yield Text(task.fields["text"])


class _Left(ProgressColumn):
  """The word "left" after the remaining time."""

  def render(self, task: Task) -> Text:
    return Text("left" if not task.finished else "")
