"""Each benchmark and Table 1 in seconds; `make test-bench` runs their full tests."""

import json

import pytest
from benchmarks.cells import Effort, measure_cell
from benchmarks.distances import Cell
from benchmarks.implementations import implementations
from benchmarks.training_programs import Training, Workload
from table1.runs import write_scored
from table1.table import ROWS

from aejax import objectives
from aejax._command_line import parse

_OPTIONS = {"reproduce_table1": "Table", "train_classifier": "Options"}
_SCRIPTS = (
  "benchmark_distances",
  "benchmark_imports",
  "benchmark_training",
  "reproduce_table1",
  "train_classifier",
)


@pytest.mark.parametrize("name", _SCRIPTS)
def test_script_help_names_the_options(name, script, capsys):
  with pytest.raises(SystemExit) as exit:
    parse(getattr(script(name), _OPTIONS.get(name, "Options")), ["--help"])
  assert exit.value.code == 0
  assert ("--repetitions" if name == "benchmark_imports" else "--out") in capsys.readouterr().out


def test_benchmark_of_distances_measures_a_cell():
  cell = Cell("kl_divergence", 16, 4)
  rows = measure_cell(cell, implementations(cell, []), effort=Effort(seconds=0.0))
  assert {row["mode"] for row in rows} == {"forward", "gradient"}
  assert all(row["status"] == "measured" and row["median"] > 0 for row in rows)


def test_benchmark_of_training_takes_a_step():
  workload = Workload("mlp", side=8, latent_dim=3, batch_size=16, num_images=64)
  assert float(Training(workload, objectives.AE())(1).totals["loss"]) > 0


def test_table_lists_a_scored_run(digits_run, tmp_path):
  folder = tmp_path / "runs" / "cwae"
  folder.mkdir(parents=True)
  (folder / "seed-0").symlink_to(digits_run)
  write_scored(tmp_path, "digits", [row for row in ROWS if row.run == "cwae"], 1)
  summary = json.loads((digits_run / "summary.json").read_text())
  rows = json.loads((tmp_path / "table.json").read_text())["rows"]
  assert rows["CWAE"]["reconstruction_error"]["mean"] == summary["reconstruction_error"]
