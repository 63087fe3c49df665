"""A whole run: from a configuration and a data set to a work directory with a trained model."""

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from aejax import networks
from aejax.autoencoder import Autoencoder
from aejax.data import Dataset
from aejax.training.checkpoints import AllCheckpoints
from aejax.training.configuration import Configuration, members, write
from aejax.training.devices import (
  check_batch_size,
  devices_mesh,
  everywhere,
  place,
  put_images,
)
from aejax.training.epoch import Sums, epoch_order, make_run_steps, zero_sums
from aejax.training.interruption import interruption
from aejax.training.lock import locked
from aejax.training.log import Log
from aejax.training.processes import agree
from aejax.training.progress import TrainingProgress
from aejax.training.step import TrainState, TrainStep, create

__all__ = ["Interrupted", "build", "train"]

# A call of the compiled loop takes about so long: short enough to stop and to save in time, long
# enough that the host is never seen.
_CALL_SECONDS = 0.5
_CHECKPOINT_SECONDS = 120.0


class Interrupted(Exception):
  """The run was asked to stop, and saved itself."""

  def __init__(self, step: int, signal_number: int):
    super().__init__(f"Stopped at step {step:,}; --resume goes on from there.")
    self.signal_number = signal_number


def build(
  configuration: Configuration, *, steps: int = 1
) -> tuple[Autoencoder, TrainState, TrainStep]:
  """The model, its fresh training state, and the step, as configured.

  Args:
    configuration: of the run.
    steps: how many the run has, for the schedule.
  """
  keys = jax.random.split(jax.random.key(configuration.seed), 3)
  objective = configuration.make_objective()
  model = networks.build(
    configuration.network,
    configuration.image_shape,
    latent_dim=configuration.latent_dim,
    gaussian=objective.gaussian_encoder,
    dtype=jnp.dtype(configuration.precision),
    key=keys[0],
  )
  rate = configuration.learning_rate
  schedule = (
    optax.cosine_decay_schedule(rate, steps) if configuration.schedule == "cosine" else rate
  )
  state, train_step = create(
    model, objective, optax.adam(schedule), key=keys[1], accumulate=configuration.accumulate
  )
  return model, state, train_step


def train(configuration: Configuration, dataset: Dataset, workdir: Path) -> dict[str, float]:
  """Trains to the last epoch, from the newest checkpoint in `workdir` if there is one.

  Uses all devices, of all processes if there are several: each of them calls this alike.

  Writes `metrics.jsonl` (an object an epoch) and `checkpoints/`; of several seeds at once, for each
  in a folder of its own with its `config.json`, as if it had been trained alone.

  Returns:
    `seconds` of this call and `images_per_second`; nothing if there was nothing left to train.

  Raises:
    ValueError: if the loss or a parameter is no longer finite; no such state is saved.
    Interrupted: after SIGINT or SIGTERM, once the state is saved.
  """
  runs = members(configuration, workdir)
  if configuration.seeds > 1 and jax.process_index() == 0:
    for member, folder in runs:
      write(folder, member)
  n, batch_size = len(dataset.train), configuration.batch_size
  per_epoch = n // batch_size
  last = configuration.epochs * per_epoch
  states, steps = zip(*(build(member, steps=last)[1:] for member, _ in runs), strict=True)
  mesh = devices_mesh()
  check_batch_size(batch_size, jax.device_count(), configuration.accumulate)
  run_steps = make_run_steps(steps[0], batch_size, together=len(runs) > 1, mesh=mesh)
  order_keys = [jax.random.fold_in(jax.random.key(member.seed), 1) for member, _ in runs]

  def order_of(epoch):
    return everywhere(_together([epoch_order(key, epoch, n) for key in order_keys]), mesh)

  start = saved = time.monotonic()
  with (
    locked(workdir) if jax.process_index() == 0 else contextlib.nullcontext(),
    AllCheckpoints([folder for _, folder in runs]) as checkpoints,
    interruption() as interrupted,
  ):
    step, restored = checkpoints.restore([(state, zero_sums()) for state in states], mesh)
    put = place if len(runs) == 1 else everywhere
    state, sums = put(_together(restored), mesh)
    log = _Logs([folder for _, folder in runs], per_epoch, step)
    if step == last:
      return {}
    images = put_images(dataset.train, mesh)
    order = order_of(step // per_epoch)
    count, previous, (stop,) = 8, sums, agree(interrupted() or 0)
    with TrainingProgress(
      f"{configuration.method} {dataset.name}",
      epochs=configuration.epochs,
      steps_per_epoch=per_epoch,
      batch_size=batch_size * len(runs),
      step=step,
    ) as progress:
      while step < last and not stop:
        taken = min(count, per_epoch - step % per_epoch)
        state, sums = run_steps(state, sums, images, order, taken)
        step += taken
        # The device always has a call ahead of the one that is waited for here.
        waited = time.monotonic()
        jax.block_until_ready(previous)
        previous = sums
        if taken == count and time.monotonic() - waited < _CALL_SECONDS / 2:
          count *= 2
        log.flush(progress)
        if step % per_epoch == 0:
          log.add(step, _apart(sums, len(runs)))
          sums = everywhere(_together([zero_sums() for _ in runs]), mesh)
          order = order_of(step // per_epoch)
        progress.step(step)
        due = time.monotonic() - saved > _CHECKPOINT_SECONDS
        count, due, stop = agree(count, due, interrupted() or 0)
        if due:
          log.flush(progress)  # first, for a run resumed from here does not see the epoch again
          checkpoints.save(step, _apart((state, sums), len(runs)))
          saved = time.monotonic()
      log.flush(progress)
      progress.step(step)
      speed = progress.images_per_second
    checkpoints.save(step, _apart((state, sums), len(runs)))
    if stop and step < last:
      raise Interrupted(step, stop)
  return {"seconds": time.monotonic() - start, "images_per_second": speed}


def _together(trees: Sequence[PyTree]) -> PyTree:
  """One tree with a leading axis, or the tree itself where there is but one."""
  return trees[0] if len(trees) == 1 else jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _apart(tree: PyTree, count: int) -> list[PyTree]:
  """The adjoint of `_together`."""
  if count == 1:
    return [tree]
  return [jax.tree.map(lambda leaf, k=k: leaf[k], tree) for k in range(count)]


class _Logs:
  """The logs of runs that are trained together."""

  def __init__(self, folders: Sequence[Path], steps_per_epoch: int, step: int):
    self._logs = [Log(folder / "metrics.jsonl", steps_per_epoch, step) for folder in folders]

  def add(self, step: int, sums: Sequence[Sums]) -> None:
    for log, own in zip(self._logs, sums, strict=True):
      log.add(step, own)

  def flush(self, progress: TrainingProgress) -> None:
    """Writes what is pending, and shows the mean of the runs."""
    written = [means for log in self._logs if (means := log.flush()) is not None]
    if written:
      progress.epoch({name: sum(m[name] for m in written) / len(written) for name in written[0]})
