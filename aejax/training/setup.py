"""What a training starts from: models, steps, data and checkpoints, one run for each seed."""

import contextlib
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from aejax._messages import logger
from aejax.data import Dataset
from aejax.objectives import Objective
from aejax.training.augmentation import flipped
from aejax.training.checkpoint_group import CheckpointGroup, NoCheckpoints
from aejax.training.configuration import Configuration, seed_runs, write
from aejax.training.divergence import Diverged, diagnose_step, first_nonfinite_step
from aejax.training.epoch import epoch_order, make_run_steps
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
  fresh,
  stack,
  unstack,
  weight_schedule_of,
)
from aejax.training.streaming import Resident, Stream, place
from aejax.training.validation import make_test_metrics

__all__ = ["Setup"]


class Setup:
  """The runs of a configuration, one per seed, with what their steps need.

  Without a work directory, the runs have neither folders nor checkpoints.
  """

  def __init__(
    self,
    configuration: Configuration,
    dataset: Dataset,
    workdir: Path | None,
    *,
    given: Given = NOTHING_GIVEN,
  ):
    self.configuration = configuration
    self.dataset = configuration.make_scaling().dataset(dataset)
    self.given = given
    self.workdir = workdir
    self.runs = seed_runs(configuration, workdir)
    self.folders = [folder for _, folder in self.runs if folder is not None]
    self.together = len(self.runs) > 1
    if self.together and jax.process_index() == 0:
      for member, folder in self.runs:
        if folder is not None:
          write(folder, member)
    self.num_images = len(dataset.train)
    self.steps_per_epoch = self.num_images // configuration.batch_size
    self.last_step = configuration.epochs * self.steps_per_epoch
    self.mesh = devices_mesh()
    check_batch_size(configuration.batch_size, jax.device_count(), configuration.accumulate)
    self.order_keys = [jax.random.fold_in(jax.random.key(m.seed), 1) for m, _ in self.runs]
    self.checkpoints = (
      NoCheckpoints()
      if workdir is None
      else CheckpointGroup(self.folders, keep=configuration.keep_checkpoints)
    )

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

  @functools.cached_property
  def feed(self) -> Resident | Stream:
    """The training data, on the devices or sent as the steps need them."""
    return place(
      self.dataset.train,
      self.configuration.data,
      batch_size=self.configuration.batch_size,
      runs=len(self.runs),
      mesh=self.mesh,
    )

  def epoch_orders(self, epoch: int) -> Int[Array, "..."]:
    """Returns the order of an epoch, stacked over the runs if there are several."""
    orders = [epoch_order(key, epoch, self.num_images) for key in self.order_keys]
    return replicate(stack(orders), self.mesh)

  def advance(self, state: RunState, order: Int[Array, "..."], step: int, count: int) -> RunState:
    """Returns the state `count` steps after `step` in its epoch; it donates the train state."""
    train, sums, previous = state.train, state.sums, None
    for images, rows, taken in self.feed.calls(order, step % self.steps_per_epoch, count):
      train, sums = self.run_steps(train, sums, images, rows, taken)
      # Without waiting, the rows of all calls would lie on the device at once.
      jax.block_until_ready(previous)
      previous = sums
    return RunState(train, sums, state.best)

  def diagnosed(self, error: Diverged, reached: int) -> Diverged:
    """Returns the error with its cause: repeats the steps since the last checkpoint to find it.

    Args:
      error: what the loop raised.
      reached: step that the loop had reached.
    """
    if jax.process_count() > 1 or self.workdir is None:
      return error
    logger.info("Training diverged: looking for the step …")
    with contextlib.suppress(OSError):
      self.checkpoints.wait()
    start, state = self.restore()
    found = first_nonfinite_step(self.advance_over_epochs, state, start, reached - 1, error.step)
    if found is None:
      return Diverged(error.step, found=", but not when these steps were taken again")
    step, before = found
    member, model, folder = self.runs[error.run][0], self.models[error.run], self.folders[error.run]
    train = unstack(before, len(self.runs))[error.run].train
    train = jax.device_put(train, jax.local_devices()[0])
    epoch, step_in_epoch = divmod(step, self.steps_per_epoch)
    order = np.asarray(epoch_order(self.order_keys[error.run], epoch, self.num_images))
    rows = order[step_in_epoch * member.batch_size :][: member.batch_size]
    batch = self.dataset.train[rows]
    if member.flip:
      batch = np.asarray(flipped(train, jnp.asarray(batch)))
    sentence = diagnose_step(
      folder,
      model,
      self.objective(member),
      train,
      batch,
      accumulate=member.accumulate,
      weight_schedule=weight_schedule_of(member, self.given),
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
