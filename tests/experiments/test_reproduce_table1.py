"""The script that reproduces Table 1, on the digits with one epoch."""

import json
import math
import os
from pathlib import Path

import pytest

from aejax._files import write_json

pytestmark = pytest.mark.bench


@pytest.fixture(scope="module")
def module(script):
  return script("reproduce_table1")


def test_reproduce_table1_trains_missing_runs(module, tmp_path, capsys):
  out = tmp_path / "table"
  options = dict(dataset="digits", out=out, epochs=1, methods=("ae",))
  module.main(module.Table(**options, seeds=1))
  after_one = json.loads((out / "table.json").read_text())
  assert after_one["seeds"] == {"AE": 1, "AE + Gaussian mixture": 1}
  command = "python experiments/reproduce_table1.py --dataset digits --seeds 1 --methods ae"
  assert after_one["command"] == command
  first = out / "runs" / "ae" / "seed-0" / "metrics.jsonl"
  before = first.stat().st_mtime_ns
  capsys.readouterr()
  module.main(module.Table(**options, seeds=2))
  output = capsys.readouterr()
  assert output.out.split() == [
    str(out / name) for name in ("table.md", "table.json", "frechet.png")
  ]
  assert "AE, seed 1" in output.err
  assert "AE, seed 0" not in output.err
  assert first.stat().st_mtime_ns == before
  rows = json.loads((out / "table.json").read_text())["rows"]
  assert set(rows) == {"AE", "AE + Gaussian mixture"}
  assert rows["AE"]["frechet_classifier"]["standard_error"] > 0
  both = [
    json.loads((out / "runs" / "ae" / f"seed-{s}" / "summary.json").read_text()) for s in (0, 1)
  ]
  mean = sum(s["reconstruction_error"] for s in both) / 2
  assert rows["AE"]["reconstruction_error"]["mean"] == pytest.approx(mean)


def test_reproduce_table1_scores_again_with_inception(module, tmp_path, monkeypatch, capsys):
  from aejax.metrics.inception import _Inception

  stub = _Inception("inception", lambda images: images.mean(1).reshape(len(images), -1))
  monkeypatch.setattr(module, "inception", lambda path: stub)
  out = tmp_path / "table"
  options = dict(dataset="digits", out=out, epochs=1, methods=("ae",), seeds=1)
  module.main(module.Table(**options))
  log = out / "runs" / "ae" / "seed-0" / "metrics.jsonl"
  before = log.read_text()  # holds times, so a second training would change it
  assert "FID" not in (out / "table.md").read_text().split("Rows called")[0]
  for again in (True, False):
    capsys.readouterr()
    module.main(module.Table(**options, inception=tmp_path / "any"))
    assert ("AE, seed 0" in capsys.readouterr().err) == again
  assert log.read_text() == before
  table = (out / "table.md").read_text()
  assert "| recall | FID | KID |" in table
  assert "as FID and KID do here" in table
  rows = json.loads((out / "table.json").read_text())["rows"]
  assert rows["AE"]["fid"]["mean"] > 0
  assert rows["AE"]["fid"] != rows["AE + Gaussian mixture"]["fid"]


def test_reproduce_table1_trains_seeds_together_on_an_accelerator(
  module, tmp_path, monkeypatch, capsys
):
  def score(run, *, extractor, timing):
    """Writes made-up metrics: scoring takes most of the time, and is tested elsewhere."""
    for number, seed_run in enumerate(run.seeds):
      metrics = {"reconstruction_error": 1.0 + number, "normal_latents": {}}
      write_json(seed_run.workdir / "summary.json", {"images_per_second": 1e4, **metrics})

  monkeypatch.setattr(module, "score", score)
  out = tmp_path / "table"
  folder = out / "runs" / "ae"
  options = dict(dataset="digits", out=out, epochs=1, methods=("ae",))
  with monkeypatch.context() as patched:
    patched.setattr(module.jax, "default_backend", lambda: "gpu")
    module.main(module.Table(**options, seeds=2))
  assert "1/1  AE, seed 0, 1\n" in capsys.readouterr().err
  assert json.loads((folder / "config.json").read_text())["seeds"] == 2
  assert json.loads((out / "table.json").read_text())["seeds"]["AE"] == 2

  # Runs that began together continue together, on a CPU too. Another seed is a run of its own.
  logs = [folder / f"seed-{seed}" / "metrics.jsonl" for seed in (0, 1)]
  before = [log.read_text() for log in logs]
  (folder / "seed-1" / "summary.json").unlink()
  module.main(module.Table(**options, seeds=3))
  errors = capsys.readouterr().err
  assert "1/2  AE, seed 0, 1\n" in errors
  assert "2/2  AE, seed 2\n" in errors
  assert [log.read_text() for log in logs] == before
  assert json.loads((out / "table.json").read_text())["seeds"]["AE"] == 3
  assert json.loads((folder / "seed-2" / "config.json").read_text())["seeds"] == 1


def test_reproduce_table1_trains_runs_in_a_process_pool(module, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(module.process_pool, "cores", lambda: sorted(os.sched_getaffinity(0)) * 2)
  # As on systems that do not report it.
  monkeypatch.setattr(module, "available_bytes", lambda: math.inf)
  out = tmp_path / "table"
  options = module.Table(dataset="digits", out=out, epochs=1, methods=("ae", "cwae-paper"), seeds=1)
  module.main(options)
  lines = capsys.readouterr().err.splitlines()
  assert lines[0].startswith("2 runs, ")
  assert sorted(line.split("  ")[1] for line in lines[1:]) == ["AE, seed 0", "CWAE, paper, seed 0"]
  runs = out / "runs"
  assert "1/1  loss" in (runs / "ae" / "seed-0.txt").read_text()
  found = json.loads((runs / "cwae-paper" / "seed-0" / "config.json").read_text())
  assert (found["epochs"], found["objective"]["approximate"]) == (1, True)
  assert json.loads((out / "table.json").read_text())["seeds"]["CWAE, paper"] == 1


def test_command_of_a_run_in_the_pool(module, tmp_path):
  rows = {row.run: row for row in module.ROWS}
  options = module.Table(dataset="mnist", data_dir=tmp_path / "files", epochs=7)
  begun = tmp_path / "sigreg" / "seed-2"
  begun.mkdir(parents=True)
  (begun / "config.json").touch()
  command = module._command(rows["sigreg"], 2, begun, options)
  assert Path(command[1]).name == "train.py"
  assert " ".join(command[2:]) == (
    f"sigreg --dataset mnist --data-dir {tmp_path}/files --workdir {begun} --seed 2 --epochs 7 "
    "--weight 100.0 --resume"
  )
  for run, words in {"swae-paper": "--sample-prior", "cwae-paper": "--approximate"}.items():
    command = module._command(rows[run], 0, tmp_path / "new", module.Table(dataset="mnist"))
    expected = f"{rows[run].method} --dataset mnist --workdir {tmp_path}/new --seed 0 {words}"
    assert " ".join(command[2:]) == expected


@pytest.mark.parametrize(
  ("options", "message"),
  [
    (dict(seeds=0), "seeds must be a whole number from 1 up, but is 0"),
    (dict(methods=("gan",)), "There is no method of the table 'gan'.* There are ae, vae, swae"),
    (dict(inception=Path(__file__)), "whose SHA-256 begins with 6726825d"),
  ],
)
def test_reproduce_table1_rejects_options(module, tmp_path, options, message):
  with pytest.raises(ValueError, match=message):
    module.main(module.Table(dataset="digits", out=tmp_path / "x", **options))
  assert not (tmp_path / "x").exists()
