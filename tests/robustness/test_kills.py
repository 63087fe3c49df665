"""A training that is killed again and again equals one that was never killed."""

import dataclasses
import random
import time

import chex
import jax
import pytest
from subprocesses import epochs, own_tracebacks, said, wait_until

from aejax import data
from aejax.training.checkpoints import Checkpoints
from aejax.training.configuration import read
from aejax.training.loop import train
from aejax.training.state import build, fresh

# Trains until it is killed, with a checkpoint after every call of the compiled loop.
OPTIONS = ("--epochs", 10**7, "--checkpoint-minutes", 0)


def _newest_state(configuration, workdir):
  """Returns all numbers of the newest checkpoint."""
  _, state, _ = build(configuration)
  with Checkpoints(workdir / "checkpoints") as checkpoints:
    saved = checkpoints.restore(fresh(state))
  leaves = jax.tree.leaves(saved)
  key = state.key.dtype
  return jax.device_get([jax.random.key_data(v) if v.dtype == key else v for v in leaves])


def _kill(start, workdir, moments):
  """Starts or resumes the training, kills it at a random moment, and returns its phase then."""
  resume = ("--resume",) if (workdir / "config.json").exists() else ()
  process = start(workdir, *OPTIONS, *resume)
  begins = epochs(workdir)
  phase = moments.choice(("starts", "trains", "trains", "trains"))
  if phase == "trains":
    wait_until(lambda: epochs(workdir) != begins, process, workdir)
  time.sleep(moments.uniform(0, 2))
  assert process.poll() is None, said(workdir)
  process.kill()
  process.wait()
  return phase


def _assert_kills_change_nothing(start, images, folder, *, seed, kills):
  moments = random.Random(seed)
  workdir, undisturbed = folder / "run", folder / "undisturbed"
  phases = [_kill(start, workdir, moments) for _ in range(kills)]
  if not (workdir / "config.json").exists():
    start(workdir, *OPTIONS)
  configuration = read(workdir)
  with Checkpoints(workdir / "checkpoints") as checkpoints:
    reached = checkpoints.latest or 0
  dataset = data.load(images)
  steps = len(dataset.train) // configuration.batch_size
  configuration = dataclasses.replace(
    configuration, epochs=reached // steps + 2, checkpoint_minutes=2.0
  )
  for each in (workdir, undisturbed):
    train(configuration, dataset, each)
  log = (undisturbed / "metrics.jsonl").read_bytes()
  assert (workdir / "metrics.jsonl").read_bytes() == log
  assert log.count(b"\n") == configuration.epochs
  one, other = (_newest_state(configuration, each) for each in (undisturbed, workdir))
  chex.assert_trees_all_equal(one, other)
  assert own_tracebacks(workdir) == []
  # No partial file is left.
  assert sorted(path.name for path in workdir.iterdir()) == [
    "checkpoints",
    "config.json",
    "metrics.jsonl",
  ]
  left = [path.name for path in (workdir / "checkpoints").iterdir()]
  assert all(name.isdecimal() for name in left), left
  print(f"seed {seed}: {kills} kills, {phases.count('trains')} while it trained, step {reached:,}")


def test_kills_change_nothing(start, images, tmp_path):
  _assert_kills_change_nothing(start, images, tmp_path, seed=0, kills=3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_kills_under_load_change_nothing(start, images, tmp_path, seed):
  # Two other trainings load the machine.
  for name in ("load-0", "load-1"):
    start(tmp_path / name, *OPTIONS)
  _assert_kills_change_nothing(start, images, tmp_path, seed=seed, kills=10)
