"""The training loop: takes steps, logs, saves and stops, from the newest checkpoint to the end."""

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from aejax._files import clear_partial, locked
from aejax._messages import logger, warn
from aejax.autoencoder import pixels
from aejax.data import Dataset
from aejax.metrics.collapse import collapse
from aejax.objectives import Objective
from aejax.training.checkpoint_group import CheckpointGroup, NoCheckpoints
from aejax.training.configuration import Configuration, seed_runs, write
from aejax.training.distributed import all_reduce_max
from aejax.training.divergence import Diverged, diagnose_step, first_nonfinite_step
from aejax.training.epoch import Sums, epoch_order, make_run_steps
from aejax.training.interruption import Interrupted, interruption
from aejax.training.log import LogGroup
from aejax.training.optimizers import trained_parameters
from aejax.training.progress import TrainingProgress
from aejax.training.retry import RetryingWriter
from aejax.training.sharding import (
  check_batch_size,
  devices_mesh,
  replicate,
  shard_state,
)
from aejax.training.state import (
  NOTHING_GIVEN,
  Given,
  RunState,
  build,
  end_epoch,
  fresh,
  stack,
  unstack,
)
from aejax.training.step import Metrics, TrainState, merge
from aejax.training.streaming import place
from aejax.training.validation import make_test_metrics

__all__ = ["Callback", "Trainer", "train"]

Callback = Callable[[dict[str, Any], TrainState], object]
"""A function that is called at the end of each epoch with its metrics and the train state."""

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


class Trainer:
  """Trains the runs of a configuration, one per seed.

  Without a work directory, it writes nothing, and its only run is that of the configuration.
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
    self.configuration = configuration
    self.dataset = configuration.make_scaling().dataset(dataset)
    self.interrupted = interrupted
    self.given = given
    self.callbacks = callbacks
    self.writer = RetryingWriter(interrupted)
    self.workdir = workdir
    self.runs = [(configuration, Path())] if workdir is None else seed_runs(configuration, workdir)
    self.folders = [] if workdir is None else [folder for _, folder in self.runs]
    self.together = len(self.runs) > 1
    if self.together and jax.process_index() == 0:
      for member, folder in self.runs:
        write(folder, member)
    self.num_images = len(dataset.train)
    self.steps_per_epoch = self.num_images // configuration.batch_size
    self.last_step = configuration.epochs * self.steps_per_epoch
    self.mesh = devices_mesh()
    check_batch_size(configuration.batch_size, jax.device_count(), configuration.accumulate)
    self.step, self.saved_at = 0, time.monotonic()
    self.warned_of_collapse = False
    self.end_epoch = jax.vmap(end_epoch, (0, None, 0)) if self.together else end_epoch
    self.order_keys = [jax.random.fold_in(jax.random.key(m.seed), 1) for m, _ in self.runs]
    self.checkpoints = (
      NoCheckpoints()
      if workdir is None
      else CheckpointGroup(self.folders, keep=configuration.keep_checkpoints)
    )

  def train(self) -> dict[str, float]:
    """Trains to the last epoch."""
    start = time.monotonic()
    step, state = self.restore()
    skips = self.configuration.skip_nonfinite
    log = LogGroup(self.folders or [None], self.steps_per_epoch, step, skips=skips)
    self.final, self.histories = state, log.histories
    if step == self.last_step or self.has_lost_patience(step, state):
      return {}
    if step == 0 and self.last_step < _FEW_STEPS:
      logger.info(
        "The run has only %d steps (%d epochs of %d), and blurred results may mean too few: more "
        "epochs or a smaller batch give more.",
        self.last_step,
        self.configuration.epochs,
        self.steps_per_epoch,
      )
    self.feed = place(
      self.dataset.train,
      self.configuration.data,
      batch_size=self.configuration.batch_size,
      runs=len(self.runs),
      mesh=self.mesh,
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
      raise self.diagnosed(error) from error
    if stop and step < self.last_step:
      raise Interrupted(step, stop)
    return {"seconds": time.monotonic() - start, "images_per_second": speed}

  def restore(self) -> tuple[int, RunState]:
    """Returns the newest step and the state there, stacked over the runs if there are several."""
    built = [build(member, steps=self.last_step, given=self.given) for member, _ in self.runs]
    self.models, states, steps = zip(*built, strict=True)
    step, restored = self.checkpoints.restore([fresh(state) for state in states], self.mesh)
    self.run_steps = make_run_steps(
      steps[0],
      self.configuration.batch_size,
      image_shape=self.configuration.image_shape,
      together=self.together,
      mesh=self.mesh,
    )
    self.test_metrics = None
    if self.configuration.test_epochs:
      self.test_metrics = make_test_metrics(
        self.models[0],
        self.objective(self.runs[0][0]),
        self.dataset,
        batch_size=self.configuration.batch_size,
        accumulate=self.configuration.accumulate,
        together=self.together,
        mesh=self.mesh,
      )
    put = replicate if self.together else shard_state
    return step, put(stack(restored), self.mesh)

  def objective(self, member: Configuration) -> Objective:
    """Returns the objective of a run."""
    return member.make_objective() if self.given.objective is None else self.given.objective

  def epoch_orders(self, epoch: int) -> Int[Array, "..."]:
    """Returns the order of an epoch, stacked over the runs if there are several."""
    orders = [epoch_order(key, epoch, self.num_images) for key in self.order_keys]
    return replicate(stack(orders), self.mesh)

  def advance(self, state: RunState, order: Int[Array, "..."], step: int, count: int) -> RunState:
    """Returns the state `count` steps after `step` in its epoch; it donates the train state."""
    train, sums = state.train, state.sums
    for images, rows, taken in self.feed.calls(order, step % self.steps_per_epoch, count):
      train, sums = self.run_steps(train, sums, images, rows, taken)
    return RunState(train, sums, state.best)

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
      for callback in self.callbacks:
        # The next call of the loop reuses the buffers of the state.
        callback(dict(log.histories[0][-1]), jax.tree.map(jnp.copy, state.train))
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

  def diagnosed(self, error: Diverged) -> Diverged:
    """Returns the error with its cause: repeats the steps since the last checkpoint to find it."""
    if jax.process_count() > 1 or self.workdir is None:
      return error
    logger.info("Training diverged: looking for the step …")
    reached = self.step
    with contextlib.suppress(OSError):
      self.checkpoints.wait()
    start, state = self.restore()
    found = first_nonfinite_step(self.advance_over_epochs, state, start, reached - 1, error.step)
    if found is None:
      return Diverged(error.step, found=", but not when these steps were taken again")
    step, before = found
    (member, folder), model = self.runs[error.run], self.models[error.run]
    train = unstack(before, len(self.runs))[error.run].train
    train = jax.device_put(train, jax.local_devices()[0])
    epoch, step_in_epoch = divmod(step, self.steps_per_epoch)
    order = np.asarray(epoch_order(self.order_keys[error.run], epoch, self.num_images))
    rows = order[step_in_epoch * member.batch_size :][: member.batch_size]
    sentence = diagnose_step(
      folder,
      model,
      self.objective(member),
      train,
      self.dataset.train[rows],
      accumulate=member.accumulate,
      about={"step": step, "epoch": epoch + 1, "seed": member.seed, "images": rows.tolist()},
    )
    return Diverged(step, found=sentence)

  def advance_over_epochs(self, state: RunState, step: int, count: int) -> RunState:
    """Returns the state `count` steps later; the sums of several epochs are added up."""
    while count:
      taken = min(count, self.steps_per_epoch - step % self.steps_per_epoch)
      state = self.advance(state, self.epoch_orders(step // self.steps_per_epoch), step, taken)
      step, count = step + taken, count - taken
    return state
