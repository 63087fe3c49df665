"""A whole run: from a configuration and a data set to a work directory with a trained model."""

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from aejax._files import clear_partial, locked
from aejax._messages import logger, warn
from aejax.autoencoder import pixels
from aejax.data import Dataset
from aejax.metrics.collapse import collapse
from aejax.training.checkpoints import CheckpointGroup
from aejax.training.configuration import Configuration, seed_runs, write
from aejax.training.distributed import all_reduce_max
from aejax.training.divergence import Diverged, diagnose_step, first_nonfinite_step
from aejax.training.epoch import epoch_order, make_run_steps
from aejax.training.interruption import Interrupted, interruption
from aejax.training.log import LogGroup
from aejax.training.progress import TrainingProgress
from aejax.training.retry import RetryingWriter
from aejax.training.sharding import (
  check_batch_size,
  devices_mesh,
  replicate,
  shard_images,
  shard_state,
)
from aejax.training.state import RunState, build, end_epoch, fresh
from aejax.training.step import merge

__all__ = ["train"]

# A call of the compiled loop takes about so long: short enough to stop and to save in time, long
# enough that the host is never seen.
_CALL_SECONDS = 0.5

_WATCHED = 512  # images whose latents are looked at for collapse


def train(configuration: Configuration, dataset: Dataset, workdir: Path) -> dict[str, float]:
  """Trains to the last epoch, from the newest checkpoint in `workdir` if there is one.

  Uses all devices, of all processes if there are several: each of them calls this alike.

  Writes `metrics.jsonl` (an object an epoch) and `checkpoints/`; of several seeds at once, for each
  in a folder of its own with its `config.json`, as if it had been trained alone.

  Returns:
    `seconds` of this call and `images_per_second`; nothing if there was nothing left to train.

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
    run = _Run(configuration, dataset, workdir, interrupted)
    with run.checkpoints:
      return run.train()


class _Run:
  """The runs of a configuration, one a seed, and where they stand."""

  def __init__(
    self,
    configuration: Configuration,
    dataset: Dataset,
    workdir: Path,
    interrupted: Callable[[], int | None],
  ):
    self.configuration = configuration
    self.dataset = dataset
    self.interrupted = interrupted
    self.patience = RetryingWriter(interrupted)
    self.warned = False
    self.runs = seed_runs(configuration, workdir)
    if configuration.seeds > 1 and jax.process_index() == 0:
      for member, folder in self.runs:
        write(folder, member)
    self.num_images = len(dataset.train)
    self.per_epoch = self.num_images // configuration.batch_size
    self.last = configuration.epochs * self.per_epoch
    self.mesh = devices_mesh()
    check_batch_size(configuration.batch_size, jax.device_count(), configuration.accumulate)
    self.step, self.saved_at = 0, time.monotonic()
    self.end_epoch = end_epoch if len(self.runs) == 1 else jax.vmap(end_epoch, (0, None))
    self.order_keys = [jax.random.fold_in(jax.random.key(m.seed), 1) for m, _ in self.runs]
    folders = [folder for _, folder in self.runs]
    self.checkpoints = CheckpointGroup(folders, keep=configuration.keep_checkpoints)

  def train(self) -> dict[str, float]:
    """Trains to the last epoch."""
    start = time.monotonic()
    step, state = self.restore()
    folders, skips = [folder for _, folder in self.runs], self.configuration.skip_nonfinite
    log = LogGroup(folders, self.per_epoch, step, skips=skips)
    if step == self.last:
      return {}
    self.images = shard_images(self.dataset.train, self.mesh)
    try:
      with TrainingProgress(
        f"{self.configuration.method} {self.dataset.name}",
        epochs=self.configuration.epochs,
        steps_per_epoch=self.per_epoch,
        batch_size=self.configuration.batch_size * len(self.runs),
        step=step,
      ) as progress:
        step, state, stop = self.loop(step, state, log, progress)
        speed = progress.images_per_second
    except Diverged as error:
      raise self.explained(error) from error
    if stop and step < self.last:
      raise Interrupted(step, stop)
    return {"seconds": time.monotonic() - start, "images_per_second": speed}

  def restore(self) -> tuple[int, PyTree]:
    """The newest state of all runs, together, and its step."""
    built = [build(member, steps=self.last) for member, _ in self.runs]
    self.models, states, steps = zip(*built, strict=True)
    step, restored = self.checkpoints.restore([fresh(state) for state in states], self.mesh)
    self.run_steps = make_run_steps(
      steps[0], self.configuration.batch_size, together=len(self.runs) > 1, mesh=self.mesh
    )
    put = shard_state if len(self.runs) == 1 else replicate
    return step, put(_stack(restored), self.mesh)

  def order_of(self, epoch: int) -> Array:
    """The order of an epoch, for each run."""
    orders = [epoch_order(key, epoch, self.num_images) for key in self.order_keys]
    return replicate(_stack(orders), self.mesh)

  def advance(self, state: PyTree, order: Array, count: int) -> PyTree:
    """The state after so many more steps of an epoch; it uses up the train state."""
    train, sums = self.run_steps(state.train, state.sums, self.images, order, count)
    return RunState(train, sums, state.best)

  def loop(
    self, step: int, state: PyTree, log: LogGroup, progress: TrainingProgress
  ) -> tuple[int, PyTree, int]:
    """Takes steps until the last, or until it is asked to stop; returns the signal that did."""
    order = self.order_of(step // self.per_epoch)
    count, previous, (stop,) = 8, state.sums, all_reduce_max(self.interrupted() or 0)
    while step < self.last and not stop:
      taken = min(count, self.per_epoch - step % self.per_epoch)
      state = self.advance(state, order, taken)
      self.step = step = step + taken
      # The device always has a call ahead of the one that is waited for here.
      waited = time.monotonic()
      jax.block_until_ready(previous)
      self.check(previous)
      previous = state.sums
      if taken == count and time.monotonic() - waited < _CALL_SECONDS / 2:
        count *= 2
      self.write(lambda: log.flush(progress))
      if step % self.per_epoch == 0:
        log.add(step, _unstack(state.sums, len(self.runs)))
        state = self.end_epoch(state, self.per_epoch)
        order = self.order_of(step // self.per_epoch)
      progress.step(step)
      count, due, stop = all_reduce_max(count, self.due(), self.interrupted() or 0)
      if due and step < self.last and not stop:
        self.save(state, log, progress)
    self.save(state, log, progress, last=True)
    progress.step(step)
    return step, state, stop

  def due(self) -> bool:
    """Whether it is time for a checkpoint."""
    minutes, epochs = self.configuration.checkpoint_minutes, self.configuration.checkpoint_epochs
    late = time.monotonic() - self.saved_at > 60 * minutes
    return late or (epochs > 0 and self.step % (epochs * self.per_epoch) == 0)

  def save(
    self, state: PyTree, log: LogGroup, progress: TrainingProgress, *, last: bool = False
  ) -> None:
    """Saves the state, unless a step on the way to it was bad."""
    self.check(state.sums)
    parts = _unstack(state, len(self.runs))

    def action() -> None:
      log.flush(progress)  # first, for a run resumed from here does not see the epoch again
      self.checkpoints.save(self.step, parts)
      if last:
        self.checkpoints.wait()

    self.write(action, last=last)
    self.saved_at = time.monotonic()
    if not last and not self.warned:
      self.watch(state)

  def watch(self, state: PyTree) -> None:
    """Warns of collapse, once; a run too short for checkpoints hears of it with its scores."""
    if jax.process_count() > 1:
      return
    some = self.images[:_WATCHED]
    for (member, _), model, part in zip(
      self.runs, self.models, _unstack(state, len(self.runs)), strict=True
    ):
      means = np.asarray(merge(model, part.train.params).encode(pixels(some)))
      sentence = collapse(means, gaussian=member.make_objective().gaussian_encoder)
      if sentence is not None:
        warn(f"after {self.step:,} steps, {sentence}")
        self.warned = True

  def write(self, action: Callable[[], object], *, last: bool = False) -> None:
    """Writes with patience; one of several processes has none, for the others would wait."""
    if jax.process_count() > 1:
      action()
      return
    try:
      self.patience.write(action, last=last)
    except OSError as error:
      if (number := self.interrupted()) is None:
        raise
      saved = self.checkpoints.latest
      raise Interrupted(self.step, number, saved=saved, reason=str(error.strerror)) from error

  def check(self, sums: PyTree) -> None:
    """Raises Diverged if a step's loss was not finite, unless such steps are skipped."""
    if self.configuration.skip_nonfinite:
      return
    bad = np.atleast_1d(np.asarray(sums.bad_step))
    if bad.max() >= 0:
      run = int(np.argmax(bad >= 0))
      raise Diverged(int(bad[run]), run)

  def explained(self, error: Diverged) -> Diverged:
    """Goes again through the steps since the last checkpoint, to the one that diverged."""
    if jax.process_count() > 1:
      return error
    logger.info("Training diverged: looking for the step …")
    reached = self.step
    with contextlib.suppress(OSError):
      self.checkpoints.wait()
    start, state = self.restore()
    found = first_nonfinite_step(self.advance_over, state, start, reached - 1, error.step)
    if found is None:
      return Diverged(error.step, found=", but not when these steps were taken again")
    step, before = found
    (member, folder), model = self.runs[error.run], self.models[error.run]
    train = _unstack(before, len(self.runs))[error.run].train
    train = jax.device_put(train, jax.local_devices()[0])
    at = step % self.per_epoch * member.batch_size
    epoch = step // self.per_epoch
    order = np.asarray(epoch_order(self.order_keys[error.run], epoch, self.num_images))
    rows = order[at : at + member.batch_size]
    sentence = diagnose_step(
      folder,
      model,
      member.make_objective(),
      train,
      np.asarray(self.dataset.train)[rows],
      accumulate=member.accumulate,
      about={"step": step, "epoch": epoch + 1, "seed": member.seed, "images": rows.tolist()},
    )
    return Diverged(step, found=sentence)

  def advance_over(self, state: PyTree, step: int, count: int) -> PyTree:
    """`advance` across epochs, whose sums it does not separate."""
    while count:
      taken = min(count, self.per_epoch - step % self.per_epoch)
      state = self.advance(state, self.order_of(step // self.per_epoch), taken)
      step, count = step + taken, count - taken
    return state


def _stack(trees: Sequence[PyTree]) -> PyTree:
  """One tree with a leading axis, or the tree itself where there is but one."""
  return trees[0] if len(trees) == 1 else jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _unstack(tree: PyTree, count: int) -> list[PyTree]:
  """The adjoint of `_together`."""
  if count == 1:
    return [tree]
  return [jax.tree.map(lambda leaf, k=k: leaf[k], tree) for k in range(count)]
