"""Every option changes what it promises, observed in what a run trains and writes.

Each field of `Options` and `Configuration` has a check here, found by its name. The checks of an
objective's fields are in test_objective_options.
"""

import dataclasses
import functools
import json
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from aejax import cli, data, networks, objectives
from aejax.training import Configuration, Diverged, Options, Run, create, loop, prepare
from aejax.training.state import build

FIELDS = {field.name for kind in (Options, Configuration) for field in dataclasses.fields(kind)}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
  """Files of 24 images to train on: two of 4×4 pixels, and one of 5×3."""
  folder, rng = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
  for name, shape in (("images", (4, 4, 1)), ("others", (4, 4, 1)), ("wide", (5, 3, 1))):
    train, test = (rng.integers(0, 256, (n, *shape), np.uint8) for n in (24, 4))
    np.savez(folder / f"{name}.npz", train=train, test=test)
  return folder


@pytest.fixture(scope="module")
def baseline(images, tmp_path_factory):
  """A run of one epoch of three steps, with few options given."""
  return _train(images, tmp_path_factory.mktemp("baseline") / "run")


@pytest.fixture
def lab(images, baseline, tmp_path, monkeypatch):
  """Everything that a check needs."""
  return types.SimpleNamespace(
    images=images,
    baseline=baseline,
    folder=tmp_path,
    train=functools.partial(_train, images),
    monkeypatch=monkeypatch,
  )


def _train(images, workdir, method="ae", objective=None, **options):
  settings = dict(
    dataset=str(images / "images.npz"), network="linear", latent_dim=2, epochs=1, batch_size=8
  )
  run = prepare(method, objective or {}, Options(workdir=workdir, **settings | options))
  run.train()
  return run


def _log(run):
  return [json.loads(line) for line in (run.workdir / "metrics.jsonl").read_text().splitlines()]


def _leaves(model):
  return [np.asarray(leaf) for leaf in jax.tree.leaves(model)]


def _parameters(run):
  return _leaves(run.load().model)


def _same(one, other, **tolerance):
  return all(np.allclose(a, b, **tolerance) for a, b in zip(one, other, strict=True))


def _saved_steps(run):
  return sorted(int(path.name) for path in (run.workdir / "checkpoints").glob("[0-9]*"))


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_option_changes_what_it_promises(name, lab):
  globals()[f"check_{name}"](lab)


def check_dataset(lab):
  other = lab.train(lab.folder / "run", dataset=str(lab.images / "others.npz"))
  assert _log(other) != _log(lab.baseline)
  named = lab.train(lab.folder / "named", dataset="digits", batch_size=719)
  assert named.load().generate(jax.random.key(0), 1).shape == (1, 8, 8, 1)
  lab.monkeypatch.chdir(lab.folder)
  default = lab.train(lab.folder / "default", dataset=None, batch_size=719)
  assert _log(default) == _log(named)


def check_workdir(lab):
  lab.monkeypatch.chdir(lab.folder)
  chosen, default = lab.train(lab.folder / "chosen"), lab.train(None)
  assert chosen.workdir == lab.folder / "chosen"
  assert default.workdir == Path("runs/ae-images")
  for workdir in (chosen.workdir, lab.folder / "runs/ae-images"):
    assert {p.name for p in workdir.iterdir()} == {"config.json", "metrics.jsonl", "checkpoints"}


def check_resume(lab):
  workdir = lab.folder / "run"
  lab.train(workdir)
  with pytest.raises(ValueError, match="exists already"):
    lab.train(workdir, epochs=2)
  resumed = lab.train(workdir, epochs=2, resume=True)
  undisturbed = lab.train(lab.folder / "undisturbed", epochs=2)
  assert _log(resumed) == _log(undisturbed)
  assert _same(_parameters(resumed), _parameters(undisturbed))


def check_data_dir(lab):
  def load(spec, *, data_dir, in_memory):
    assert in_memory
    with np.load(data_dir / "images.npz") as file:
      return data.Dataset(spec.name, file["train"], file["test"])

  lab.monkeypatch.setattr("aejax.data.loading.load_tfds", load)
  run = lab.train(lab.folder / "run", dataset="mnist", data_dir=lab.images)
  assert _log(run) == _log(lab.baseline)
  assert len(Run.open(run.workdir).dataset.train) == 24


def check_image_size(lab):
  run = lab.train(lab.folder / "run", image_size=2)
  assert run.load().generate(jax.random.key(0), 1).shape == (1, 2, 2, 1)
  assert Run.open(run.workdir).dataset.image_shape == (2, 2, 1)
  resumed = lab.train(run.workdir, image_size=2, epochs=2, resume=True)
  assert len(_log(resumed)) == 2


def check_image_shape(lab):
  run = lab.train(lab.folder / "run", dataset=str(lab.images / "wide.npz"))
  assert run.load().generate(jax.random.key(0), 1).shape == (1, 5, 3, 1)
  path = run.workdir / "config.json"
  path.write_text(json.dumps(json.loads(path.read_text()) | {"image_shape": [4, 4, 1]}))
  with pytest.raises(ValueError, match=r"have shape \[24, 5, 3, 1\]"):
    _ = Run.open(run.workdir).dataset


def check_train_images(lab):
  path, rng = lab.folder / "images.npz", np.random.default_rng(1)
  arrays = [rng.integers(0, 256, (n, 4, 4, 1), np.uint8) for n in (33, 4)]
  np.savez(path, train=arrays[0], test=arrays[1])
  run = lab.train(lab.folder / "run", dataset=str(path))
  assert _log(run)[0]["step"] == 33 // 8
  np.savez(path, train=arrays[0][:32], test=arrays[1])
  with pytest.raises(ValueError, match=r"have shape \[32, 4, 4, 1\]"):
    _ = Run.open(run.workdir).dataset


def check_method(lab):
  run = lab.train(lab.folder / "run", "cwae")
  assert _log(lab.baseline)[0]["penalty"] == 0
  assert _log(run)[0]["penalty"] != 0


def check_objective(lab):
  run = lab.train(lab.folder / "run", "rae", {"weight": 3.0, "decay": 0.0})
  (epoch,) = _log(run)
  assert epoch["loss"] == pytest.approx(epoch["reconstruction_error"] + 3 * epoch["penalty"])


def check_network(lab):
  run = lab.train(lab.folder / "run", network="mlp")
  shapes = {leaf.shape for leaf in _parameters(run)}
  assert (200, 200) in shapes
  assert {leaf.shape for leaf in _parameters(lab.baseline)} == {(16, 2), (2,), (2, 16), (16,)}


def check_latent_dim(lab):
  run = lab.train(lab.folder / "run", latent_dim=3)
  assert run.load().encode(run.dataset.test).shape == (4, 3)


def check_epochs(lab):
  assert len(_log(lab.baseline)) == 1
  run = lab.train(lab.folder / "run", epochs=3)
  assert [(line["epoch"], line["step"]) for line in _log(run)] == [(1, 3), (2, 6), (3, 9)]


def check_batch_size(lab):
  run = lab.train(lab.folder / "run", batch_size=6)
  assert _log(run)[0]["step"] == 4


def check_accumulate(lab):
  seen, call = [], networks.LinearEncoder.__call__

  def spy(self, images):
    seen.append(len(images))
    return call(self, images)

  lab.monkeypatch.setattr(networks.LinearEncoder, "__call__", spy)
  run = lab.train(lab.folder / "run", "cwae", accumulate=4)
  assert set(seen) == {2}
  seen.clear()
  undivided = lab.train(lab.folder / "undivided", "cwae")
  assert set(seen) == {8}
  # The distance is still that of the whole batch.
  assert _same(_parameters(run), _parameters(undivided), rtol=1e-3, atol=1e-5)


def check_learning_rate(lab):
  # The first step of Adam changes a parameter by the learning rate.
  for rate in (0.01, 0.002):
    run = lab.train(lab.folder / f"{rate}", batch_size=24, learning_rate=rate)
    initial = _leaves(build(run.configuration)[0])
    change = max(np.abs(a - b).max() for a, b in zip(initial, _parameters(run), strict=True))
    assert change == pytest.approx(rate, rel=1e-3)


def check_schedule(lab):
  # With one step an epoch the order of the images does not matter.
  options = dict(batch_size=24, epochs=4, learning_rate=0.01)
  run = lab.train(lab.folder / "run", schedule="cosine", **options)
  rates = {
    "cosine": lambda step: 0.01 * (1 + jnp.cos(jnp.pi * step / 4)) / 2,
    "constant": 0.01,
  }
  expected = {}
  for name, rate in rates.items():
    model = build(run.configuration)[0]
    state, step = create(model, objectives.AE(), optax.adam(rate), key=jax.random.key(0))
    for _ in range(4):
      state, _ = jax.jit(step)(state, run.dataset.train)
    expected[name] = _leaves(state.params)
  assert _same(_parameters(run), expected["cosine"], rtol=1e-4, atol=1e-5)
  assert not _same(_parameters(run), expected["constant"], rtol=1e-4, atol=1e-5)
  constant = lab.train(lab.folder / "constant", schedule="constant", **options)
  assert _same(_parameters(constant), expected["constant"], rtol=1e-4, atol=1e-5)


def check_precision(lab):
  run = lab.train(lab.folder / "run", precision="bfloat16")
  assert {leaf.dtype for leaf in _parameters(run)} == {np.dtype(np.float32)}
  loss, reference = _log(run)[0]["loss"], _log(lab.baseline)[0]["loss"]
  assert 1e-6 < abs(loss / reference - 1) < 1e-2


def check_skip_nonfinite(lab):
  # After the first step the parameters are so large that every loss overflows.
  options = dict(learning_rate=1e30)
  with pytest.raises(Diverged):
    lab.train(lab.folder / "stopped", **options)
  run = lab.train(lab.folder / "run", skip_nonfinite=True, **options)
  assert _log(run)[0]["skipped_steps"] == 2


def check_checkpoint_minutes(lab):
  class Clock:
    """Advances by 15 seconds at each reading: by a minute or less in an epoch."""

    now = 0.0

    def monotonic(self):
      self.now += 15
      return self.now

  saved = {}
  for minutes in (0, 2, 1000):
    lab.monkeypatch.setattr(loop, "time", Clock())
    options = dict(epochs=12, keep_checkpoints=100, checkpoint_minutes=float(minutes))
    saved[minutes] = _saved_steps(lab.train(lab.folder / f"{minutes}", **options))
  assert saved[0] == list(range(3, 37, 3))
  assert 2 <= len(saved[2]) <= 6
  assert saved[1000] == [36]


def check_checkpoint_epochs(lab):
  run = lab.train(lab.folder / "run", epochs=5, keep_checkpoints=100, checkpoint_epochs=2)
  assert _saved_steps(run) == [6, 12, 15]


def check_keep_checkpoints(lab):
  options = dict(epochs=5, checkpoint_epochs=1)
  assert _saved_steps(lab.train(lab.folder / "default", **options)) == [12, 15]
  for keep in (1, 4):
    run = lab.train(lab.folder / f"{keep}", keep_checkpoints=keep, **options)
    assert _saved_steps(run) == [3, 6, 9, 12, 15][-keep:]


def check_seed(lab):
  # The seed draws the parameters, the order of the images, and the noise of each step.
  same, other = lab.train(lab.folder / "same", seed=0), lab.train(lab.folder / "other", seed=1)
  assert _log(same) == _log(lab.baseline)
  assert _log(other) != _log(lab.baseline)
  models = (build(run.configuration)[0] for run in (same, other))
  assert not _same(*map(_leaves, models))


def check_seeds(lab):
  together = lab.train(lab.folder / "together", seeds=2, seed=5)
  for run, seed in zip(together.seeds, (5, 6), strict=True):
    assert run.workdir == together.workdir / f"seed-{seed}"
    alone = lab.train(lab.folder / f"alone-{seed}", seed=seed)
    assert _same(_parameters(run), _parameters(alone), rtol=1e-4, atol=1e-6)


class _Joined(ValueError):
  """Ends a command once it has asked JAX for other processes."""


def _processes_of(lab, *arguments):
  """Returns the arguments of `jax.distributed.initialize`, or None if it is not called."""
  calls = []

  def initialize(*args, **_):
    calls.append(args)
    raise _Joined

  lab.monkeypatch.setattr(jax.distributed, "initialize", initialize)
  with pytest.raises(SystemExit):
    cli.main(["train", "ae", "--workdir", str(lab.baseline.workdir), *arguments])
  return calls[0] if calls else None


def check_distributed(lab):
  assert _processes_of(lab) is None
  assert _processes_of(lab, "--distributed") == (None, None, None)


def _check_process(lab):
  given = ["--coordinator", "there:12", "--num-processes", "3", "--process-id", "2"]
  assert _processes_of(lab, *given) == ("there:12", 3, 2)


check_coordinator = check_num_processes = check_process_id = _check_process
