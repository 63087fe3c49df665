"""How a run shows itself: a bar on a terminal, a line now and then elsewhere."""

import logging
import time
from collections.abc import Iterable
from types import TracebackType

import jax
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from aejax._messages import logger

__all__ = ["TrainingProgress"]

# Without a terminal: a line at most so often, in seconds.
_LINE_INTERVAL = 10.0


class TrainingProgress:
  """Shows epoch, loss, reconstruction error, penalty, images a second and the time left."""

  def __init__(self, title: str, *, epochs: int, steps_per_epoch: int, batch_size: int, step: int):
    self._silent = jax.process_index() > 0  # of several processes the first shows the run
    self._steps_per_epoch = steps_per_epoch
    self._epochs = epochs
    self._batch_size = batch_size
    self._first_step = step
    self._metrics = self._line = ""
    self._start = self._last_line = time.monotonic()
    console = Console(stderr=True)
    self._bar = _Display(
      TextColumn("{task.description}"),
      BarColumn(bar_width=24),
      TextColumn("{task.fields[epoch]}"),
      TimeRemainingColumn(compact=True),
      _Left(),
      console=console,
      disable=self._silent or not console.is_terminal or not logger.isEnabledFor(logging.INFO),
    )
    self._task = self._bar.add_task(
      title, total=epochs * steps_per_epoch, completed=step, epoch="compiling", text=""
    )
    self._title = title

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
      self._print()

  @property
  def images_per_second(self) -> float:
    """Training speed since the start, compilation included."""
    steps = self._bar.tasks[0].completed - self._first_step
    return steps * self._batch_size / max(time.monotonic() - self._start, 1e-9)

  def epoch(self, metrics: dict[str, float]) -> None:
    """Takes an epoch's mean metrics."""
    self._metrics = (
      f"loss {metrics['loss']:.4g}  reconstruction {metrics['reconstruction_error']:.4g}  "
      f"penalty {metrics['penalty']:.3g}  "
    )

  def step(self, step: int) -> None:
    """Takes the number of steps done."""
    epoch = f"epoch {min(step // self._steps_per_epoch + 1, self._epochs)}/{self._epochs}"
    self._bar.update(self._task, completed=step)
    text = f"{self._metrics}{self.images_per_second:,.0f} images/s"
    self._line = f"{epoch}  {text}"
    self._bar.update(self._task, epoch=epoch, text=text)
    if time.monotonic() - self._last_line > _LINE_INTERVAL:
      self._print()

  def _print(self) -> None:
    self._last_line = time.monotonic()
    if self._bar.disable and not self._silent:
      logger.info("%s: %s", self._title, self._line)


class _Display(Progress):
  """The bar, and under it the figures: on one line they do not fit 80 columns."""

  def get_renderables(self) -> Iterable[RenderableType]:
    yield self.make_tasks_table(self.tasks)
    for task in self.tasks:
      yield Text(task.fields["text"])


class _Left(ProgressColumn):
  """The words that TimeRemainingColumn leaves out."""

  def render(self, task: Task) -> Text:
    return Text("left" if not task.finished else "")
