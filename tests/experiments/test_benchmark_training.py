"""The benchmark of training as a user runs it, at tiny sizes and without other libraries."""

import json
import os
import signal

import pytest
from benchmarks import training_benchmark

pytestmark = pytest.mark.bench

TINY = ["--quick", "--no-peers", "--side", "8", "--batch-size", "16", "--seeds", "2"]
TINY += ["--methods", "ae", "cwae"]


@pytest.fixture
def run(call, tmp_path):
  """Calls the script with an output folder."""
  return lambda *arguments: call("benchmark_training", "--out", tmp_path / "out", *arguments)


@pytest.mark.slow
def test_benchmark_training_stops_at_a_signal_and_continues(run, tmp_path, monkeypatch):
  out = tmp_path / "out"
  overhead, calls = training_benchmark._overhead, []

  def interrupted(*arguments):
    calls.append(arguments[-1])
    os.kill(os.getpid(), signal.SIGINT)
    return overhead(*arguments)

  with monkeypatch.context() as patch:
    patch.setattr(training_benchmark, "_overhead", interrupted)
    code, printed, err = run(*TINY)
  assert (code, printed, calls) == (128 + signal.SIGINT, "", ["cwae"])
  assert err.splitlines()[-1] == f"Interrupted; the same command continues from {out}."
  assert [path.name for path in out.iterdir()] == ["results.json"]
  before = json.loads((out / "results.json").read_text())["rows"]

  code, printed, _ = run(*TINY)
  assert code == 0
  paths = [out / name for name in ("results.json", "results.md", "step_time.png")]
  assert printed.splitlines() == [str(path) for path in paths]
  rows = json.loads(paths[0].read_text())["rows"]
  assert rows[: len(before)] == before
  kinds = [(row["kind"], row["network"], row["method"]) for row in rows]
  assert kinds == [
    ("step", "mlp", "ae"),
    ("step", "mlp", "ae"),  # the matrix products
    ("step", "mlp", "cwae"),
    ("overhead", "mlp", "cwae"),
    ("first step", "mlp", "ae"),
    ("first step", "mlp", "ae"),  # with a compilation cache
    ("seeds", "mlp", "cwae"),
    ("step", "convolutional", "ae"),
  ]
  assert all(row["median"] > 0 for row in rows if row["kind"] != "first step")
  assert {row["status"] for row in rows if "status" in row} == {"measured"}
  page = paths[1].read_text()
  assert "| `cwae`, mlp: a step at most 1.15× the plain autoencoder's |" in page
  assert "2 runs of `cwae`, mlp, under one vmap train" in page


def test_benchmark_training_rejects_a_method(run, tmp_path):
  code, printed, err = run("--methods", "cwa")
  assert (code, printed) == (2, "")
  assert err.startswith("error: There is no method 'cwa': did you mean cwae")
  assert err.count("\n") == 1
  assert list(tmp_path.iterdir()) == []
