"""The page of the distances: nothing public left out, examples that run, numbers that hold."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest
from benchmarks.catalogue import FORMS as ALL_FORMS

from aejax import distances

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "distances.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", distances.__all__)
def test_every_public_name_is_documented(name):
  assert re.search(rf"`{name}\b", PAGE)


def test_examples_run():
  blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
  assert len(blocks) >= 3
  scope: dict = {"__name__": "docs"}
  for block in blocks:
    exec(compile(block, "docs/distances.md", "exec"), scope)


def test_figures_are_there_small_and_from_a_script():
  figures = [DOCS / path for path in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", PAGE)]
  assert len(figures) >= 3
  for figure in figures:
    assert figure.stat().st_size < 150_000
    assert figure.with_suffix(".py").exists()


@pytest.fixture
def script(monkeypatch):
  monkeypatch.syspath_prepend(str(DOCS / "figures"))
  return importlib.import_module


@pytest.mark.parametrize("name", sorted(p.stem for p in (DOCS / "figures").glob("*.py")))
def test_scripts_import(script, name):
  assert name == "page" or callable(script(name).main)


@pytest.mark.parametrize("dim", [2, 8, 64])
def test_the_page_says_what_the_script_computes(script, dim):
  best_scale = script("best_scale")
  table = PAGE[PAGE.index("| best σ |") :].split("\n\n")[0].splitlines()
  column = 2 + best_scale.DIMENSIONS.index(dim)
  for name, (expectation, _) in best_scale.cases().items():
    row = next(line for line in table if line.startswith(f"| `{name}` |"))
    assert row.split("|")[column].strip() == f"{best_scale.best_scale(expectation, dim):.4f}"


def test_every_distance_has_a_page_with_its_plot(script):
  cases = {*script("value_and_gradient").cases(), "kl_divergence"}
  pages = {path.stem: path.read_text(encoding="utf-8") for path in (DOCS / "distances").iterdir()}
  # The forms of `mmd` are listed by kernel, as mmd_imq and mmd_gaussian.
  listed = {"mmd" if form.distance.startswith("mmd_") else form.distance for form in ALL_FORMS}
  assert pages.keys() == cases == listed
  for name, page in pages.items():
    plot = DOCS / "figures/value_and_gradient" / f"{name}.svg"
    assert f"](../figures/value_and_gradient/{name}.svg)" in page
    assert f"[`{name}`](distances/{name}.md)" in PAGE
    assert plot.stat().st_size < 40_000


def test_plots_show_what_the_distances_compute(script):
  module = script("value_and_gradient")
  z = module.SHIFTS[20] * np.eye(1, module.DIM, dtype=np.float32)
  (values, slopes), _ = module.kl_curves()
  assert values[0, 20] == pytest.approx((z**2).sum() / 2)
  assert slopes[0, 20] == pytest.approx(module.SHIFTS[20])
