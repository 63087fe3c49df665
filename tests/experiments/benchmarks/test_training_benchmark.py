"""The parts of the benchmark of training: programs, plan, page, and training in PyTorch."""

import importlib.util
import json
from pathlib import Path

import jax
import numpy as np
import pytest
from benchmarks.results import OURS, Results
from benchmarks.training_plan import plan_training
from benchmarks.training_programs import Training, Workload, matrix_products
from benchmarks.training_report import (
  EAGER,
  draw_figure,
  training_targets,
  write_training_report,
)

from aejax import objectives

pytestmark = pytest.mark.bench

COMMITTED = Path(__file__).parents[3] / "results" / "training"

TINY = Workload("mlp", side=8, latent_dim=3, batch_size=16, num_images=64)


def test_training_takes_the_number_of_steps_asked_for():
  training = Training(TINY, objectives.AE())
  first = training(4).totals["loss"]
  assert int(training._state.step) == 4
  for _ in range(20):
    last = training(4).totals["loss"]
  # The images are noise. The model learns at least its mean, and the variance 1/12 remains.
  assert last / 4 < 64 / 12 < first / 4


def test_training_of_several_seeds():
  alone, together = Training(TINY, objectives.CWAE()), Training(TINY, objectives.CWAE(), seeds=2)
  losses = together(3).totals["loss"]
  assert losses.shape == (2,)
  assert losses[0] != losses[1]
  # Batched products sum in another order.
  assert float(losses[0]) == pytest.approx(float(alone(3).totals["loss"]), rel=1e-5)


def test_matrix_products_are_those_of_a_step():
  training = Training(TINY, objectives.AE())
  weights = matrix_products(training, TINY)(1)
  assert [w.shape for w in weights] == [
    (64, 200),
    (200, 200),
    (200, 200),
    (200, 3),
    (3, 200),
    (200, 200),
    (200, 200),
    (200, 64),
  ]
  assert all(np.isfinite(weight).all() for weight in weights)
  program = jax.jit(lambda count: matrix_products(training, TINY)(count))
  text = program.lower(1).as_text()
  # Three products for each of eight layers, without the gradient of the first layer's input.
  assert text.count("dot_general") == 3 * 8 - 1


@pytest.mark.parametrize(
  ("options", "sentence"),
  [
    ({"methods": ["cwa"]}, "There is no method 'cwa'"),
    ({"networks": ["celeb_a"]}, "There is no network 'celeb_a'"),
    ({"batch_size": 1}, "batch_size must be a whole number from 2 up, but is 1."),
    ({"side": 30}, "side must be a positive multiple of 4, but is 30."),
    ({"torch_compile": -1.0}, "torch_compile must be seconds, 0 or more, but is -1."),
  ],
)
def test_plan_rejects_options(options, sentence):
  with pytest.raises(ValueError, match="^" + sentence.replace(".", r"\.")):
    plan_training(**options)


def step(method, implementation, median, network="mlp"):
  row = {"kind": "step", "network": network, "method": method, "contestant": implementation}
  times = {"median": median, "lower": median, "upper": median, "images_per_second": 256 / median}
  return {**row, **times, "status": "measured"}


def test_targets_and_report(tmp_path):
  environment = {
    **dict.fromkeys(("date", "processor", "threads", "system", "devices", "python", "code"), "x"),
    "versions": {},
  }
  results = Results(tmp_path / "results.json", environment, plan_training().settings())
  first = {"kind": "first step", "network": "mlp", "method": "ae", "status": "measured"}
  parts = {"process_seconds": 6.0, "make_seconds": 1.0, "step_seconds": 1.0}
  results.rows = [
    step("ae", OURS, 0.003),
    step("ae", EAGER, 0.0096),
    step("vae", OURS, 0.003),
    step("vae", EAGER, 0.0084),
    step("ae", OURS, 0.1, "convolutional"),
    step("ae", EAGER, 0.13, "convolutional"),
    {"kind": "overhead", "network": "mlp", "method": "cwae", "median": 1.16, "lower": 1.1}
    | {"upper": 1.2, "pairs": 9},
    {**first, **parts, "cached": False, "seconds": 4.0},
    {**first, **parts, "cached": True, "seconds": 3.0},
  ]
  found = {
    target.wanted: (target.measured, target.met) for target in training_targets(results.rows)
  }
  assert found == {
    "`ae`, mlp: at least 3× as fast as PyTorch, eager": ("3.20×", True),
    "`vae`, mlp: at least 3× as fast as PyTorch, eager": ("2.80×", False),
    "`ae`, convolutional: at least 1.2× as fast as PyTorch, eager": ("1.30×", True),
    "`cwae`, mlp: a step at most 1.15× the plain autoencoder's": ("1.16×", False),
    "`ae`, mlp: first step within 5 s": ("4.0 s", True),
    "`ae`, mlp: first step sooner from the cache": ("3.0 s instead of 4.0 s", True),
  }
  figure = draw_figure(results.rows, tmp_path / "step_time.png")
  absent = {"pythae": "not here"}
  page = write_training_report(results, tmp_path / "results.md", absent, figure).read_text()
  assert "| `ae` | 3.00 [3.00, 3.00] | 85,333 | 3.20× |" in page
  assert "- pythae: not here." in page
  assert figure.read_bytes().startswith(b"\x89PNG")


def test_committed_page_is_that_of_the_committed_rows(tmp_path):
  content = json.loads((COMMITTED / "results.json").read_text(encoding="utf-8"))
  results = Results(COMMITTED / "results.json", content["environment"], content["settings"])
  figure = COMMITTED / "step_time.png"
  assert figure.is_file()
  page = write_training_report(results, tmp_path / "results.md", {}, figure)
  committed = (COMMITTED / "results.md").read_text(encoding="utf-8")
  assert page.read_text(encoding="utf-8") == committed


needs_torch = pytest.mark.skipif(
  importlib.util.find_spec("torch") is None or importlib.util.find_spec("sympy") is None,
  reason="torch, or sympy, which its optimisers import, is not installed",
)


@needs_torch
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("network", ["mlp", "convolutional"])
@pytest.mark.parametrize(
  ("method", "objective"), [("ae", objectives.AE()), ("cwae", objectives.CWAE(approximate=True))]
)
def test_torch_training_has_our_parameters_and_losses(network, method, objective):
  from benchmarks.torch_training import TorchTraining

  workload = Workload(network, side=16, latent_dim=4, batch_size=32, num_images=128)
  ours = Training(workload, objective)
  theirs = TorchTraining(workload, method, ours.model)
  assert theirs.num_parameters == ours.num_parameters
  losses = [(float(ours(1).totals["loss"]), theirs(1)) for _ in range(6)]
  a, b = np.array(losses).T
  # The first loss is a sum of 256 squares after dot products of a few hundred terms: an error of
  # some ulps. Adam divides by the size of the gradient. Where that is nearly zero, rounding moves a
  # weight by the whole rate of 1e-3, but the loss is flat there. Other errors grow step by step.
  assert a[0] == pytest.approx(b[0], rel=2e-6)
  assert a == pytest.approx(b, rel=3e-4)
  assert abs(a[0] / a[-1] - 1) > 1e-2  # the weights did move


@needs_torch
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("method", ["vae", "wae-mmd", "swae"])
def test_torch_training_of_other_methods(method):
  from benchmarks.torch_training import TorchTraining

  workload = Workload("mlp", side=8, latent_dim=3, batch_size=64, num_images=256)
  ours = Training(workload, objectives.make(method, {}))
  theirs = TorchTraining(workload, method, ours.model)
  assert theirs.num_parameters == ours.num_parameters
  # Both draw their own noise, which averages out over 64 images of 64 pixels.
  assert theirs(1) == pytest.approx(float(ours(1).totals["loss"]), rel=0.1)
  assert theirs(100) < 8


@needs_torch
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(importlib.util.find_spec("pythae") is None, reason="pythae is not installed")
def test_pythae_training(capsys):
  from benchmarks.torch_training import PythaeTraining

  ours = Training(TINY, objectives.WAEMMD())
  theirs = PythaeTraining(TINY, ours.model)
  assert theirs.num_parameters == ours.num_parameters
  assert theirs.steps == 4
  first = theirs(4)
  assert all(np.isfinite(theirs(4)) for _ in range(20))
  assert theirs(4) < first
  assert capsys.readouterr().err == ""
