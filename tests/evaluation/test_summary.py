import typing

import pytest

from aejax._files import read_json
from aejax.evaluation import Summary, summarise, table


def test_summarise_gives_mean_and_standard_error_of_all_seeds(tmp_path):
  runs = [{"method": "ae", "x": x, "same": 2.0} for x in (1.0, 2.0, 6.0)]
  summary = summarise(tmp_path, runs)
  # Deviations −2, −1, 3 from the mean 3: variance 7, standard error √(7/3).
  expected = {"seeds": 3, "method": "ae", "x": 3.0, "same": 2.0, "x_standard_error": (7 / 3) ** 0.5}
  assert summary == pytest.approx(expected)
  assert read_json(tmp_path / "summary.json") == summary


def test_summarise_replaces_the_standard_errors_of_single_runs(tmp_path):
  runs = [{"kid": x, "kid_standard_error": e} for x, e in ((1.0, 0.5), (3.0, 0.25))]
  assert summarise(tmp_path, runs) == {"seeds": 2, "kid": 2.0, "kid_standard_error": 1.0}


def test_summarise_drops_the_standard_error_of_a_metric_that_agrees(tmp_path):
  runs = [{"kid": 1.0, "kid_standard_error": e} for e in (0.5, 0.25)]
  assert summarise(tmp_path, runs) == {"seeds": 2, "kid": 1.0}


def test_summarise_keeps_entries_that_every_seed_has(tmp_path):
  runs = [
    {"active_units": 7, "seconds": 1.0, "normal_latents": {"mmd": 0.1}},
    {"active_units": 8, "normal_latents": {"mmd": 0.1}},
  ]
  assert summarise(tmp_path, runs) == {
    "seeds": 2,
    "active_units": 7.5,
    "active_units_standard_error": 0.5,
    "normal_latents": {"mmd": 0.1},
  }


def test_table_shows_metrics_and_references():
  metrics = {"method": "cwae", "reconstruction_error": 1.234567891, "mmd": 0.01, "steps": 22}
  test = {"statistic": 0.012, "null_mean": 0.0034, "null_standard_deviation": 0.0002}
  text = table(
    {**metrics, "normal_latents": {"mmd": -0.00036}, "prior_test": {**test, "p_value": 0.031}}
  )
  assert text.splitlines() == [
    "method                cwae",
    "reconstruction_error  1.2346",
    "mmd                   0.01          normal latents -0.00036",
    "steps                 22",
    "prior_test            p = 0.031: cramer_wold 0.012, samples of the prior 0.0034 ± 0.0002",
  ]


def test_table_widens_for_long_names():
  text = table({"frechet_classifier_reconstructions": 1.0})
  assert text == "frechet_classifier_reconstructions  1"


def test_summary_type_lists_the_keys_of_a_run(digits_run):
  summary = read_json(digits_run / "summary.json")
  names = typing.get_type_hints(Summary)
  assert set(summary) <= set(names)
  assert set(summary) >= Summary.__required_keys__
  described = {
    line.strip().partition(":")[0] for line in (Summary.__doc__ or "").splitlines() if ": " in line
  }
  assert described >= set(names)
