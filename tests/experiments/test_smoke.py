"""Each benchmark script and Table 1, once and small, to find breaks in the ordinary suite."""

import json

from benchmarks import training_benchmark

from aejax._files import write_json


def test_benchmark_distances_runs(call, tmp_path):
  options = ["--quick", "--no-peers", "--distances", "kl_divergence", "--sizes", "16,4"]
  code, out, _ = call("benchmark_distances", "--out", tmp_path, *options)
  assert code == 0
  assert out.splitlines() == [str(tmp_path / "results.json"), str(tmp_path / "results.md")]
  rows = json.loads((tmp_path / "results.json").read_text())["rows"]
  assert {(row["distance"], row["mode"], row["status"]) for row in rows} == {
    ("kl_divergence", mode, "measured") for mode in ("forward", "gradient")
  }


def test_benchmark_training_runs(call, tmp_path, monkeypatch):
  seconds = dict.fromkeys(("make_seconds", "step_seconds", "seconds", "process_seconds"), 1.0)
  # In a child process, which test_memory and test_training_benchmark test.
  first_steps = [{"cached": cached, **seconds} for cached in (False, True)]
  monkeypatch.setattr(training_benchmark, "measure_first_step", lambda *_: first_steps)
  options = ["--quick", "--no-peers", "--side", "8", "--batch-size", "16", "--seeds", "1"]
  options += ["--methods", "ae", "--networks", "mlp"]
  code, out, _ = call("benchmark_training", "--out", tmp_path, *options)
  assert code == 0
  names = ("results.json", "results.md", "step_time.png")
  assert out.splitlines() == [str(tmp_path / name) for name in names]
  rows = json.loads((tmp_path / "results.json").read_text())["rows"]
  assert [row["kind"] for row in rows] == ["step", "step", "first step", "first step"]
  assert {row["status"] for row in rows} == {"measured"}


def test_benchmark_imports_runs(call):
  code, out, err = call("benchmark_imports", "--repetitions", "1")
  assert (code, err) == (0, "")
  assert [line.split("|")[1].strip() for line in out.splitlines()[2:]] == [
    "`import jax`",
    "`import aejax.distances`",
  ]


def test_reproduce_table1_runs(script, tmp_path, monkeypatch, capsys):
  module = script("reproduce_table1")

  def score(run, *, extractor, timing):
    """Writes made-up metrics: scoring takes most of the time, and is tested elsewhere."""
    metrics = {"reconstruction_error": 1.5, "normal_latents": {}}
    write_json(run.workdir / "summary.json", {**timing, **metrics})

  monkeypatch.setattr(module, "score", score)
  module.main(module.Table(dataset="digits", out=tmp_path, epochs=1, methods=("ae",), seeds=1))
  names = ("table.md", "table.json")
  assert capsys.readouterr().out.splitlines() == [str(tmp_path / name) for name in names]
  rows = json.loads((tmp_path / "table.json").read_text())["rows"]
  assert rows["AE"]["reconstruction_error"] == {"mean": 1.5, "standard_error": None}
