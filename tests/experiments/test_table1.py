import json
import math

import numpy as np
from PIL import Image
from table1.table import ROWS, markdown, statistics, write_table

A = [
  {"method": "ae", "frechet_classifier": 3.0, "frechet_classifier_mixture": 1.0, "steps": 9},
  {"method": "ae", "frechet_classifier": 5.0, "frechet_classifier_mixture": 1.5, "steps": 9},
]
C = [
  {"method": "cwae", "frechet_classifier": 2.0, "kernel_classifier": 0.1, "cramer_wold": 0.0012},
  {"method": "cwae", "frechet_classifier": 2.0, "kernel_classifier": 0.2, "cramer_wold": 0.0014},
]


def test_statistics_by_hand():
  found = statistics(A)
  # Standard deviation √2 over √2 seeds.
  assert found == {"frechet_classifier": (4.0, 1.0), "frechet_classifier_mixture": (1.25, 0.25)}
  mean, error = statistics(A[:1])["frechet_classifier"]
  assert mean == 3.0
  assert math.isnan(error)


def test_markdown():
  rows = [("A", {"x": (12.345, 0.123), "y": (0.00123, 0.0002)}), ("B", {"x": (7.0, math.nan)})]
  assert markdown({"x": "error", "y": "CW"}, rows, {"B": 50.35}).splitlines() == [
    "| method | error | CW | published FID |",
    "|---|---:|---:|---:|",
    "| A | 12.35 ± 0.12 | 0.00123 ± 0.00020 |  |",
    "| B | 7 |  | 50.35 |",
  ]


def test_the_table(tmp_path):
  rows = [row for row in ROWS if row.run in ("ae", "cwae")]
  about = {"command": "it", "hours_of_training": 1.234}
  paths = write_table(tmp_path / "new", "fashion_mnist", rows, {"ae": A, "cwae": C}, about)
  assert [path.name for path in paths] == ["table.md", "table.json", "frechet.png"]
  text = paths[0].read_text(encoding="utf-8")
  assert "hours of training: 1.23" in text
  lines = {line.split(" | ")[0]: line for line in text.splitlines() if line.startswith("|")}
  assert "| 4.0 ± 1.0 |" in lines["| AE"]
  # The same runs with another sampler: what the prior's samples scored is not theirs.
  assert "| 1.25 ± 0.25 |" in lines["| AE + Gaussian mixture"]
  assert "0.150" not in lines["| CWAE + Gaussian mixture"]
  assert lines["| CWAE"].endswith("| 50.35 |")
  data = json.loads(paths[1].read_text(encoding="utf-8"))
  assert data["rows"]["CWAE"]["frechet_classifier"] == {"mean": 2.0, "standard_error": 0.0}
  with Image.open(paths[2]) as image:
    assert np.asarray(image.convert("L")).std() > 5


def test_a_table_that_is_not_finished_counts_its_seeds(tmp_path):
  rows = [row for row in ROWS if row.run in ("ae", "cwae", "vae")]
  table, data, _ = write_table(tmp_path, "mnist", rows, {"ae": A[:1], "cwae": C}, {})
  lines = table.read_text(encoding="utf-8").splitlines()
  assert "- 2 seeds; mean ± standard error of the mean" in lines
  seeds = {
    line.split(" | ")[0]: line.split(" | ")[1]
    for line in lines
    if line.startswith(("| AE", "| CW"))
  }
  assert seeds == {
    "| AE": "1",
    "| AE + Gaussian mixture": "1",
    "| CWAE": "2",
    "| CWAE + Gaussian mixture": "2",
  }
  assert json.loads(data.read_text(encoding="utf-8"))["seeds"]["AE"] == 1


def test_rows_are_runs_once_each():
  """Rows that share their runs have the same method, and one of them is the prior's."""
  by_run = {}
  for row in ROWS:
    by_run.setdefault(row.run, []).append(row)
  for rows in by_run.values():
    assert len({(row.method, tuple(row.objective.items())) for row in rows}) == 1
    assert [row.sampler for row in rows].count("prior") == 1
