import dataclasses
import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from joint_embedding import measures, penalties, training, views

from aejax import data, distances, priors

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def script_module(script):
  return script("self_supervised")


@pytest.fixture(scope="module")
def images():
  return np.asarray(data.load("digits").train)


def _key(seed=0):
  return jax.random.key(seed)


@pytest.fixture(scope="module")
def trainer(images):
  return _trainer(images)


def _views(image, key, flip=False):
  return np.asarray(jax.jit(functools.partial(views.random_views, flip=flip))(image, key))


def _trainer(images, penalty="sigreg", **changes):
  options = {"dim": 4, "network": "mlp", "batch_size": 16, "flip": False} | changes
  scaled = penalties.scaled(penalty, options["batch_size"], options["dim"])
  return training.Trainer(images, scaled, **options)


# --- views ---


def test_views_are_the_images_without_their_changes(monkeypatch):
  for name, value in (("_NOISE", 0.0), ("_BRIGHTNESS", 0.0), ("_MIN_SIDE", 1.0)):
    monkeypatch.setattr(views, name, value)
  image = jax.random.uniform(_key(), (12, 6, 5, 1))
  np.testing.assert_allclose(_views(image, _key()), image, atol=1e-5)
  found = _views(image, _key(), flip=True)
  same = [np.allclose(a, b, atol=1e-5) for a, b in zip(found, image, strict=True)]
  mirrored = [np.allclose(a, b[:, ::-1], atol=1e-5) for a, b in zip(found, image, strict=True)]
  assert 0 < sum(same) < 12
  assert sum(same) + sum(mirrored) == 12


def test_views_crop_inside_of_the_image(monkeypatch):
  monkeypatch.setattr(views, "_NOISE", 0.0)
  monkeypatch.setattr(views, "_BRIGHTNESS", 0.0)
  ramp = jnp.broadcast_to(jnp.arange(8.0)[:, None, None], (64, 8, 8, 1))
  rows = _views(ramp, _key())[:, 2:-2, 4, 0]
  steps = np.diff(rows, axis=1)
  np.testing.assert_allclose(steps, np.broadcast_to(steps[:, :1], steps.shape), atol=1e-4)
  assert views._MIN_SIDE <= steps.min() < 0.9 < steps.max() <= 1 + 1e-4


@pytest.mark.parametrize("change", ["_NOISE", "_BRIGHTNESS", "_MIN_SIDE"])
def test_each_change_alone_makes_views_differ(change, monkeypatch):
  unchanged = {"_NOISE": 0.0, "_BRIGHTNESS": 0.0, "_MIN_SIDE": 1.0}
  for name in unchanged.keys() - {change}:
    monkeypatch.setattr(views, name, unchanged[name])
  image = jax.random.uniform(_key(), (4, 6, 6, 1))
  first, second = (_views(image, _key(seed)) for seed in range(2))
  assert np.abs(first - second).max() > 0.03


# --- penalties ---


def test_sliced_sigreg_estimates_sigreg():
  z = 0.5 + jax.random.normal(_key(), (32, 4)) * 0.7
  found = np.array([penalties.PENALTIES["sliced_sigreg"](z, _key(seed)) for seed in range(4)])
  # The nodes end at t = 3, which omits less than half a percent.
  assert found.mean() == pytest.approx(float(distances.sigreg(z)), rel=0.02)
  assert found.std() > 0


def test_sliced_sigreg_is_the_formula_of_one_direction():
  # In one dimension all directions agree, and sigreg is the integral over all t.
  z = jax.random.normal(_key(), (20, 1)) * 0.8
  found = penalties.PENALTIES["sliced_sigreg"](z, _key())
  t = np.linspace(-3, 3, 33)
  phi = np.exp(1j * t[:, None] * np.asarray(z, np.float64)[:, 0]).mean(1)
  values = np.abs(phi - np.exp(-t * t / 2)) ** 2 * np.exp(-t * t / 2)
  assert float(found) == pytest.approx(20 * np.trapezoid(values, t), rel=1e-4)


def test_visreg_is_the_sum_of_scale_shape_and_centre():
  z = np.array([[0.0, 1.0], [2.0, 2.0], [4.0, 6.0]], np.float32)
  mean, deviation = z.mean(0), z.std(0)
  directions = distances.random_directions(_key(3), penalties.DIRECTIONS, 2)
  shape = distances.sliced_wasserstein(jnp.asarray((z - mean) / deviation), directions=directions)
  expected = np.mean((1 - deviation) ** 2) + float(shape) + np.mean(mean**2)
  assert float(penalties.PENALTIES["visreg"](jnp.asarray(z), _key(3))) == pytest.approx(expected)


def test_visreg_has_a_finite_gradient_at_collapse():
  gradient = jax.grad(penalties.PENALTIES["visreg"])(jnp.zeros((8, 3)), _key())
  assert np.isfinite(gradient).all()


def test_other_penalties_are_the_distances():
  z = jax.random.normal(_key(), (10, 3))
  expected = {
    "sigreg": distances.sigreg(z),
    "energy_distance": distances.energy_distance(z),
    "mmd": distances.mmd(z),
    "kernel_stein": distances.kernel_stein(z),
    "kernel_stein_student": distances.kernel_stein(z, priors.StudentT(3, 5)),
  }
  assert set(expected) | set(penalties.RANDOM) == set(penalties.PENALTIES)
  for name, value in expected.items():
    first, second = (penalties.PENALTIES[name](z, _key(seed)) for seed in range(2))
    assert float(first) == float(second) == pytest.approx(float(value), rel=1e-5)


@pytest.mark.parametrize("name", penalties.PENALTIES)
def test_scaled_penalties_of_collapsed_embeddings_are_one(name):
  assert float(penalties.scaled(name, 8, 3)(jnp.zeros((8, 3)), _key(5))) == pytest.approx(1)


# --- measures ---


def test_effective_rank_counts_directions():
  z = np.random.default_rng(0).normal(size=(2000, 4))
  assert measures.effective_rank(z) == pytest.approx(4, rel=0.01)
  z[:, 2:] = 0
  assert measures.effective_rank(z) == pytest.approx(2, rel=0.01)


def test_gradient_noise_is_that_of_the_directions():
  z = jax.random.normal(_key(), (16, 3)) * 0.5
  noise = measures.gradient_noise("sliced_sigreg", z, 4)
  assert 0.001 < noise["noise"] < 0.3
  assert noise["error"] < noise["noise"]
  assert measures.gradient_noise("sigreg", z, 3)["noise"] < 1e-6
  assert "error" not in measures.gradient_noise("visreg", z, 2)


def test_share_of_directions_grows_with_the_weight(images):
  random = _trainer(images, "visreg")
  none, some = (measures.share_of_directions(random, random.start(0), w, 3) for w in (0.0, 10.0))
  assert none == 0
  assert 0 < some < 1


def test_loss_times_of_each_penalty():
  found = measures.loss_times(["sigreg", "mmd"], 4, 2, 0.01)
  assert set(found) == {"sigreg", "mmd"}
  assert all(time.median > 0 and time.repetitions >= 3 for time in found.values())


# --- training ---


def test_trainings_differ_by_weight_and_seed_only(trainer):
  params, losses = trainer.train(1.0, 5, 0)
  again, same = trainer.train(1.0, 5, 0)
  assert losses.shape == (5,)
  assert np.array_equal(losses, same)
  assert jax.tree.all(jax.tree.map(np.array_equal, params, again))
  assert not np.allclose(losses, trainer.train(3.0, 5, 0)[1])
  assert not np.allclose(losses, trainer.train(1.0, 5, 1)[1])
  assert trainer.train(1.0, 60, 0)[1][-5:].mean() < losses[0]


def test_loss_is_that_of_the_formula(trainer, images):
  params, rows = trainer.start(0), jnp.arange(16)
  loss = jax.jit(trainer.loss)
  without, with_weight = (loss(params, rows, _key(1), _key(2), w) for w in (0.0, 2.0))
  z, other = (
    training.embed(trainer.graphdef, params, 255 * v)
    for v in (_views(jnp.asarray(images[:16]) / 255, key) for key in jax.random.split(_key(1)))
  )
  penalty = penalties.scaled("sigreg", 16, 4)
  mean_penalty = (float(penalty(z, _key())) + float(penalty(other, _key()))) / 2
  assert float(without) == pytest.approx(np.mean((z - other) ** 2), rel=1e-4)
  assert float(with_weight - without) == pytest.approx(2 * mean_penalty, rel=1e-3)


def test_batches_are_epochs(images):
  trainer = _trainer(images, batch_size=500)
  assert len(images) // 500 == 2
  found = np.asarray(trainer.batches(_key(), 5))
  assert found.shape == (5, 500)
  for first in (0, 2):
    assert len(np.unique(found[first : first + 2])) == 1000
  assert not np.array_equal(found[:2], found[2:4])


def test_networks_and_dimensions(trainer, images):
  conv = _trainer(images, network="conv", dim=5)
  for each, dim in ((trainer, 4), (conv, 5)):
    assert training.embed(each.graphdef, each.start(0), images[:3]).shape == (3, dim)
  assert trainer.graphdef != _trainer(images, network="conv").graphdef


# --- the script ---

SMALL = {
  "dataset": "digits",
  "penalties": ("sliced_sigreg",),
  "dim": 3,
  "batch_size": 16,
  "steps": 3,
  "seeds": 1,
  "weights": (1.0, 2.0),
  "sweep_steps": 2,
  "time_n": (8,),
  "seconds": 0.01,
}


def test_script_writes_page_and_continues(script_module, tmp_path, capsys, monkeypatch):
  calls = []
  trained = training.Trainer.train
  monkeypatch.setattr(
    training.Trainer, "train", lambda self, *a: (calls.append(a), trained(self, *a))[1]
  )
  options = script_module.Options(out=tmp_path, **SMALL)
  script_module.main(options)
  page = (tmp_path / "README.md").read_text(encoding="utf-8")
  assert page == capsys.readouterr().out
  for text in ("digits", "mlp, 3 embeddings", "3 steps of 16 images", "n = 8", "| λ = 1 | λ = 2 |"):
    assert text in page
  rows = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["rows"]
  # In 0.01 s, not the three seconds of the default.
  assert all(row["repetitions"] < 100 for row in rows if row["kind"] == "time")
  (run,) = [row for row in rows if row["kind"] == "training"]
  assert {"noise_start", "noise_end", "noise_prior", "share", "error_end"} <= set(run)
  assert {"linear_probe_accuracy", "knn_accuracy", "effective_rank", "deviation"} <= set(run)
  best = max((r for r in rows if r["kind"] == "sweep"), key=lambda r: r["linear_probe_accuracy"])
  assert best["penalty"] == "sigreg"  # the sliced statistic has the weight of the exact one
  assert run["weight"] == best["weight"]
  assert calls == [(1.0, 2, 1000), (2.0, 2, 1000), (run["weight"], 3, 0)]

  script_module.main(options)
  assert len(calls) == 3
  script_module.main(dataclasses.replace(options, seeds=2))
  assert calls[3:] == [(run["weight"], 3, 1)]
  with pytest.raises(ValueError, match="dim is 3 there and 4 here"):
    script_module.main(dataclasses.replace(options, dim=4))


def test_options_reach_the_trainer(script_module, tmp_path):
  options = {"dataset": "digits", "network": "conv", "dim": 5, "batch_size": 7}
  experiment = script_module.Experiment(script_module.Options(out=tmp_path, **options))
  trainer = experiment._trainer("sigreg")
  found = trainer._network, trainer._dim, trainer._batch_size, trainer._flip
  assert found == ("conv", 5, 7, False)
  # A tenth of the training images is held out.
  assert len(trainer._images) == len(experiment.data.train) * 9 // 10


@pytest.mark.parametrize(
  ("option", "value"),
  [("penalties", "kl"), ("weights", 0), ("weights", "nan"), ("seeds", 0), ("dim", 0)],
)
def test_bad_options_end_in_a_sentence(call, option, value, tmp_path):
  code, _, error = call("self_supervised", f"--{option}", value, "--out", tmp_path)
  assert code == 2
  assert option in error


@pytest.mark.slow
def test_eight_devices_train_as_one(images):
  program = """
import json, sys, jax, numpy as np
from aejax import data
from joint_embedding import penalties, training
images = np.asarray(data.load("digits").train)
losses = {}
for name in penalties.PENALTIES:
  penalty = penalties.scaled(name, 32, 4)
  trainer = training.Trainer(images, penalty, dim=4, network="mlp", batch_size=32, flip=False)
  losses[name] = trainer.train(1.0, 10, 0)[1].tolist()
print(json.dumps([jax.device_count(), losses]))
"""
  found = {}
  for devices in (1, 8):
    flags = f"--xla_force_host_platform_device_count={devices}"
    finished = subprocess.run(
      [sys.executable, "-c", program],
      env=os.environ | {"XLA_FLAGS": flags, "PYTHONPATH": f"{ROOT}:{ROOT / 'experiments'}"},
      capture_output=True,
      text=True,
      check=True,
    )
    count, found[devices] = json.loads(finished.stdout)
    assert count == devices
  for name, losses in found[1].items():
    # Ten steps of Adam enlarge the differences of rounding.
    np.testing.assert_allclose(found[8][name], losses, rtol=1e-3, err_msg=name)
