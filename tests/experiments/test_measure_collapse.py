import json
import math

import jax.numpy as jnp
import pytest


@pytest.fixture(scope="module")
def measure(script):
  return script("measure_collapse")


def test_derivatives_are_those_of_a_distance_of_known_slope(measure):
  # E|x − x′| is linear in σ, and so is the pull of its square.
  found = measure.derivatives(lambda z: -jnp.mean(z**2), 16)
  assert found == pytest.approx([scale / 0.5 for scale in (0.001, 0.01, 0.1, 0.25)], rel=1e-5)


def test_train_counts_the_steps_out_of_collapse(measure):
  far = measure.train(lambda z: jnp.mean((jnp.std(z, 0) - 1) ** 2), "Adam", 0.1, 60, 0)
  assert 1 < far["step"] <= 60
  assert far["deviation"] > 0.5
  other = measure.train(lambda z: jnp.mean((jnp.std(z, 0) - 1) ** 2), "SGD", 0.1, 60, 0)
  assert other["deviation"] != pytest.approx(far["deviation"], rel=1e-3)
  near = measure.train(lambda z: jnp.mean(z**2), "SGD", 0.1, 3, 0)
  assert near["step"] is None
  assert near["deviation"] < 0.5


def test_train_starts_from_the_given_deviation(measure):
  for start in (1e-3, 1e-2):
    after_one_step = measure.train(lambda z: jnp.mean(z**2), "SGD", start, 1, 0)["deviation"]
    assert start / 4 < after_one_step < start


def test_medians_name_runs_that_stay_or_diverge(measure):
  runs = [{"step": 3, "deviation": 0.9}, {"step": None, "deviation": 0.1}]
  assert measure._medians([runs[0]] * 2 + [runs[1]]) == ("3", "0.9")
  assert measure._medians([runs[0]] + [runs[1]] * 2) == ("never", "0.1")
  assert measure._medians([{"step": 3, "deviation": math.nan}]) == ("diverged", "")


@pytest.mark.slow
def test_measure_collapse_writes_both_tables(measure, tmp_path, capsys):
  measure.main(measure.Options(out=tmp_path, n=16, start=0.01, steps=2, seeds=1))
  page = (tmp_path / "collapse.md").read_text(encoding="utf-8")
  assert page == capsys.readouterr().out
  assert "n = 16, D = 64" in page
  assert "deviation 0.01" in page
  assert page.count("| energy_distance |") == 2  # in the table of derivatives and in that of runs
  stored = json.loads((tmp_path / "collapse.json").read_text(encoding="utf-8"))
  assert stored["derivatives"]["energy_distance"][0] > 1 > stored["derivatives"]["cramer_wold"][0]
  assert len(stored["training"]["energy_distance"]["SGD"]) == 1
