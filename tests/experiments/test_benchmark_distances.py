"""The benchmark of distances as a user runs it, at tiny sizes and without other libraries."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import distance_benchmark

pytestmark = pytest.mark.bench

SCRIPT = Path(__file__).parents[2] / "experiments" / "benchmark_distances.py"
TINY = ["--quick", "--no-peers", "--distances", "kl_divergence", "energy_distance"]
TINY += ["--sizes", "16,4", "32,4"]


@pytest.fixture
def run(call, tmp_path):
  """Calls the script with an output folder."""
  return lambda *arguments: call("benchmark_distances", "--out", tmp_path / "out", *arguments)


def timed_cases(out):
  rows = json.loads((out / "results.json").read_text())["rows"]
  return [(row["distance"], row["n"]) for row in rows if row["kind"] == "time"]


def test_benchmark_distances_writes_results_and_page(run, tmp_path):
  out = tmp_path / "out"
  code, printed, _ = run(*TINY)
  assert code == 0
  paths = [out / name for name in ("results.json", "results.md", "time_over_n.png")]
  assert printed.splitlines()[:2] == [str(path) for path in paths[:2]]
  expected = {(d, n) for d in ("kl_divergence", "energy_distance") for n in (16, 32)}
  assert set(timed_cases(out)) == expected
  results = json.loads(paths[0].read_text())
  assert all(row["median"] > 0 for row in results["rows"] if row["kind"] == "time")
  assert results["environment"]["platform"] == "cpu"
  page = paths[1].read_text()
  assert "## `energy_distance`: n²D" in page
  assert "`energy_distance`, 8 devices: operations of each at most 1.15/8" in page
  before = paths[0].read_bytes()
  assert run(*TINY)[0] == 0
  assert paths[0].read_bytes() == before  # nothing was left to measure


@pytest.mark.slow
def test_benchmark_distances_stops_at_a_signal_and_continues(run, tmp_path, monkeypatch):
  out = tmp_path / "out"
  measure, measured = distance_benchmark.measure_case, []

  def interrupted(case, *arguments, **options):
    measured.append((case.distance, case.n))
    if len(measured) == 2:
      os.kill(os.getpid(), signal.SIGINT)
    return measure(case, *arguments, **options)

  monkeypatch.setattr(distance_benchmark, "measure_case", interrupted)
  code, printed, err = run(*TINY)
  assert code == 128 + signal.SIGINT
  assert printed == ""
  assert err.splitlines()[-1] == f"Interrupted; the same command continues from {out}."
  assert set(timed_cases(out)) == set(measured) == {("kl_divergence", 16), ("energy_distance", 16)}
  assert [path.name for path in out.iterdir()] == ["results.json"]
  assert run(*TINY)[0] == 0
  assert len(measured) == len(set(measured)) == 4


@pytest.mark.slow
def test_benchmark_distances_measures_again_with_a_longer_cutoff(run, tmp_path):
  out = tmp_path / "out"
  options = ["--quick", "--no-peers", "--distances", "kl_divergence", "--sizes", "16,3", "--cutoff"]
  assert run(*options, "1e-9")[0] == 0
  rows = json.loads((out / "results.json").read_text())["rows"]
  reasons = {row["reason"] for row in rows if row["kind"] == "time"}
  assert all("over the cut-off of 1e-09 s" in reason for reason in reasons)
  assert "1e-09 s" in (out / "results.md").read_text()
  # A cut-off of seconds is far above the microseconds of these calls.
  assert run(*options, "20")[0] == 0
  rows = json.loads((out / "results.json").read_text())["rows"]
  assert {row["status"] for row in rows if row["kind"] == "time"} == {"measured"}


@pytest.mark.parametrize(
  ("arguments", "sentence"),
  [
    (["--distances", "cramer-wold-ish"], "There is no distance 'cramer-wold-ish'"),
    (["--sizes", "256x64"], "sizes must be pairs n,d such as 256,64, but one is '256x64'."),
    (["--cutoff", "-1"], "cutoff must be positive, but is -1."),
    (["--devices", "0"], "devices must be a whole number from 1 up, but is 0."),
    (["--devices", "4096"], "devices is 4096, but 1 can be used on this cpu."),
  ],
)
def test_benchmark_distances_rejects_options(run, tmp_path, arguments, sentence):
  code, printed, err = run(*arguments)
  assert (code, printed) == (2, "")
  assert err.startswith(f"error: {sentence}")
  assert err.count("\n") == 1
  assert list(tmp_path.iterdir()) == []


def test_benchmark_distances_rejects_other_results(run, tmp_path):
  out = tmp_path / "out"
  (out / "results").mkdir(parents=True)
  (out / "results.json").write_text("{}")
  code, _, err = run(*TINY)
  assert code == 2
  assert err == f"error: {out / 'results.json'} holds no results of a benchmark.\n"


def process(*arguments):
  command = [sys.executable, str(SCRIPT), *map(str, arguments)]
  return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_benchmark_distances_help_names_every_option():
  done = process("--help")
  assert done.returncode == 0
  for option in ("--out", "--quick", "--distances", "--sizes", "--slices", "--cutoff", "--devices"):
    assert option in done.stdout
  assert "--no-peers" in done.stdout


@pytest.mark.slow
def test_benchmark_distances_spreads_batches_over_simulated_devices(tmp_path):
  names = ["kl_divergence", "mmd_gaussian"]
  options = ["--quick", "--no-peers", "--sizes", "32,3", "--devices", "2"]
  done = process("--out", tmp_path, *options, "--distances", *names)
  assert done.returncode == 0, done.stderr
  rows = json.loads((tmp_path / "results.json").read_text())["rows"]
  spread = [row for row in rows if row["kind"] == "time" and row["devices"] == 2]
  assert {row["distance"] for row in spread} == set(names)
  # The status says that value and gradients agree with those of one device.
  assert {row["status"] for row in spread} == {"measured"}
  assert "## Several devices" in (tmp_path / "results.md").read_text()
