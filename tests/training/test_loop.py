import contextlib
import dataclasses
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import chex
import jax
import numpy as np
import optax
import pytest

import aejax
from aejax import AejaxWarning
from aejax.objectives import AE
from aejax.training import Interrupted, Run, create, loop
from aejax.training.checkpoints import Checkpoints
from aejax.training.configuration import write
from aejax.training.epoch import epoch_order
from aejax.training.loop import train
from aejax.training.state import build, fresh

TRAIN_SCRIPT = Path(__file__).parents[2] / "experiments" / "train.py"


def _lines(workdir):
  return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def _final(configuration, workdir):
  """Everything in the newest checkpoint, as plain arrays."""
  _, state, _ = build(configuration)
  with Checkpoints(workdir / "checkpoints") as checkpoints:
    saved = checkpoints.restore(fresh(state))
  state = saved.train
  key = jax.random.key_data(state.key)
  everything = state.step, state.params, state.optimizer_state, key, saved.sums, saved.best
  return jax.device_get(everything)


def _assert_same_runs(one, other, configuration):
  chex.assert_trees_all_equal(_final(configuration, one), _final(configuration, other))
  assert (one / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()


def test_train_from_end_to_end(configure, dataset, tmp_path):
  configuration = configure("swae", {"sample_prior": True}, epochs=60, learning_rate=0.01)
  write(tmp_path, configuration)
  timing = train(configuration, dataset, tmp_path)
  assert sorted(timing) == ["images_per_second", "seconds"]
  assert all(0 < value < math.inf for value in timing.values())

  lines = _lines(tmp_path)
  assert [line["epoch"] for line in lines] == list(range(1, 61))
  assert [line["step"] for line in lines] == list(range(5, 301, 5))
  for line in lines:
    assert set(line) == {"step", "epoch", "loss", "penalty", "reconstruction_error"}
    assert all(math.isfinite(value) for value in line.values())
    total = line["reconstruction_error"] + line["penalty"]  # the weight is 1
    np.testing.assert_allclose(line["loss"], total, rtol=1e-5)
  assert lines[-1]["loss"] < lines[0]["loss"] / 2

  trained = aejax.load(tmp_path)
  assert trained.step == 300
  pixels = dataset.train.astype(np.float32) / 255
  error = np.sum((np.asarray(trained.reconstruct(dataset.train)) - pixels) ** 2) / len(pixels)
  # The parameters are those after the epoch, the metrics those within it.
  assert error < lines[-2]["reconstruction_error"] * 1.1

  # Nothing is left to train.
  before = (tmp_path / "metrics.jsonl").read_bytes()
  assert train(configuration, dataset, tmp_path) == {}
  assert (tmp_path / "metrics.jsonl").read_bytes() == before


@pytest.fixture(scope="module")
def vae(configure):
  """21 noisy steps per epoch: calls of the compiled loop end within an epoch."""
  return configure("vae", epochs=3, batch_size=2)


@pytest.fixture(scope="module")
def whole(vae, dataset, tmp_path_factory):
  folder = tmp_path_factory.mktemp("whole")
  train(vae, dataset, folder)
  return folder


def test_train_resumes_bit_for_bit_after_interruptions(vae, whole, dataset, tmp_path, monkeypatch):
  stopped_at = []
  for calls in (1, 3, math.inf):
    checks = 0

    @contextlib.contextmanager
    def interruption(calls=calls):
      def interrupted():
        nonlocal checks
        checks += 1
        return signal.SIGTERM if checks > calls else None

      yield interrupted

    monkeypatch.setattr(loop, "interruption", interruption)
    if calls == math.inf:
      train(vae, dataset, tmp_path)
      break
    with pytest.raises(Interrupted, match=r"Stopped at step \d+; --resume goes on") as error:
      train(vae, dataset, tmp_path)
    assert error.value.signal_number == signal.SIGTERM
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
      stopped_at.append(checkpoints.latest)
  assert stopped_at[0] == 8  # within the first epoch
  assert 8 < stopped_at[1] < 63
  _assert_same_runs(whole, tmp_path, vae)


@pytest.fixture(scope="module")
def five_epochs(configure, dataset, tmp_path_factory):
  """Five steps per epoch: each call of the compiled loop ends an epoch."""
  configuration, folder = configure("ae", epochs=5), tmp_path_factory.mktemp("five")
  train(configuration, dataset, folder)
  return configuration, folder


@pytest.mark.parametrize("saves", [1, 3])
def test_train_logs_each_epoch_once_after_a_kill(
  five_epochs, dataset, tmp_path, monkeypatch, saves
):
  configuration, whole = five_epochs
  # Killed after the third epoch, with a checkpoint of it or of the first.
  save, asked = Checkpoints.save, 0

  def killed(checkpoints, step, state):
    nonlocal asked
    asked += 1
    if asked <= saves:
      save(checkpoints, step, state)
    if asked == 3:
      raise RuntimeError("killed")

  with monkeypatch.context() as patch:
    patch.setattr(Checkpoints, "save", killed)
    with pytest.raises(RuntimeError, match="killed"):
      train(dataclasses.replace(configuration, checkpoint_minutes=0.0), dataset, tmp_path)
  assert len(_lines(tmp_path)) == 3
  train(configuration, dataset, tmp_path)
  _assert_same_runs(whole, tmp_path, configuration)


def test_script_stops_at_a_signal_and_resumes(dataset, tmp_path):
  np.savez(tmp_path / "planes.npz", train=dataset.train, test=dataset.test)
  workdir = tmp_path / "run"
  arguments = ["swae", "--dataset", tmp_path / "planes.npz", "--workdir", workdir]
  options = ["--network", "linear", "--latent-dim", "2", "--batch-size", "2", "--epochs", "999999"]
  environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
  child = subprocess.Popen(
    [sys.executable, TRAIN_SCRIPT, *arguments, *options],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
    env=environment,
  )
  try:
    deadline = time.monotonic() + 120
    metrics = workdir / "metrics.jsonl"
    while not metrics.exists() or metrics.read_text().count("\n") < 20:
      assert child.poll() is None, child.communicate()
      assert time.monotonic() < deadline
      time.sleep(0.05)
    child.send_signal(signal.SIGTERM)
    out, err = child.communicate(timeout=60)
  finally:
    child.kill()
  assert child.returncode == 128 + signal.SIGTERM
  assert out == ""
  assert "Stopped at step" in err
  assert "Traceback" not in err
  assert sorted(path.name for path in workdir.iterdir()) == [
    "checkpoints",
    "config.json",
    "metrics.jsonl",
  ]

  configuration = Run.open(workdir).configuration
  with Checkpoints(workdir / "checkpoints") as checkpoints:
    stopped_at = checkpoints.latest
  configuration = dataclasses.replace(configuration, epochs=stopped_at // 21 + 2)
  train(configuration, dataset, workdir)
  train(configuration, dataset, tmp_path / "uninterrupted")
  _assert_same_runs(tmp_path / "uninterrupted", workdir, configuration)


def test_train_raises_if_the_loss_is_not_finite(configure, dataset, tmp_path):
  configuration = configure("vae", learning_rate=1e30)
  sentence = (
    r"Training diverged at step 1: the [\w ]+ became (nan|infinite).* A smaller learning rate"
  )
  with pytest.raises(ValueError, match=sentence):
    train(configuration, dataset, tmp_path)
  assert (tmp_path / "metrics.jsonl").read_text() == ""
  with Checkpoints(tmp_path / "checkpoints") as checkpoints:
    assert checkpoints.latest is None


def test_train_keeps_the_last_good_checkpoint(five_epochs, dataset, tmp_path):
  configuration, whole = five_epochs
  shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
  good = _final(configuration, tmp_path)
  lines = (tmp_path / "metrics.jsonl").read_bytes()
  diverging = dataclasses.replace(
    configuration, epochs=9, learning_rate=1e30, checkpoint_minutes=0.0
  )
  with pytest.raises(ValueError, match="Training diverged"):
    train(diverging, dataset, tmp_path)
  chex.assert_trees_all_equal(good, _final(configuration, tmp_path))
  assert (tmp_path / "metrics.jsonl").read_bytes() == lines


def test_train_follows_the_cosine_schedule_over_the_whole_run(configure, dataset, tmp_path):
  configuration = configure("ae", schedule="cosine", epochs=2, learning_rate=0.01)
  train(configuration, dataset, tmp_path)
  trained = _final(configuration, tmp_path)[1]

  model, state, _ = build(configuration)
  optimizer = optax.adam(optax.cosine_decay_schedule(0.01, decay_steps=10))
  state, train_step = create(model, AE(), optimizer, key=state.key)
  step = jax.jit(train_step)
  for epoch in range(2):
    order = epoch_order(jax.random.fold_in(jax.random.key(0), 1), epoch, 42)
    for rows in np.asarray(order)[:40].reshape(5, 8):
      state, _ = step(state, dataset.train[rows])
  chex.assert_trees_all_close(jax.device_get(state.params), trained, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
  ("options", "steps"),
  [
    (dict(), [25]),
    (dict(checkpoint_epochs=5, keep_checkpoints=9), [25]),
    (dict(checkpoint_epochs=1), [20, 25]),
    (dict(checkpoint_epochs=1, keep_checkpoints=1), [25]),
    (dict(checkpoint_epochs=2, keep_checkpoints=9), [10, 20, 25]),
    (dict(checkpoint_minutes=0.0, keep_checkpoints=4), [10, 15, 20, 25]),
  ],
  ids=str,
)
def test_train_leaves_the_checkpoints_asked_for(configure, dataset, tmp_path, options, steps):
  train(configure("ae", epochs=5, **options), dataset, tmp_path)
  found = sorted(int(path.name) for path in (tmp_path / "checkpoints").iterdir())
  assert found == steps


def test_checkpoint_is_due_after_minutes(configure, dataset, tmp_path, monkeypatch):
  now = [1000.0]
  monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])
  configuration = configure("ae", checkpoint_minutes=3.0)
  trainer = loop.Trainer(configuration, dataset, tmp_path)
  with trainer.checkpoints:
    now[0] += 179
    assert not trainer.checkpoint_is_due()
    now[0] += 2
    assert trainer.checkpoint_is_due()


@pytest.fixture
def collapsing(configure):
  """A VAE whose weight of 10⁴ makes every posterior the prior."""
  return configure("vae", {"beta": 1e4}, epochs=40, learning_rate=0.01, checkpoint_epochs=10)


COLLAPSE = "posterior collapse: 0 of 2 latent dimensions"


def test_train_warns_once_of_collapse(collapsing, dataset, tmp_path):
  with pytest.warns(AejaxWarning, match=COLLAPSE) as warned:
    train(collapsing, dataset, tmp_path)
  assert len(warned) == 1


def test_train_does_not_warn_without_collapse(configure, dataset, tmp_path):
  train(configure("cwae", epochs=20, checkpoint_epochs=5), dataset, tmp_path)


def test_train_is_saved_if_a_filter_raises_its_warning(collapsing, dataset, tmp_path):
  with (
    warnings.catch_warnings(action="error", category=AejaxWarning),
    pytest.raises(AejaxWarning, match=COLLAPSE) as error,
  ):
    train(collapsing, dataset, tmp_path / "parts")
  with Checkpoints(tmp_path / "parts" / "checkpoints") as checkpoints:
    assert f"after {checkpoints.latest:,} steps" in str(error.value)
  with warnings.catch_warnings(action="ignore", category=AejaxWarning):
    train(collapsing, dataset, tmp_path / "parts")
    train(collapsing, dataset, tmp_path / "whole")
  _assert_same_runs(tmp_path / "whole", tmp_path / "parts", collapsing)


def test_train_orders_the_images_by_the_seed(configure, dataset, tmp_path, monkeypatch):
  orders = []

  def spy(*arguments):
    orders.append(epoch_order(*arguments))
    return orders[-1]

  monkeypatch.setattr("aejax.training.setup.epoch_order", spy)
  for seed in (1, 2):
    train(configure("ae", seed=seed, epochs=1), dataset, tmp_path / f"{seed}")
  # Both runs ask for the same epochs: compare their first ones.
  first, second = (np.asarray(order) for order in (orders[0], orders[len(orders) // 2]))
  assert sorted(first) == sorted(second)
  assert first.tolist() != second.tolist()
