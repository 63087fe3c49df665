"""The rows of Table 1 against the published settings, and the files of the table."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from table1.table import PUBLISHED_FID, ROWS, markdown, statistics, write_table

from aejax.training import Options, complete

pytestmark = pytest.mark.bench

RESULTS = Path(__file__).parents[2] / "results"

# The published learning rates and λ: gmum/cwae-pytorch, reproduce_table1.sh.
PUBLISHED = {
  "mnist": {"ae": (1e-3, None), "swae": (1e-3, 1), "wae-mmd": (5e-4, 1), "cwae": (1e-3, 1)},
  "fashion_mnist": {
    "ae": (1e-3, None),
    "swae": (1e-3, 100),
    "wae-mmd": (1e-3, 100),
    "cwae": (1e-3, 10),
  },
  "cifar10": {"ae": (1e-3, None), "swae": (1e-3, 1), "wae-mmd": (1e-3, 1), "cwae": (1e-3, 1)},
  "celeb_a": {"ae": (1e-3, None), "swae": (5e-4, 100), "wae-mmd": (5e-4, 100), "cwae": (5e-4, 5)},
}
# Network, image shape, latent dimension and epochs of the same script.
ARCHITECTURES = {
  "mnist": ("mlp", (28, 28, 1), 8, 500),
  "fashion_mnist": ("mlp", (28, 28, 1), 8, 500),
  "cifar10": ("cifar10", (32, 32, 3), 64, 500),
  "celeb_a": ("celeb_a", (64, 64, 3), 64, 55),
}
# Method, all fields of the objective but λ where it is published, and sampler of each row.
EXPECTED_ROWS = {
  "AE": ("ae", {}, "prior"),
  "VAE": ("vae", {"beta": 1.0}, "prior"),
  "SWAE": ("swae", {"sample_prior": False, "num_directions": 50}, "prior"),
  "SWAE, paper": ("swae", {"sample_prior": True, "num_directions": 50}, "prior"),
  "WAE-MMD": ("wae-mmd", {"sample_prior": False}, "prior"),
  "WAE-MMD, paper": ("wae-mmd", {"sample_prior": True}, "prior"),
  "CWAE": ("cwae", {"log": True, "approximate": False, "sample_prior": False}, "prior"),
  "CWAE, paper": ("cwae", {"log": True, "approximate": True, "sample_prior": False}, "prior"),
  "SIGReg-AE": ("sigreg", {"weight": 100.0}, "prior"),
  "Energy-AE": ("energy", {"weight": 100.0, "sample_prior": False}, "prior"),
  "AE + Gaussian mixture": ("ae", {}, "mixture"),
  "CWAE + Gaussian mixture": (
    "cwae",
    {"log": True, "approximate": False, "sample_prior": False},
    "mixture",
  ),
}

A = [
  {"method": "ae", "frechet_classifier": 3.0, "frechet_classifier_mixture": 1.0, "steps": 9},
  {"method": "ae", "frechet_classifier": 5.0, "frechet_classifier_mixture": 1.5, "steps": 9},
]
C = [
  {"method": "cwae", "frechet_classifier": 2.0, "kernel_classifier": 0.1, "cramer_wold": 0.0012},
  {"method": "cwae", "frechet_classifier": 2.0, "kernel_classifier": 0.2, "cramer_wold": 0.0014},
]


def test_statistics_are_means_and_standard_errors():
  found = statistics(A)
  # The standard deviation √2, over the root of two seeds.
  assert found == {"frechet_classifier": (4.0, 1.0), "frechet_classifier_mixture": (1.25, 0.25)}
  mean, error = statistics(A[:1])["frechet_classifier"]
  assert mean == 3.0
  assert math.isnan(error)


def test_markdown_rounds_to_the_error():
  rows = [("A", {"x": (12.345, 0.123), "y": (0.00123, 0.0002)}), ("B", {"x": (7.0, math.nan)})]
  assert markdown({"x": "error", "y": "CW"}, rows, {"B": 50.35}).splitlines() == [
    "| method | error | CW | published FID |",
    "|---|---:|---:|---:|",
    "| A | 12.35 ± 0.12 | 0.00123 ± 0.00020 |  |",
    "| B | 7 |  | 50.35 |",
  ]


def test_write_table(tmp_path):
  rows = [row for row in ROWS if row.run in ("ae", "cwae")]
  about = {"command": "it", "hours_of_training": 1.234}
  paths = write_table(tmp_path / "new", "fashion_mnist", rows, {"ae": A, "cwae": C}, about)
  assert [path.name for path in paths] == ["table.md", "table.json", "frechet.png"]
  text = paths[0].read_text(encoding="utf-8")
  assert "hours of training: 1.23" in text
  lines = {line.split(" | ")[0]: line for line in text.splitlines() if line.startswith("|")}
  assert "| 4.0 ± 1.0 |" in lines["| AE"]
  # The row uses the same runs with another sampler, so metrics of the prior's samples are left out.
  assert "| 1.25 ± 0.25 |" in lines["| AE + Gaussian mixture"]
  assert "0.150" not in lines["| CWAE + Gaussian mixture"]
  assert lines["| CWAE"].endswith("| 50.35 |")
  data = json.loads(paths[1].read_text(encoding="utf-8"))
  assert data["rows"]["CWAE"]["frechet_classifier"] == {"mean": 2.0, "standard_error": 0.0}
  with Image.open(paths[2]) as image:
    assert np.asarray(image.convert("L")).std() > 5


def test_write_table_counts_the_seeds_of_unfinished_rows(tmp_path):
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


def test_rows_that_share_runs_have_one_method():
  """Exactly one of these rows samples the prior; it trains the runs."""
  by_run = {}
  for row in ROWS:
    by_run.setdefault(row.run, []).append(row)
  for rows in by_run.values():
    assert len({(row.method, tuple(row.objective.items())) for row in rows}) == 1
    assert [row.sampler for row in rows].count("prior") == 1


def test_table_has_these_rows():
  assert [row.label for row in ROWS] == list(EXPECTED_ROWS)
  assert [row.run for row in ROWS] == [
    *("ae", "vae", "swae", "swae-paper", "wae-mmd", "wae-mmd-paper", "cwae", "cwae-paper"),
    *("sigreg", "energy", "ae", "cwae"),
  ]


@pytest.mark.parametrize("dataset", PUBLISHED)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label)
def test_row_has_the_published_settings(row, dataset):
  method, expected, sampler = EXPECTED_ROWS[row.label]
  assert (row.method, row.sampler) == (method, sampler)
  learning_rate, weight = PUBLISHED[dataset].get(method, (1e-3, None))
  if weight is not None:
    expected = {**expected, "weight": weight}
  network, image_shape, latent_dim, epochs = ARCHITECTURES[dataset]
  found = complete(
    row.method,
    dict(row.objective),
    Options(dataset=dataset),
    dataset=dataset,
    image_shape=image_shape,
    num_images=50_000,
  )
  objective = dict(found.objective)
  assert objective.pop("reconstruction") == "squared_error"
  assert objective == expected
  assert found.learning_rate == learning_rate
  assert (found.network, found.latent_dim, found.epochs) == (network, latent_dim, epochs)
  assert (found.batch_size, found.schedule) == (128, "constant")


def test_published_fid():
  assert PUBLISHED_FID == {
    "mnist": {"SWAE": 30.94, "WAE-MMD": 28.71, "CWAE": 24.22},
    "fashion_mnist": {"SWAE": 55.99, "WAE-MMD": 51.74, "CWAE": 50.35},
    "cifar10": {"SWAE": 131.6, "WAE-MMD": 136.6, "CWAE": 118.1},
    "celeb_a": {"SWAE": 62.42, "WAE-MMD": 51.29, "CWAE": 48.02},
  }


@pytest.mark.parametrize("dataset", ["digits", "mnist", "fashion_mnist"])
def test_committed_tables_have_the_rows_and_text_of_the_code(dataset, tmp_path):
  folder = RESULTS / f"table1-{dataset}"
  stored = json.loads((folder / "table.json").read_text(encoding="utf-8"))
  assert set(stored["rows"]) <= set(EXPECTED_ROWS)
  page = (folder / "table.md").read_text(encoding="utf-8")
  write_table(tmp_path, dataset, ROWS, {"ae": A[:1]}, {})
  text = (tmp_path / "table.md").read_text(encoding="utf-8")
  assert page[page.index("Rows called") :] == text[text.index("Rows called") :]
