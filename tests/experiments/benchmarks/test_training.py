"""The parts of the training benchmark: turns, the floor, and PyTorch's twins of our networks."""

import importlib.util

import jax
import numpy as np
import pytest
from benchmarks.results import Results
from benchmarks.training import alternate
from benchmarks.training_plan import make_plan
from benchmarks.training_programs import Training, Workload, matrix_products
from benchmarks.training_report import EAGER, OURS, draw_figure, targets, write_report

from aejax import objectives

pytestmark = pytest.mark.bench

TINY = Workload("mlp", side=8, latent_dim=3, batch_size=16, num_images=64)


class Clock:
  """A clock that only calls move, and that runs slower and slower."""

  def __init__(self, drift):
    self.now, self.pace, self.drift, self.log = 0.0, 1.0, drift, []

  def __call__(self):
    return self.now

  def call(self, name, seconds):
    def run():
      self.log.append(name)
      self.now += seconds * self.pace
      self.pace *= self.drift

    return run


def test_turns_cancel_a_drift():
  clock = Clock(drift=1.02)
  pairs = alternate(clock.call("a", 1.0), clock.call("b", 1.1), seconds=65.0, clock=clock)
  ratios = np.array([b / a for a, b in pairs])
  # The second of a pair is 2 % slower: the first or the other in turn.
  assert len(pairs) > 20
  assert ratios[::2] == pytest.approx(1.1 * 1.02)
  assert ratios[1::2] == pytest.approx(1.1 / 1.02)
  assert clock.log[:4] == ["a", "b", "a", "b"]  # warm-up and estimate
  assert clock.log[4:12] == ["a", "b", "b", "a", "a", "b", "b", "a"]
  # One after the other, half an hour apart, would show this drift as a cost.
  assert pairs[-1][1] / pairs[0][0] > 2


def test_slow_calls_get_five_pairs():
  clock = Clock(drift=1.0)
  pairs = alternate(clock.call("a", 100.0), clock.call("b", 50.0), seconds=1.0, clock=clock)
  assert pairs == [(100.0, 50.0)] * 5


def test_a_call_takes_so_many_steps_of_training():
  training = Training(TINY, objectives.AE())
  first = training(4).totals["loss"]
  assert int(training._state.step) == 4
  for _ in range(20):
    last = training(4).totals["loss"]
  # Of noise it learns the mean at least, which leaves 1/12 of variance a pixel.
  assert last / 4 < 64 / 12 < first / 4


def test_several_seeds_are_trained_at_once():
  alone, together = Training(TINY, objectives.CWAE()), Training(TINY, objectives.CWAE(), seeds=2)
  losses = together(3).totals["loss"]
  assert losses.shape == (2,)
  assert losses[0] != losses[1]
  # Batched products add up in another order.
  assert float(losses[0]) == pytest.approx(float(alone(3).totals["loss"]), rel=1e-5)


def test_the_floor_is_the_products_of_a_linear_network():
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
  # Of eight layers each thrice, but for the first one's input.
  assert text.count("dot_general") == 3 * 8 - 1


@pytest.mark.parametrize(
  ("wish", "sentence"),
  [
    ({"methods": ["cwa"]}, "There is no method 'cwa'"),
    ({"networks": ["celeb_a"]}, "There is no network 'celeb_a'"),
    ({"batch_size": 1}, "batch_size must be a whole number from 2 up, but is 1."),
    ({"side": 30}, "side must be a positive multiple of 4, but is 30."),
    ({"torch_compile": -1.0}, "torch_compile must be seconds, 0 or more, but is -1."),
  ],
)
def test_mistakes_are_one_sentence(wish, sentence):
  with pytest.raises(ValueError, match="^" + sentence.replace(".", r"\.")):
    make_plan(**wish)


def step(method, contestant, median, network="mlp"):
  row = {"kind": "step", "network": network, "method": method, "contestant": contestant}
  times = {"median": median, "lower": median, "upper": median, "images_per_second": 256 / median}
  return {**row, **times, "status": "measured"}


def test_targets_and_report(tmp_path):
  environment = {
    **dict.fromkeys(("date", "processor", "threads", "system", "devices", "python", "code"), "x"),
    "versions": {},
  }
  results = Results(tmp_path / "results.json", environment, make_plan().settings())
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
  found = {target.wanted: (target.measured, target.met) for target in targets(results.rows)}
  assert found == {
    "`ae`, mlp: at least 3× as fast as PyTorch, eager": ("3.20×", True),
    "`vae`, mlp: at least 3× as fast as PyTorch, eager": ("2.80×", False),
    "`ae`, convolutional: at least 1.2× as fast as PyTorch, eager": ("1.30×", True),
    "`cwae`, mlp: a step at most 1.15× the plain autoencoder's": ("1.16×", False),
    "`ae`, mlp: first step within 5 s": ("4.0 s", True),
    "`ae`, mlp: first step sooner from the cache": ("3.0 s for 4.0 s", True),
  }
  figure = draw_figure(results.rows, tmp_path / "step_time.png")
  page = write_report(results, tmp_path / "results.md", {"pythae": "not here"}, figure).read_text()
  assert "| `ae` | 3.00 [3.00, 3.00] | 85,333 | 3.20× |" in page
  assert "- pythae: not here." in page
  assert figure.read_bytes().startswith(b"\x89PNG")


needs_torch = pytest.mark.skipif(
  importlib.util.find_spec("torch") is None or importlib.util.find_spec("sympy") is None,
  reason="torch, or what its optimisers import, is not installed",
)


@needs_torch
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("network", ["mlp", "convolutional"])
@pytest.mark.parametrize(
  ("method", "objective"), [("ae", objectives.AE()), ("cwae", objectives.CWAE(approximate=True))]
)
def test_pytorch_has_our_parameters_and_losses(network, method, objective):
  from benchmarks.torch_training import TorchTraining

  workload = Workload(network, side=16, latent_dim=4, batch_size=32, num_images=128)
  ours = Training(workload, objective)
  theirs = TorchTraining(workload, method, ours.model)
  assert theirs.num_parameters == ours.num_parameters
  losses = [(float(ours(1).totals["loss"]), theirs(1)) for _ in range(6)]
  a, b = np.array(losses).T
  # The first loss is a sum of 256 squares after a few hundred-term dot products: some ulps. Adam
  # divides by the gradient's size, so rounding where it is nearly zero moves a weight by its whole
  # rate of 1e-3, but there the loss is flat; what is left grows from step to step.
  assert a[0] == pytest.approx(b[0], rel=2e-6)
  assert a == pytest.approx(b, rel=3e-4)
  assert abs(a[0] / a[-1] - 1) > 1e-2  # the weights did move


@needs_torch
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("method", ["vae", "wae-mmd", "swae"])
def test_pytorch_trains_the_others(method):
  from benchmarks.torch_training import TorchTraining

  workload = Workload("mlp", side=8, latent_dim=3, batch_size=64, num_images=256)
  ours = Training(workload, objectives.make(method, {}))
  theirs = TorchTraining(workload, method, ours.model)
  assert theirs.num_parameters == ours.num_parameters
  # Both draw their own noise: what is left of it in a mean over 64 images of 64 pixels.
  assert theirs(1) == pytest.approx(float(ours(1).totals["loss"]), rel=0.1)
  assert theirs(100) < 8


@needs_torch
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(importlib.util.find_spec("pythae") is None, reason="pythae is not installed")
def test_pythae_trains_our_network(capsys):
  from benchmarks.torch_training import PythaeTraining

  ours = Training(TINY, objectives.WAEMMD())
  theirs = PythaeTraining(TINY, ours.model)
  assert theirs.num_parameters == ours.num_parameters
  assert theirs.steps == 4
  first = theirs(4)
  assert all(np.isfinite(theirs(4)) for _ in range(20))
  assert theirs(4) < first
  assert capsys.readouterr().err == ""


def test_a_time_limit_ends_the_block():
  import time

  from benchmarks.torch_training import time_limit

  with pytest.raises(TimeoutError, match=r"^took longer than 0\.05 s$"), time_limit(0.05):
    time.sleep(5)
  with time_limit(0.05):
    pass
  time.sleep(0.1)  # the alarm is off
