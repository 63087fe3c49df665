"""Every option changes what it promises, in what a run computes and writes.

Each case trains a run with a value of one option that is not the default. It then checks the log,
the checkpoints, the model, or the arguments of a call, but not the configuration. A new field
without a case fails `test_every_option_has_a_case`.
"""

import dataclasses
import inspect
import types

import jax
import numpy as np
import pytest
from training import options_of_data  # noqa: F401  registers its cases
from training.option_cases import CASES, observes
from training.small_runs import TRAIN, SmallRuns, checkpoints, largest_difference, log, parameters

from aejax import priors
from aejax.autoencoder import Autoencoder, pixels
from aejax.cli import main
from aejax.training import Configuration, Diverged, Options, trackers
from aejax.training.optimizers import _schedule as schedule_of
from aejax.training.state import build


@pytest.fixture(scope="module")
def standard(tmp_path_factory):
  return SmallRuns(tmp_path_factory.mktemp("standard")).train()


@pytest.fixture
def runs(tmp_path, monkeypatch, standard):
  return SmallRuns(tmp_path, monkeypatch, standard)


@observes("method")
def _(runs):
  assert log(runs.standard)[0]["penalty"] == 0  # AE
  assert log(runs.train("rae"))[0]["penalty"] > 0


@observes("objective")
def _(runs):
  line = log(runs.train("rae", {"weight": 3.0, "decay": 0.0}))[0]
  expected = line["reconstruction_error"] + 3 * line["penalty"]
  assert line["loss"] == pytest.approx(expected, rel=1e-5)


@observes("workdir")
def _(runs):
  runs.monkeypatch.chdir(runs.folder)
  runs.train(workdir=runs.folder / "here")
  assert (runs.folder / "here" / "metrics.jsonl").exists()
  assert not (runs.folder / "runs").exists()
  runs.train(workdir=None)
  assert (runs.folder / "runs" / "ae-noise" / "metrics.jsonl").exists()


@observes("resume")
def _(runs):
  run = runs.train()
  with pytest.raises(ValueError, match="exists already"):
    runs.prepare(workdir=run.workdir, epochs=2)
  runs.resume(run, epochs=2)
  at_once = runs.train(epochs=2)
  assert (run.workdir / "metrics.jsonl").read_bytes() == (
    at_once.workdir / "metrics.jsonl"
  ).read_bytes()
  assert largest_difference(run, at_once) == 0


@observes("network")
def _(runs):
  assert len(parameters(runs.standard)) == 4  # linear
  assert (
    len(parameters(runs.train(network=None))) == 16
  )  # the papers' MLP: three hidden layers each way


@observes("latent_dim")
def _(runs):
  for run, dim in ((runs.standard, 2), (runs.train(latent_dim=3), 3)):
    assert run.load().encode(np.zeros((1, 4, 4, 1), np.float32)).shape == (1, dim)


@observes("epochs")
def _(runs):
  for run, epochs in ((runs.standard, 1), (runs.train(epochs=3), 3)):
    assert [line["epoch"] for line in log(run)] == [*range(1, epochs + 1)]


@observes("batch_size")
def _(runs):
  for run, steps in ((runs.standard, 5), (runs.train(batch_size=8), 2)):
    assert log(run)[0]["step"] == steps


@observes("accumulate")
def _(runs):
  posterior, seen = Autoencoder.posterior, []

  def recorded(self, images):
    seen.append(len(images))
    return posterior(self, images)

  runs.monkeypatch.setattr(Autoencoder, "posterior", recorded)
  lines = []
  for accumulate in (1, 2):
    run = runs.prepare("cwae", accumulate=accumulate)
    seen.clear()
    run.train()
    assert set(seen) == {4 // accumulate}
    lines += log(run)
  # The distance is that of the whole batch in both. Only the order of the sums differs.
  assert lines[0] == pytest.approx(lines[1], rel=1e-4)


@observes("learning_rate")
def _(runs):
  slow, fast = (runs.train(batch_size=TRAIN, learning_rate=rate) for rate in (1e-3, 3e-3))
  # Adam's first step is ± the rate, from the same initial parameters.
  assert largest_difference(slow, fast) == pytest.approx(2e-3, rel=1e-2)


@observes("schedule")
def _(runs):
  """With small steps, the decrease of the loss is proportional to the learning rate."""
  options = dict(epochs=10, batch_size=TRAIN, learning_rate=1e-4)
  falls = {
    schedule: -np.diff([line["loss"] for line in log(runs.train(schedule=schedule, **options))])
    for schedule in ("constant", "cosine")
  }
  steps = np.arange(9)
  expected = (1 + np.cos(np.pi * steps / 10)) / 2
  np.testing.assert_allclose(falls["cosine"] / falls["constant"], expected, atol=0.05)
  assert np.all(falls["constant"] > 0)


@observes("precision")
def _(runs):
  run, half = runs.standard, runs.train(precision="bfloat16")
  assert log(half) != log(run)
  assert log(half)[0] == pytest.approx(log(run)[0], rel=0.05)
  assert {leaf.dtype for leaf in parameters(half)} == {np.dtype("float32")}
  latents = np.zeros((1, 2), np.float32)
  for each, computes in ((run, False), (half, True)):
    program = str(jax.make_jaxpr(each.load().model.decode)(latents))
    assert ("bf16" in program) == computes


@observes("prior")
def _(runs):
  """The sphere in two dimensions has radius √2, from which the samples are decoded."""
  run = runs.train("wae-mmd", prior="sphere")
  key = jax.random.key(0)
  latents = priors.UniformSphere(2, radius=2**0.5).sample(key, 5)
  np.testing.assert_array_equal(run.generate(key, 5), run.decode(latents))
  assert log(run)[0]["penalty"] != log(runs.train("wae-mmd"))[0]["penalty"]


def first_update(runs, **options):
  """Returns the change of each parameter in the first step."""
  run = runs.prepare(batch_size=TRAIN, **options)
  before = jax.tree.leaves(build(run.configuration)[1].params)
  run.train()
  return np.concatenate(
    [np.ravel(new - old) for new, old in zip(parameters(run), before, strict=True)]
  )


@observes("optimizer")
def _(runs):
  options = dict(learning_rate=1e-3)
  adam, lion = (first_update(runs, optimizer=name, **options) for name in ("adam", "lion"))
  # Both take ± the rate first, lion exactly up to its weight decay.
  np.testing.assert_allclose(abs(adam[adam != 0]), 1e-3, rtol=1e-2)
  np.testing.assert_allclose(lion[adam != 0], np.sign(adam[adam != 0]) * 1e-3, rtol=1e-2)
  sgd = first_update(runs, optimizer="sgd", **options)
  assert len(np.unique(abs(sgd).round(8))) > 10  # proportional to the gradient
  assert np.all(np.sign(sgd) == np.sign(adam))
  adamw = first_update(runs, optimizer="adamw", **options)
  assert 0 < abs(adamw - adam).max() < 1e-6  # a weight decay of 1e-4


@observes("weight_decay")
def _(runs):
  options = dict(optimizer="adamw", learning_rate=1e-3)
  plain, decayed = (first_update(runs, weight_decay=decay, **options) for decay in (0.0, 0.1))
  run = runs.prepare(batch_size=TRAIN, **options)
  before = jax.tree.leaves(build(run.configuration)[1].params)
  expected = -1e-3 * 0.1 * np.concatenate([np.ravel(leaf) for leaf in before])
  np.testing.assert_allclose(decayed - plain, expected, atol=3e-7)
  options = dict(optimizer="lion", learning_rate=1e-3)
  decayed = first_update(runs, weight_decay=0.1, **options)
  np.testing.assert_allclose(
    decayed - first_update(runs, weight_decay=0.0, **options), expected, atol=3e-7
  )


@observes("warmup_steps")
def _(runs):
  """The rate of the first step is 0, that of the second half of the full one."""
  assert not np.any(first_update(runs, warmup_steps=2, learning_rate=1e-3))
  for schedule in ("constant", "cosine"):
    run = runs.prepare(batch_size=TRAIN, warmup_steps=2, learning_rate=1e-3, schedule=schedule)
    rates = [float(schedule_of(run.configuration, steps=6)(step)) for step in range(7)]
    assert rates[:3] == pytest.approx([0, 5e-4, 1e-3])
    assert rates[6] == pytest.approx(1e-3 if schedule == "constant" else 0, abs=1e-9)


@observes("clip_norm")
def _(runs):
  options = dict(optimizer="sgd", learning_rate=1.0)
  plain, clipped = first_update(runs, **options), first_update(runs, clip_norm=0.5, **options)
  assert np.linalg.norm(plain) > 1
  np.testing.assert_allclose(clipped, 0.5 * plain / np.linalg.norm(plain), rtol=1e-4, atol=1e-7)


@observes("ema_decay")
def _(runs):
  """After one step, the weight of the average is (1 + 1) / (10 + 1)."""
  plain, averaged = first_update(runs), first_update(runs, ema_decay=0.99)
  np.testing.assert_allclose(averaged, 9 / 11 * plain, rtol=1e-3, atol=1e-7)
  few = first_update(runs, ema_decay=0.1)  # below this weight
  np.testing.assert_allclose(few, 0.9 * plain, rtol=1e-3, atol=1e-7)


@observes("weight_schedule")
def _(runs):
  """The weight of the first step is zero."""
  options = dict(optimizer="sgd", learning_rate=0.01)
  plain, penalised = first_update(runs, **options), first_update(runs, method="cwae", **options)
  warm = first_update(runs, method="cwae", weight_schedule="warmup:2", **options)
  assert np.abs(penalised - plain).max() > 1e-4
  np.testing.assert_allclose(warm, plain, rtol=1e-4, atol=1e-7)


@observes("callback")
def _(runs):
  calls = []

  class Tracker:
    def __init__(self, workdir, configuration):
      calls.append(workdir)

    def update(self, history):
      calls.append(list(history))

    def close(self):
      calls.append("closed")

  runs.monkeypatch.setattr(trackers, "require", lambda *names: None)
  runs.monkeypatch.setattr(trackers, "TensorBoard", Tracker)
  run = runs.train(callback="tensorboard")
  assert calls[0] == run.workdir
  assert calls[-2:] == [log(run), "closed"]


@observes("test_epochs")
def _(runs):
  run = runs.train("cwae", epochs=4, test_epochs=2)
  assert ["test_loss" in line for line in log(run)] == [False, True, False, True]
  objective, images = run.objective, pixels(run.dataset.test)
  key = jax.random.fold_in(jax.random.key(0), 0)
  metrics = objective(run.model, images, key=key)[1]
  expected = {f"test_{name}": float(value) for name, value in metrics.items()}
  assert {name: log(run)[3][name] for name in expected} == pytest.approx(expected, rel=1e-4)


@observes("patience")
def _(runs):
  """At a rate of 0.3, the test loss goes up and down."""
  options = dict(epochs=9, test_epochs=1, learning_rate=0.3)
  lines = log(runs.train(**options))
  losses = [line["test_loss"] for line in lines]
  last = next(n for n in range(1, 10) if n - 1 - np.argmin(losses[:n]) == 2)
  best = int(np.argmin(losses[:last])) + 1
  run = runs.train(patience=2, **options)
  assert [line["epoch"] for line in log(run)] == [*range(1, last + 1)]
  assert run.load(best=True).step == 5 * best
  assert run.train() == {}  # nothing is left


@observes("skip_nonfinite")
def _(runs):
  """The first step takes the parameters to 1e30, so the loss of each later step is infinite."""
  with pytest.raises(Diverged):
    runs.train(learning_rate=1e30)
  run = runs.train(learning_rate=1e30, skip_nonfinite=True)
  assert log(run)[0]["skipped_steps"] == 4
  assert np.isfinite(log(run)[0]["loss"])


@observes("checkpoint_minutes")
def _(runs):
  """The clock advances by six seconds each time the loop reads it."""
  for minutes, low, high in ((1, 3, 9), (60, 1, 1)):
    now = iter(range(0, 10**6, 6))
    clock = types.SimpleNamespace(monotonic=lambda now=now: next(now))
    with runs.monkeypatch.context() as patch:
      patch.setattr("aejax.training.loop.time", clock)
      run = runs.train(epochs=30, checkpoint_minutes=minutes, keep_checkpoints=100)
    assert 3 * 60 < next(now) < 10 * 60
    assert low <= len(checkpoints(run)) <= high


@observes("checkpoint_epochs")
def _(runs):
  options = dict(epochs=3, batch_size=10, keep_checkpoints=9)  # two steps per epoch
  assert checkpoints(runs.train(**options)) == [6]
  assert checkpoints(runs.train(checkpoint_epochs=2, **options)) == [4, 6]


@observes("keep_checkpoints")
def _(runs):
  often = dict(epochs=4, checkpoint_epochs=1)
  assert checkpoints(runs.train(**often)) == [15, 20]
  assert checkpoints(runs.train(keep_checkpoints=3, **often)) == [10, 15, 20]


@observes("seed")
def _(runs):
  assert largest_difference(runs.train(seed=0), runs.standard) == 0
  assert largest_difference(runs.train(seed=1), runs.standard) > 0.1


@observes("seeds")
def _(runs):
  first, second = runs.train(seed=3, seeds=2).seeds
  assert [first.workdir.name, second.workdir.name] == ["seed-3", "seed-4"]
  assert log(second)[0] == pytest.approx(log(runs.train(seed=4))[0], rel=1e-4)
  assert largest_difference(first, second) > 0.1


class Joined(Exception):
  """Raised instead of connecting to other processes, to end the command."""


def joins(runs, *flags):
  """Returns the arguments with which a command connects to other processes."""
  signature = inspect.signature(jax.distributed.initialize)

  def initialize(*args, **options):
    raise Joined(signature.bind(*args, **options).arguments)

  runs.monkeypatch.setattr(jax.distributed, "initialize", initialize)
  with pytest.raises(Joined) as joined:
    main(["ae", *flags], command="train")
  return joined.value.args[0]


@observes("distributed")
def _(runs):
  found = joins(runs, "--distributed")
  assert found["coordinator_address"] is found["num_processes"] is found["process_id"] is None


def _observes_processes(field, argument, value):
  @observes(field)
  def _(runs):
    flags = ("--coordinator", "host:1234", "--num-processes", "7", "--process-id", "5")
    assert joins(runs, *flags)[argument] == value


_observes_processes("coordinator", "coordinator_address", "host:1234")
_observes_processes("num_processes", "num_processes", 7)
_observes_processes("process_id", "process_id", 5)


def test_every_option_has_a_case():
  fields = {field.name for kind in (Options, Configuration) for field in dataclasses.fields(kind)}
  assert set(CASES) == fields


@pytest.mark.parametrize("field", CASES)
def test_option_changes_what_it_promises(field, runs):
  CASES[field](runs)
