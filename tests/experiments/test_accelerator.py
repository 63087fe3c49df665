"""The report on an accelerator, with the CPU as the device and tiny sizes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from accelerator_checks import distances, report, stages, steps, tiles
from accelerator_checks.stages import STAGES, run_stage, serve

from aejax.distances import _tiling

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture
def in_process(script, monkeypatch):
  """The script's module, with stages in this process."""
  module = script("accelerator")
  monkeypatch.setattr(
    module, "run_stage", lambda name, quick, seconds: list(serve(name, quick=quick, seconds=60))
  )
  return module


@pytest.mark.slow
def test_main_writes_a_page_for_the_device(in_process, tmp_path, capsys):
  sizes = _tiling._CPU
  assert in_process.main(["--quick", "--out", str(tmp_path)]) == 0
  assert sizes == _tiling._CPU
  written = [tmp_path / "cpu" / name for name in ("results.json", "results.md")]
  assert capsys.readouterr().out.split() == [str(path) for path in written]
  results = json.loads(written[0].read_text())
  assert list(results) == ["command", *STAGES]
  assert results["environment"][0]["platform"] == "cpu"
  assert {(row["single"], row["default"]) for row in results["tiles"]} == {
    (True, True),  # up to 1536 latents on a CPU
    (False, False),
  }
  assert all(row["ok"] for stage in ("distances", "steps") for row in results[stage])
  assert all(row["temporaries"] > 0 for row in results["memory"])
  page = written[1].read_text()
  assert "All checks passed." in page
  assert all(f"## {stage.title}" in page for stage in list(STAGES.values())[1:])


def test_main_runs_the_stages_asked_for_and_fails_if_one_is_wrong(
  in_process, tmp_path, monkeypatch, capsys
):
  monkeypatch.setattr(distances, "TOLERANCE", -1.0)
  monkeypatch.setattr(distances, "_QUICK", ("cramer_wold",))
  options = ["--quick", "--out", str(tmp_path), "--stages", "distances"]
  assert in_process.main(options) == 1
  assert "distances: cramer_wold 33 exceeds the tolerance" in capsys.readouterr().err
  assert "**Wrong or missing:**" in (tmp_path / "cpu/results.md").read_text()
  for wrong in (["--stages", "nothing"], ["--minutes", "0"], ["--minutes", "nan"]):
    with pytest.raises(ValueError, match=r"nothing|minutes must be"):
      in_process.main([*options[:3], *wrong])


def test_minutes_are_shared_among_the_stages(script, tmp_path, monkeypatch):
  module, given = script("accelerator"), {}

  def record(name, *, quick, seconds):
    given[name] = seconds
    return [{"device": "TPU v5e", **environment}] if name == "environment" else []

  environment = next(iter(serve("environment", quick=True, seconds=60)))
  environment.pop("device")
  monkeypatch.setattr(module, "run_stage", record)
  module.main(["--minutes", "2", "--out", str(tmp_path), "--stages", "steps", "memory"])
  assert list(given) == ["environment", "steps", "memory"]
  assert given["memory"] == pytest.approx(120, abs=1)  # nothing was spent before
  assert 0 < given["environment"] < given["steps"] < 120
  assert (tmp_path / "tpu-v5e/results.md").exists()
  # The time passes in the stage `environment`.
  times = iter([0.0, 0.0, 130.0, 130.0])
  monkeypatch.setattr(module.time, "monotonic", lambda: next(times))
  assert module.main(["--minutes", "2", "--out", str(tmp_path), "--stages", "steps", "memory"]) == 1
  results = json.loads((tmp_path / "tpu-v5e/results.json").read_text())
  assert results["steps"] == results["memory"] == [{"incomplete": "no time was left"}]


@pytest.mark.parametrize("module", [distances, steps])
def test_a_wrong_result_of_the_device_is_found(module, monkeypatch):
  cpu = jax.devices("cpu")[0]
  devices = [cpu, "device"]

  def on(device, tree):
    if device == "device":
      tree = jax.tree.map(lambda leaf: leaf + leaf // 2 if leaf.dtype == "uint8" else leaf, tree)
      tree = {**tree, "latents": 1.01 * tree["latents"]} if isinstance(tree, dict) else tree
    return jax.device_put(tree, cpu)

  monkeypatch.setattr(module, "cpu_and_device", lambda: devices)
  monkeypatch.setattr(module, "on", on)
  row = next(iter(module.rows(quick=True)))
  assert row["ok"] is False
  assert row["gradient_error"] > module.TOLERANCE


def test_an_error_of_the_device_is_a_row_and_a_missing_package_is_left_out(monkeypatch):
  def fail(error):
    def errors(*arguments):
      raise error

    return errors

  monkeypatch.setattr(distances, "_errors", fail(RuntimeError("out of\nmemory")))
  rows = list(distances.rows(quick=True))
  assert rows[0]["error"] == "out of memory"
  assert report.failures({"distances": rows})[0] == "distances: cramer_wold 33 out of memory"
  monkeypatch.setattr(steps, "_errors", fail(ImportError("install ott-jax")))
  rows = list(steps.rows(quick=True))
  assert rows[0]["left_out"] == "install ott-jax"
  assert report.failures({"steps": rows}) == []


def test_serve_stops_when_the_time_is_over(monkeypatch):
  monkeypatch.setattr(tiles, "rows", lambda quick: iter([{"n": 1}, {"n": 2}]))
  assert list(serve("tiles", quick=True, seconds=60)) == [{"n": 1}, {"n": 2}]
  rows = list(serve("tiles", quick=True, seconds=-1))
  assert rows == [{"n": 1}, {"incomplete": "stopped after -1 s"}]


def test_run_stage_keeps_the_rows_of_a_process_that_fails_or_hangs(tmp_path, monkeypatch):
  child = tmp_path / "child"
  child.write_text('#!/bin/sh\necho \'{"n": 1}\'\n[ "$0" ] && exit 3\n')
  child.chmod(0o755)
  monkeypatch.setattr(stages.sys, "executable", str(child))
  assert run_stage("tiles", quick=True, seconds=5) == [
    {"n": 1},
    {"incomplete": "its process failed: killed"},
  ]
  child.write_text("#!/bin/sh\necho '{\"n\": 1}'\nexec sleep 60\n")
  monkeypatch.setattr(stages, "_GRACE", 0.0)
  assert run_stage("tiles", quick=True, seconds=0.5) == [
    {"n": 1},
    {"incomplete": "its process took longer than 0 s"},
  ]


@pytest.mark.slow
def test_the_script_runs_from_a_clone(tmp_path):
  variables = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "JAX_PLATFORMS")}
  done = subprocess.run(
    [sys.executable, EXPERIMENTS / "accelerator.py", "--quick", "--out", tmp_path],
    env={**variables, "JAX_PLATFORMS": "cpu"},
    cwd=tmp_path,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stderr
  assert "All checks passed." in (tmp_path / "cpu/results.md").read_text()
