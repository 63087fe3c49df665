"""Schedules of the penalty's weight: their values, their steps, and how runs keep them."""

import jax
import numpy as np
import optax
import pytest
from training.small_runs import SmallRuns, largest_difference, log

import aejax
from aejax import Autoencoder, networks, objectives
from aejax.training import create, weight_schedule
from aejax.training.divergence import diagnose_step

IMAGES = np.random.default_rng(0).random((6, 4, 4, 1), np.float32)


def test_schedules_have_the_published_values():
  assert weight_schedule("constant", 10) is None
  warmup, cyclic = weight_schedule("warmup:2", 10), weight_schedule("cyclic:4", 10)
  assert [float(warmup(step)) for step in (0, 5, 20, 21, 1000)] == [0, 0.25, 1, 1, 1]
  # Fu et al., eq. (6): the remainder of the step in its cycle, divided by half of the cycle.
  for step in (0, 10, 20, 39, 40, 50, 79, 80, 4000):
    assert float(cyclic(step)) == pytest.approx(min(1.0, (step % 40) / 20))
  half = weight_schedule("cyclic:0.5", 10)
  assert [float(half(step)) for step in (0, 1, 2, 3, 4, 5)] == pytest.approx([0, 0.4, 0.8, 1, 1, 0])
  np.testing.assert_array_equal(jax.jit(cyclic)(np.int32(50)), cyclic(50))


@pytest.mark.parametrize(
  "name", ["", "constant:1", "warmup", "warmup:", "warmup:0", "warmup:-1", "cyclic:nan", "x:1", 3]
)
def test_schedules_refuse_other_names(name, without_beartype):
  with pytest.raises(ValueError, match="weight_schedule must be constant, warmup:EPOCHS or cyclic"):
    weight_schedule(name, 10)


def test_schedules_refuse_a_number_of_steps_that_is_none(without_beartype):
  with pytest.raises(ValueError, match="steps_per_epoch must be"):
    weight_schedule("warmup:1", 0)


def _step(objective, schedule=None, *, optimizer=None):
  model = networks.build("linear", (4, 4, 1), latent_dim=2, key=jax.random.key(0))
  chosen = optax.sgd(0.1) if optimizer is None else optimizer
  key = jax.random.key(1)
  state, step = create(model, objective, chosen, key=key, weight_schedule=schedule)
  return step(state, IMAGES)


def test_a_step_minimises_the_cost_with_the_scaled_weight():
  scheduled, metrics = _step(objectives.CWAE(weight=4.0), lambda step: 0.25 + step)
  expected, _ = _step(objectives.CWAE(weight=1.0))
  for found, value in zip(*map(jax.tree.leaves, (scheduled.params, expected.params)), strict=True):
    np.testing.assert_allclose(found, value, rtol=1e-6)
  full = metrics["reconstruction_error"] + 4 * metrics["penalty"]
  assert float(metrics["loss"]) == pytest.approx(float(full), rel=1e-6)


def test_optimizers_that_take_the_value_get_the_one_they_minimise():
  values = []

  def update(updates, state, params=None, *, value, **extra):
    values.append(float(value))
    return updates, state

  seen = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), update)
  _, metrics = _step(objectives.CWAE(weight=4.0), lambda step: 0.25, optimizer=seen)
  assert values == pytest.approx([float(metrics["reconstruction_error"] + metrics["penalty"])])


def test_a_schedule_that_returns_no_number_is_refused():
  with pytest.raises(
    ValueError, match=r"weight_schedule must return a number, but returned \(2,\)"
  ):
    _step(objectives.CWAE(), lambda step: np.ones(2))


def test_create_refuses_a_schedule_that_is_no_function(without_beartype):
  with pytest.raises(ValueError, match="weight_schedule must be None or a function"):
    _step(objectives.CWAE(), "warmup:1")


def test_a_resumed_run_continues_its_schedule(tmp_path):
  runs = SmallRuns(tmp_path)
  options = dict(weight_schedule="cyclic:2", checkpoint_epochs=1)
  whole = runs.train("cwae", epochs=3, **options)
  run = runs.train("cwae", epochs=1, **options)
  runs.resume(run, "cwae", epochs=3)
  assert largest_difference(run, whole) == 0
  assert log(run) == log(whole)
  assert aejax.load(run.workdir).configuration.weight_schedule == "cyclic:2"


def test_fit_takes_a_schedule_as_an_object(tmp_path):
  schedule = optax.linear_schedule(0.0, 1.0, 10)
  images = aejax.data.Dataset("noise", IMAGES, IMAGES)
  options = dict(latent_dim=2, model="linear", batch_size=3, workdir=tmp_path, test_epochs=0)
  run = aejax.fit("cwae", images, epochs=1, weight_schedule=schedule, **options)
  assert run.configuration.weight_schedule == "given"
  assert isinstance(aejax.load(tmp_path).model, Autoencoder)
  with pytest.raises(ValueError, match="The weight schedule of this run was given as an object"):
    aejax.fit("cwae", images, epochs=2, resume=True, **options)
  again = dict(epochs=2, resume=True, **options)
  with pytest.raises(ValueError, match="optimizer is adam, not an object"):
    aejax.fit("cwae", images, weight_schedule=schedule, optimizer=optax.sgd(0.1), **again)
  assert aejax.fit("cwae", images, weight_schedule=schedule, **again).step == 4


def test_a_diagnosis_uses_the_weight_of_the_step(tmp_path):
  model = networks.build("linear", (4, 4, 1), latent_dim=2, key=jax.random.key(0))
  state, _ = create(model, objectives.CWAE(), optax.sgd(0.1), key=jax.random.key(1))
  arguments = tmp_path, model, objectives.CWAE(), state, IMAGES
  found = diagnose_step(*arguments, weight_schedule=lambda step: np.float32(3e38), about={})
  assert "the gradient of" in found
  assert "the optimizer's update became too large" in diagnose_step(*arguments, about={})
