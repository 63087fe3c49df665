"""Runs that diverge at a step that the tests choose."""

import dataclasses
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax.objectives import CWAE
from aejax.training import Diverged, TrainState
from aejax.training.checkpoints import Checkpoints
from aejax.training.configuration import Configuration
from aejax.training.divergence import first_nonfinite_step
from aejax.training.epoch import epoch_order
from aejax.training.loop import train
from aejax.training.state import fresh

N, BATCH, EPOCHS = 42, 4, 6
PER_EPOCH = N // BATCH
MARKED = 17


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Bad(CWAE):
  """A CWAE whose loss, or whose gradient only, is not finite for the batch with the white image."""

  where: str = "loss"

  def __call__(self, model, images, **others):
    loss, metrics = super().__call__(model, images, **others)
    marked = jnp.any(jnp.all(images == 1, axis=(1, 2, 3)))
    mean = jnp.mean(model.encode(images) ** 2)
    if self.where == "loss":
      extra = jnp.log(jnp.where(marked, -1.0, 1.0) * (1 + 0 * mean))
    elif self.where == "overflow":
      extra = jnp.exp(jnp.where(marked, 1e4, 0.0))
    else:
      # The derivative of √x at 0 is infinite; times the zero of the inner derivative it is NaN.
      extra = jnp.sqrt(jnp.where(marked, 0 * mean, mean))
    return loss + extra, {**metrics, "loss": loss + extra}


@pytest.fixture
def marked(dataset):
  images = np.minimum(dataset.train, 254)
  images[MARKED] = 255
  return dataclasses.replace(dataset, train=images)


@pytest.fixture
def diverging(configure, monkeypatch):
  """Returns a function that makes a configuration that diverges, and the steps at which it does."""

  def make(where, **options):
    monkeypatch.setattr(Configuration, "make_objective", lambda _: _Bad(where=where, weight=0.1))
    configuration = configure("cwae", batch_size=BATCH, epochs=EPOCHS, **options)
    key = jax.random.fold_in(jax.random.key(configuration.seed), 1)
    steps = []
    for epoch in range(EPOCHS):
      at = np.flatnonzero(np.asarray(epoch_order(key, epoch, N)) == MARKED)[0] // BATCH
      steps += [int(epoch * PER_EPOCH + at)] if at < PER_EPOCH else []
    return configuration, steps

  return make


@pytest.mark.parametrize(
  ("where", "term", "minutes"),
  [
    ("loss", "the loss became nan", 0.0),
    pytest.param("overflow", "the loss became infinite", 10.0, marks=pytest.mark.slow),
    ("gradient", r"the gradient of \['encoder'\].* became nan", 0.0),
  ],
)
def test_diverged_names_step_term_and_line(diverging, marked, tmp_path, where, term, minutes):
  configuration, (step, *_) = diverging(where, checkpoint_minutes=minutes)
  with pytest.raises(Diverged, match=f"Training diverged at step {step}: {term}") as error:
    train(configuration, marked, tmp_path)
  assert error.value.step == step
  assert "\n" not in str(error.value)
  assert f"{__file__}:" in str(error.value)  # the line is in the objective above

  found = json.loads((tmp_path / "diverged.json").read_text())
  assert found["step"] == step
  assert found["epoch"] == step // PER_EPOCH + 1
  assert MARKED in found["images"]
  assert len(found["images"]) == BATCH
  for name, values in found["statistics"].items():
    assert (values["nan"] + values["infinite"] > 0) == (name in found["not_finite"])
  with np.load(tmp_path / "diverged.npz") as file:
    arrays = dict(file)
  np.testing.assert_array_equal(arrays["images"], marked.train[found["images"]])
  assert all(np.isfinite(arrays[name]).all() for name in arrays)
  # No state after the step is saved, and its epoch is not logged.
  with Checkpoints(tmp_path / "checkpoints") as checkpoints:
    latest = checkpoints.latest
  assert latest is None if minutes else latest is None or latest <= step
  log = (tmp_path / "metrics.jsonl").read_text().splitlines()
  assert len(log) == step // PER_EPOCH


def test_diverged_step_after_a_checkpoint(configure, diverging, marked, tmp_path):
  options = dict(batch_size=BATCH, epochs=3)
  train(configure("cwae", {"weight": 0.1}, **options), marked, tmp_path)
  configuration, steps = diverging("gradient")
  step = next(step for step in steps if step >= 3 * PER_EPOCH)
  with pytest.raises(Diverged, match=f"Training diverged at step {step}: the gradient"):
    train(configuration, marked, tmp_path)
  found = json.loads((tmp_path / "diverged.json").read_text())
  assert (found["step"], found["epoch"]) == (step, step // PER_EPOCH + 1)
  assert MARKED in found["images"]


def test_diverged_names_the_seed(diverging, marked, tmp_path):
  configuration, (step, *_) = diverging("loss", seeds=2)
  first = {seed: _first(seed) for seed in (0, 1)}
  assert first[0] == step
  seed = min(first, key=lambda s: first[s])
  with pytest.raises(Diverged, match=f"at step {first[seed]}: the loss"):
    train(configuration, marked, tmp_path)
  assert json.loads((tmp_path / f"seed-{seed}" / "diverged.json").read_text())["seed"] == seed


def _first(seed):
  key = jax.random.fold_in(jax.random.key(seed), 1)
  orders = np.stack(
    [np.asarray(epoch_order(key, e, N))[: PER_EPOCH * BATCH] for e in range(EPOCHS)]
  )
  return int(np.flatnonzero(orders.ravel() == MARKED)[0]) // BATCH


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_skip_nonfinite_counts_skipped_steps(diverging, marked, tmp_path, where):
  configuration, steps = diverging(where, skip_nonfinite=True)
  train(configuration, marked, tmp_path)
  lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
  skipped = {step // PER_EPOCH + 1 for step in steps}
  assert len(skipped) > 0
  assert {line["epoch"] for line in lines if line.get("skipped_steps") == 1} == skipped
  assert all(math.isfinite(value) for line in lines for value in line.values())
  assert not (tmp_path / "diverged.json").exists()


def test_skip_nonfinite_stops_if_every_step_is_bad(diverging, marked, tmp_path):
  configuration, _ = diverging("loss", skip_nonfinite=True)
  white = dataclasses.replace(marked, train=np.full_like(marked.train, 255))
  with pytest.raises(Diverged, match="Training diverged at step 0: the loss became nan"):
    train(configuration, white, tmp_path)


def test_diverged_says_if_it_does_not_happen_again(diverging, marked, tmp_path, monkeypatch):
  configuration, _ = diverging("loss")
  monkeypatch.setattr("aejax.training.setup.first_nonfinite_step", lambda *_: None)
  with pytest.raises(Diverged, match="but not when these steps were taken again"):
    train(configuration, marked, tmp_path)


@pytest.mark.parametrize("suspect", [None, 7, 8])
@pytest.mark.parametrize("start", [0, 5, 7])
def test_first_nonfinite_step_is_exact(suspect, start):
  # Step 7 makes a parameter infinite; the loss shows it then or one step later.
  def state_after(steps):
    params = jnp.where(steps > 7, jnp.inf, jnp.float32(steps))
    return fresh(TrainState(jnp.int32(steps), params, (), jax.random.key(0)))

  def advance(state, step, count):
    return state_after(step + count)

  step, before = first_nonfinite_step(advance, state_after(start), start, 12, suspect)
  assert step == 7
  assert float(before.train.params) == 7
  assert first_nonfinite_step(advance, state_after(start), start, 6, None) is None
