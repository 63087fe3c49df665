import json
import math

import numpy as np
import pytest
from PIL import Image
from table1.table import ROWS, markdown, statistics, write_table

from aejax.training import Options
from aejax.training.defaults import complete

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


# What each row runs besides the published settings of its method.
ROW_FIELDS = {
  "AE": {},
  "VAE": {},
  "SWAE": {},
  "SWAE, paper": {"sample_prior": True},
  "WAE-MMD": {},
  "WAE-MMD, paper": {"sample_prior": True},
  "CWAE": {},
  "CWAE, paper": {"approximate": True},
  "SIGReg-AE": {"weight": 100.0},
  "Energy-AE": {"weight": 100.0},
  "AE + Gaussian mixture": {},
  "CWAE + Gaussian mixture": {},
}

# Learning rate and λ of gmum/cwae-pytorch, reproduce_table1.sh.
PUBLISHED = {
  "mnist": {"SWAE": (1e-3, 1), "WAE-MMD": (5e-4, 1), "CWAE": (1e-3, 1)},
  "fashion_mnist": {"SWAE": (1e-3, 100), "WAE-MMD": (1e-3, 100), "CWAE": (1e-3, 10)},
  "cifar10": {"SWAE": (1e-3, 1), "WAE-MMD": (1e-3, 1), "CWAE": (1e-3, 1)},
  "celeb_a": {"SWAE": (5e-4, 100), "WAE-MMD": (5e-4, 100), "CWAE": (5e-4, 5)},
}
SHAPES = {
  "mnist": (28, 28, 1),
  "fashion_mnist": (28, 28, 1),
  "cifar10": (32, 32, 3),
  "celeb_a": (64, 64, 3),
}
PUBLISHED_NETWORKS = {  # network, D, epochs
  "mnist": ("mlp", 8, 500),
  "fashion_mnist": ("mlp", 8, 500),
  "cifar10": ("cifar10", 64, 500),
  "celeb_a": ("celeb_a", 64, 55),
}


def _configuration(row, dataset):
  return complete(
    row.method,
    dict(row.objective),
    Options(dataset=dataset),
    dataset=dataset,
    image_shape=SHAPES[dataset],
    num_images=60_000,
  )


def test_rows_set_these_fields():
  assert {row.label: dict(row.objective) for row in ROWS} == ROW_FIELDS


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_rows_train_with_the_published_settings(dataset):
  for row in ROWS:
    found = _configuration(row, dataset)
    label = row.label.removesuffix(", paper").removesuffix(" + Gaussian mixture")
    rate, weight = PUBLISHED[dataset].get(label, (1e-3, None))
    assert found.learning_rate == rate, row.label
    assert (found.network, found.latent_dim, found.epochs) == PUBLISHED_NETWORKS[dataset]
    assert (found.batch_size, found.schedule) == (128, "constant")
    if weight is not None:
      assert found.objective["weight"] == weight, row.label


@pytest.mark.parametrize("dataset", PUBLISHED)
def test_paper_rows_sample_or_approximate_like_the_published_code(dataset):
  found = {row.label: _configuration(row, dataset).objective for row in ROWS}
  for method, count in (("SWAE", "num_directions"), ("WAE-MMD", None)):
    assert found[f"{method}, paper"]["sample_prior"] is True
    assert found[method]["sample_prior"] is False
    if count:
      assert found[f"{method}, paper"][count] == 50
  for label, approximate in (("CWAE, paper", True), ("CWAE", False)):
    assert found[label]["approximate"] is approximate
    assert found[label]["log"] is True
