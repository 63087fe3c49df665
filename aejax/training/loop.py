"""The training loop: takes steps, logs, saves and stops, from the newest checkpoint to the end."""

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aejax._files import clear_partial, locked
from aejax._messages import logger, warn
from aejax.autoencoder import pixels
from aejax.data import Dataset
from aejax.metrics.collapse import collapse
from aejax.training.configuration import Configuration, seed_runs
from aejax.training.distributed import all_reduce_max
from aejax.training.divergence import Diverged
from aejax.training.epoch import Sums
from aejax.training.interruption import Interrupted, interruption
from aejax.training.log import LogGroup
from aejax.training.optimizers import trained_parameters
from aejax.training.progress import TrainingProgress
from aejax.training.retry import RetryingWriter
from aejax.training.setup import Setup
from aejax.training.state import (
  NOTHING_GIVEN,
  Given,
  RunState,
  end_epoch,
  unstack,
)
from aejax.training.step import Metrics, TrainState, merge

__all__ = ["Callback", "Trainer", "train"]

Callback = Callable[[dict[str, Any], TrainState], object]
"""A function that is called at the end of each epoch with its metrics and the train state.

If several seeds are trained together, it is called for each, and the metrics have the `seed`.
"""

# Target duration of one call of the compiled loop: short enough to stop and to save promptly, long
# enough that dispatching calls from the host costs nothing.
_CALL_SECONDS = 0.5

# Number of steps in the first call.
_FIRST_COUNT = 8

# Fewer steps than this rarely suffice for images.
_FEW_STEPS = 1000

# Number of images whose latents are checked for collapse.
_COLLAPSE_IMAGES = 512


def train(
  configuration: Configuration,
  dataset: Dataset,
  workdir: Path,
  *,
  given: Given = NOTHING_GIVEN,
  callbacks: Sequence[Callback] = (),
) -> dict[str, float]:
  """Trains to the last epoch, from the newest checkpoint in `workdir` if there is one.

  It uses all devices; with several processes, each must call it. It writes `metrics.jsonl` (one
  object per epoch) and `checkpoints/`. Several seeds are trained at once, each in its own folder
  with its own `config.json`, as if it were trained alone.

  Args:
    configuration: settings of the run.
    dataset: the data set.
    workdir: the work directory.
    given: objects that replace what the configuration names.
    callbacks: functions that are called at the end of each epoch.

  Returns:
    `seconds` of this call and `images_per_second`; empty if nothing was left to train.

  Raises:
    Diverged: if the loss or a parameter is no longer finite; no such state is saved. The error and
      diverged.json say where that began.
    Interrupted: after SIGINT or SIGTERM, once the state is saved.
  """
  with (
    locked(workdir) if jax.process_index() == 0 else contextlib.nullcontext(),
    interruption() as interrupted,
  ):
    if jax.process_index() == 0:
      for folder in (workdir, *(folder for _, folder in seed_runs(configuration, workdir))):
        clear_partial(folder)
        clear_partial(folder / "checkpoints")
    trainer = Trainer(
      configuration, dataset, workdir, interrupted=interrupted, given=given, callbacks=callbacks
    )
    with trainer.checkpoints:
      return trainer.train()


class Trainer(Setup):
  """Trains the runs of a configuration, one per seed.

  Without a work directory, it writes nothing.
  """

  def __init__(
    self,
    configuration: Configuration,
    dataset: Dataset,
    workdir: Path | None,
    *,
    interrupted: Callable[[], int | None] = lambda: None,
    given: Given = NOTHING_GIVEN,
    callbacks: Sequence[Callback] = (),
  ):
    super().__init__(configuration, dataset, workdir, given=given)
    self.interrupted = interrupted
    self.callbacks = callbacks
    self.writer = RetryingWriter(interrupted)
    self.step, self.saved_at = 0, time.monotonic()
    self.warned_of_collapse = False
    self.end_epoch = jax.vmap(end_epoch, (0, None, 0)) if self.together else end_epoch

  def train(self) -> dict[str, float]:
    """Trains to the last epoch."""
    step, state = self.restore()
    skips = self.configuration.skip_nonfinite
    log = LogGroup(self.runs, self.steps_per_epoch, step, skips=skips)
    self.final, self.histories = state, log.histories
    with contextlib.closing(log):
      return self.continued(step, state, log)

  def continued(self, step: int, state: RunState, log: LogGroup) -> dict[str, float]:
    """Trains from a step to the last epoch."""
    start = time.monotonic()
    if step == self.last_step or self.has_lost_patience(step, state):
      return {}
    if step == 0 and self.last_step < _FEW_STEPS and jax.process_index() == 0:
      logger.info(
        "The run has only %d steps (%d epochs of %d), and blurred results may mean too few: more "
        "epochs or a smaller batch give more.",
        self.last_step,
        self.configuration.epochs,
        self.steps_per_epoch,
      )
    try:
      with TrainingProgress(
        f"{self.configuration.method} {self.dataset.name}",
        epochs=self.configuration.epochs,
        steps_per_epoch=self.steps_per_epoch,
        batch_size=self.configuration.batch_size * len(self.runs),
        step=step,
      ) as progress:
        step, stop, self.final = self.loop(step, state, log, progress)
        speed = progress.images_per_second
    except Diverged as error:
      raise self.diagnosed(error, self.step) from error
    if stop and step < self.last_step:
      raise Interrupted(step, stop)
    return {"seconds": time.monotonic() - start, "images_per_second": speed}

  def loop(
    self, step: int, state: RunState, log: LogGroup, progress: TrainingProgress
  ) -> tuple[int, int, RunState]:
    """Takes steps until the last, a signal or the end of patience, and saves the state.

    Returns:
      The step reached, the number of the signal, 0 if there was none, and the state.
    """
    done = False
    order = self.epoch_orders(step // self.steps_per_epoch)
    count, previous, (stop,) = _FIRST_COUNT, state.sums, all_reduce_max(self.interrupted() or 0)
    while step < self.last_step and not (stop or done):
      taken = min(count, self.steps_per_epoch - step % self.steps_per_epoch)
      state = self.advance(state, order, step, taken)
      self.step = step = step + taken
      # Wait for the call before this one, so that the device always has a call queued.
      waited = time.monotonic()
      jax.block_until_ready(previous)
      self.check_finite(previous)
      previous = state.sums
      if taken == count and time.monotonic() - waited < _CALL_SECONDS / 2:
        count *= 2
      self.write(lambda: log.flush(progress))
      if step % self.steps_per_epoch == 0:
        state = self.finish_epoch(step, state, log, progress)
        done = self.has_lost_patience(step, state)
        order = self.epoch_orders(step // self.steps_per_epoch)
      progress.step(step)
      count, is_due, stop = all_reduce_max(count, self.checkpoint_is_due(), self.interrupted() or 0)
      if is_due and step < self.last_step and not (stop or done):
        self.save(state, log, progress)
        self.warn_of_collapse(state)
    self.save(state, log, progress, last=True)
    progress.step(step)
    return step, stop, state

  def finish_epoch(
    self, step: int, state: RunState, log: LogGroup, progress: TrainingProgress
  ) -> RunState:
    """Logs an epoch, calls the callbacks, and returns the state for the next one."""
    test, loss = None, None
    if self.test_metrics is not None:
      loss = jnp.full(jnp.shape(state.best.loss), jnp.inf, jnp.float32)
      if step // self.steps_per_epoch % self.configuration.test_epochs == 0:
        metrics: Metrics = self.test_metrics(trained_parameters(state.train))
        test, loss = unstack(metrics, len(self.runs)), metrics["test_loss"]
    log.add(step, unstack(state.sums, len(self.runs)), test)
    state = self.end_epoch(state, self.steps_per_epoch, loss)
    if self.callbacks:
      self.write(lambda: log.flush(progress))
      # The next call of the loop reuses the buffers of the state.
      states = unstack(jax.tree.map(jnp.copy, state.train), len(self.runs))
      for (member, _), lines, train_state in zip(self.runs, log.histories, states, strict=True):
        line = lines[-1] | ({"seed": member.seed} if self.together else {})
        for callback in self.callbacks:
          callback(dict(line), train_state)
    return state

  def has_lost_patience(self, step: int, state: RunState) -> bool:
    """Returns whether the last evaluations of the test loss brought no lower one."""
    patience, epochs = self.configuration.patience, self.configuration.test_epochs
    if not patience or not step:
      return False
    best = int(np.max(np.asarray(state.best.step)))  # of several runs, all must have lost it
    return step - best >= patience * epochs * self.steps_per_epoch

  def checkpoint_is_due(self) -> bool:
    """Returns whether it is time for a checkpoint."""
    minutes, epochs = self.configuration.checkpoint_minutes, self.configuration.checkpoint_epochs
    late = time.monotonic() - self.saved_at > 60 * minutes
    return late or (epochs > 0 and self.step % (epochs * self.steps_per_epoch) == 0)

  def save(
    self, state: RunState, log: LogGroup, progress: TrainingProgress, *, last: bool = False
  ) -> None:
    """Writes the log and saves the state.

    Raises:
      Diverged: if a number of the state, or a loss since the last checkpoint, is not finite.
    """
    self.check_finite(state.sums)
    states = unstack(state, len(self.runs))

    def action() -> None:
      # The log comes first: a run that resumes from this checkpoint does not repeat the epoch.
      log.flush(progress)
      self.checkpoints.save(self.step, states)
      if last:
        self.checkpoints.wait()

    self.write(action, last=last)
    self.saved_at = time.monotonic()

  def warn_of_collapse(self, state: RunState) -> None:
    """Warns once if latents have collapsed.

    It runs after a save, so a filter that turns the warning into an error loses no step. A run
    that ends before its first checkpoint gets the warning with its scores.
    """
    if self.warned_of_collapse or jax.process_count() > 1:
      return
    images = jnp.asarray(self.dataset.train[:_COLLAPSE_IMAGES])
    states = unstack(state, len(self.runs))
    for (member, _), model, run_state in zip(self.runs, self.models, states, strict=True):
      params = trained_parameters(run_state.train)
      means = np.asarray(merge(model, params).encode(pixels(images)))
      sentence = collapse(means, gaussian=self.objective(member).gaussian_encoder)
      if sentence is not None:
        self.warned_of_collapse = True
        warn(f"after {self.step:,} steps, {sentence}")

  def write(self, action: Callable[[], object], *, last: bool = False) -> None:
    """Writes, and retries if the disk fails, unless other processes would wait meanwhile."""
    if jax.process_count() > 1:
      action()
      return
    try:
      self.writer.write(action, last=last)
    except OSError as error:
      if (number := self.interrupted()) is None:
        raise
      saved = self.checkpoints.latest
      raise Interrupted(self.step, number, saved=saved, reason=str(error.strerror)) from error

  def check_finite(self, sums: Sums) -> None:
    """Raises Diverged if the loss of a step was not finite, unless such steps are skipped."""
    if self.configuration.skip_nonfinite:
      return
    bad_steps = np.atleast_1d(np.asarray(sums.bad_step))
    if bad_steps.max() >= 0:
      run = int(np.argmax(bad_steps >= 0))
      raise Diverged(int(bad_steps[run]), run)
