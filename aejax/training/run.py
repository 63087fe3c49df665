"""A whole run: from a configuration and a data set to a work directory with a trained model."""

import json
import os
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, PyTree

from aejax import networks
from aejax.autoencoder import Autoencoder
from aejax.data import Dataset
from aejax.files import replacing
from aejax.training.checkpoints import Checkpoints
from aejax.training.configuration import Configuration
from aejax.training.epoch import Sums, epoch_order, make_run_steps, zero_sums
from aejax.training.interruption import interruption
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
  state, train_step = create(model, objective, optax.adam(schedule), key=keys[1])
  return model, state, train_step


def train(configuration: Configuration, dataset: Dataset, workdir: Path) -> dict[str, float]:
  """Trains to the last epoch, from the newest checkpoint in `workdir` if there is one.

  Writes `metrics.jsonl` (an object an epoch) and `checkpoints/`.

  Returns:
    `seconds` of this call and `images_per_second`; nothing if there was nothing left to train.

  Raises:
    ValueError: if the loss or a parameter is no longer finite; no such state is saved.
    Interrupted: after SIGINT or SIGTERM, once the state is saved.
  """
  n, batch_size = len(dataset.train), configuration.batch_size
  per_epoch = n // batch_size
  last = configuration.epochs * per_epoch
  _, state, train_step = build(configuration, steps=last)
  run_steps = make_run_steps(train_step, batch_size)
  order_key = jax.random.fold_in(jax.random.key(configuration.seed), 1)
  sums = zero_sums()
  start = saved = time.monotonic()
  with Checkpoints(workdir / "checkpoints") as checkpoints, interruption() as interrupted:
    if checkpoints.latest is not None:
      state, sums = checkpoints.restore((state, sums))
    step = int(state.step)
    log = _Log(workdir / "metrics.jsonl", per_epoch, step)
    if step == last:
      return {}
    images = jnp.asarray(dataset.train)
    order = epoch_order(order_key, step // per_epoch, n)
    count, previous = 8, sums
    title = f"{configuration.method} {dataset.name}"
    with TrainingProgress(
      title,
      epochs=configuration.epochs,
      steps_per_epoch=per_epoch,
      batch_size=batch_size,
      step=step,
    ) as progress:
      while step < last and interrupted() is None:
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
          log.add(step, sums)
          sums = zero_sums()
          order = epoch_order(order_key, step // per_epoch, n)
        progress.step(step)
        if time.monotonic() - saved > _CHECKPOINT_SECONDS:
          log.flush(progress)  # first, for a run resumed from here does not see the epoch again
          _save(checkpoints, state, sums)
          saved = time.monotonic()
      log.flush(progress)
      progress.step(step)
      speed = progress.images_per_second
    _save(checkpoints, state, sums)
    if (number := interrupted()) is not None and step < last:
      raise Interrupted(step, number)
  return {"seconds": time.monotonic() - start, "images_per_second": speed}


def _save(checkpoints: Checkpoints, state: TrainState, sums: Sums) -> None:
  """Saves a state that one can go on from, and no other."""
  step = int(state.step)
  if not _finite((state.params, sums)):
    raise ValueError(
      f"Training diverged: after {step:,} steps not all parameters are finite. A smaller learning "
      f"rate or weight may help."
    )
  checkpoints.save(step, (state, sums))


@jax.jit
def _finite(tree: PyTree) -> Bool[Array, ""]:
  return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


class _Log:
  """metrics.jsonl: an object an epoch, none twice, none after the step that a run resumes from."""

  def __init__(self, path: Path, steps_per_epoch: int, step: int):
    self._path = path
    self._steps_per_epoch = steps_per_epoch
    self._pending: tuple[int, Sums] | None = None
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    with replacing(path) as temporary:
      kept = lines[: step // steps_per_epoch]
      temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

  def add(self, step: int, sums: Sums) -> None:
    """Takes the sums of the epoch that ends with `step`, which may still be computing."""
    self._pending = step, sums

  def flush(self, progress: TrainingProgress) -> None:
    """Waits for the sums that were added last, writes their means, and shows them."""
    if self._pending is None:
      return
    (step, sums), self._pending = self._pending, None
    means = {name: float(total) / self._steps_per_epoch for name, total in sums.items()}
    epoch = step // self._steps_per_epoch
    for name, value in means.items():
      if not np.isfinite(value):
        raise ValueError(
          f"Training diverged: the {name} became {value} in epoch {epoch}. A smaller learning rate "
          f"or weight may help."
        )
    with self._path.open("a", encoding="utf-8") as file:
      file.write(json.dumps({"step": step, "epoch": epoch, **means}) + "\n")
      file.flush()
      os.fsync(file.fileno())
    progress.epoch(means)
