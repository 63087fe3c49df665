"""A training that is killed several times ends bit for bit as one that never was."""

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

# The training does not end by itself, and saves as often as it can.
OPTIONS = ("--epochs", 10**7, "--checkpoint-minutes", 0)


def _saved_numbers(configuration, workdir):
  """Returns all numbers of the newest checkpoint: parameters, optimizer, key, sums, best epoch."""
  _, state, _ = build(configuration)
  with Checkpoints(workdir / "checkpoints") as checkpoints:
    saved = checkpoints.restore(fresh(state))
  key_type = state.key.dtype
  leaves = jax.tree.leaves(saved)
  return jax.device_get([jax.random.key_data(v) if v.dtype == key_type else v for v in leaves])


def _kill(start, workdir, moments):
  """Starts or resumes the training, kills it at a random moment, and returns the phase."""
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


def _check_kills(start, images, folder, *, seed, kills):
  moments = random.Random(seed)
  workdir, uninterrupted = folder / "run", folder / "uninterrupted"
  phases = [_kill(start, workdir, moments) for _ in range(kills)]
  if not (workdir / "config.json").exists():
    start(workdir, *OPTIONS)
  configuration = read(workdir)
  with Checkpoints(workdir / "checkpoints") as checkpoints:
    reached = checkpoints.latest or 0
  dataset = data.load(images)
  steps_per_epoch = len(dataset.train) // configuration.batch_size
  configuration = dataclasses.replace(
    configuration, epochs=reached // steps_per_epoch + 2, checkpoint_minutes=2.0
  )
  for folder in (workdir, uninterrupted):
    train(configuration, dataset, folder)
  log = (uninterrupted / "metrics.jsonl").read_bytes()
  assert (workdir / "metrics.jsonl").read_bytes() == log
  assert log.count(b"\n") == configuration.epochs
  expected, found = (_saved_numbers(configuration, each) for each in (uninterrupted, workdir))
  chex.assert_trees_all_equal(expected, found)
  assert own_tracebacks(workdir) == []
  # No half-written file is left.
  assert sorted(path.name for path in workdir.iterdir()) == [
    "checkpoints",
    "config.json",
    "metrics.jsonl",
  ]
  names = [path.name for path in (workdir / "checkpoints").iterdir()]
  assert all(name.isdecimal() for name in names), names
  print(f"seed {seed}: {kills} kills, {phases.count('trains')} while it trained, step {reached:,}")


@pytest.mark.slow
def test_training_survives_kills(start, images, tmp_path):
  _check_kills(start, images, tmp_path, seed=0, kills=3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_training_survives_many_kills_under_load(start, images, tmp_path, seed):
  """Two more trainings are the load."""
  for name in ("load-0", "load-1"):
    start(tmp_path / name, *OPTIONS)
  _check_kills(start, images, tmp_path, seed=seed, kills=10)
