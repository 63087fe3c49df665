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
from pathlib import Path

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import aejax
from aejax.training import Diverged, Interrupted, Options, loop, prepare
from aejax.training.checkpoints import Checkpoints
from aejax.training.configuration import write
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


def test_a_run_from_end_to_end(configure, dataset, tmp_path):
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
  # The parameters are those after the epoch, the line is of those within it.
  assert error < lines[-2]["reconstruction_error"] * 1.1

  # Nothing is left to do, and nothing is done.
  before = (tmp_path / "metrics.jsonl").read_bytes()
  assert train(configuration, dataset, tmp_path) == {}
  assert (tmp_path / "metrics.jsonl").read_bytes() == before


@pytest.fixture(scope="module")
def vae(configure):
  """21 steps an epoch, with noise in each: calls of the compiled loop end within the epoch."""
  return configure("vae", epochs=3, batch_size=2)


@pytest.fixture(scope="module")
def whole(vae, dataset, tmp_path_factory):
  folder = tmp_path_factory.mktemp("whole")
  train(vae, dataset, folder)
  return folder


def test_interruptions_change_nothing(vae, whole, dataset, tmp_path, monkeypatch):
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
  """Five steps an epoch: each call of the compiled loop ends one."""
  configuration, folder = configure("ae", epochs=5), tmp_path_factory.mktemp("five")
  train(configuration, dataset, folder)
  return configuration, folder


@pytest.mark.parametrize("saves", [1, 3])
def test_a_killed_run_logs_each_epoch_once(five_epochs, dataset, tmp_path, monkeypatch, saves):
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


def test_a_signal_to_the_script_and_its_resumption(dataset, tmp_path):
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

  configuration = prepare("swae", {}, Options(workdir=workdir, resume=True)).configuration
  with Checkpoints(workdir / "checkpoints") as checkpoints:
    stopped_at = checkpoints.latest
  configuration = dataclasses.replace(configuration, epochs=stopped_at // 21 + 2)
  train(configuration, dataset, workdir)
  train(configuration, dataset, tmp_path / "uninterrupted")
  _assert_same_runs(tmp_path / "uninterrupted", workdir, configuration)


def test_a_loss_that_is_not_finite_is_an_error(configure, dataset, tmp_path):
  configuration = configure("vae", learning_rate=1e30)
  sentence = (
    r"Training diverged at step 1: the [\w ]+ became (nan|infinite).* A smaller learning rate"
  )
  with pytest.raises(ValueError, match=sentence):
    train(configuration, dataset, tmp_path)
  assert (tmp_path / "metrics.jsonl").read_text() == ""
  with Checkpoints(tmp_path / "checkpoints") as checkpoints:
    assert checkpoints.latest is None


def test_the_last_good_checkpoint_is_kept(five_epochs, dataset, tmp_path):
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


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_parameters_that_are_not_finite_are_not_saved(configure, tmp_path, bad):
  _, state, _ = build(configure())
  params = jax.tree.map(lambda leaf: leaf.at[..., -1].set(bad), state.params)
  with Checkpoints(tmp_path) as checkpoints:
    with pytest.raises(Diverged):
      checkpoints.save(0, fresh(dataclasses.replace(state, params=params)))
    assert checkpoints.latest is None
    checkpoints.save(0, fresh(state))
    checkpoints.wait()
    assert checkpoints.latest == 0


def test_the_seed_decides(configure):
  one, same, other = (jax.tree.leaves(build(configure(seed=seed))[1].params) for seed in (1, 1, 2))
  chex.assert_trees_all_equal(one, same)
  assert all(not np.array_equal(a, b) for a, b in zip(one, other, strict=True) if a.ndim > 1)


def test_a_cosine_schedule_ends_at_zero(configure, dataset):
  _, state, train_step = build(configure("ae", schedule="cosine"), steps=3)
  step = jax.jit(train_step)
  way = []
  for _ in range(4):
    before = state
    state, _ = step(state, dataset.train[:8])
    pairs = zip(*map(jax.tree.leaves, (state.params, before.params)), strict=True)
    way.append(max(float(jnp.abs(a - b).max()) for a, b in pairs))
  assert way[0] == pytest.approx(1e-3, rel=1e-3)  # Adam's first step is the learning rate
  assert way[0] > way[2] > way[3] == 0


def test_bfloat16_computes_and_float32_remembers(configure, dataset):
  _, state, train_step = build(configure(precision="bfloat16"))
  assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
  text = str(jax.make_jaxpr(train_step)(state, dataset.train[:8]))
  assert "bf16[8,2]" in text
  _, state, train_step = build(configure())
  assert "bf16" not in str(jax.make_jaxpr(train_step)(state, dataset.train[:8]))
