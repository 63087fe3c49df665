"""The drawing and the table of the packages, derived again from the source."""

import importlib
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def architecture(monkeypatch):
  monkeypatch.syspath_prepend(str(DOCS / "figures"))
  return importlib.import_module("architecture")


def test_drawing_is_up_to_date(architecture):
  drawn = architecture.draw(architecture.read_imports())
  assert architecture.OUT.read_text(encoding="utf-8") == drawn, "run docs/figures/architecture.py"


def test_table_is_up_to_date(architecture):
  page = (DOCS / "architecture.md").read_text(encoding="utf-8")
  table = "\n".join(architecture.table(architecture.read_imports()))
  assert table in page, "run docs/figures/architecture.py"


def test_table_of_files_is_up_to_date(architecture):
  page = (DOCS / "architecture.md").read_text(encoding="utf-8")
  assert "\n".join(architecture.file_table()) in page, "run docs/figures/architecture.py"


def test_every_package_has_a_purpose(architecture):
  assert set(architecture.read_imports()) == set(architecture.PACKAGES)


def test_circle_is_an_error(architecture):
  imports = {"a": frozenset({"b"}), "b": frozenset({"a"})}
  with pytest.raises(ValueError, match="a → b → a"):
    architecture.floors(imports)


def test_distances_and_ground_import_no_higher_floor(architecture):
  imports = architecture.read_imports()
  assert imports["ground"] == frozenset()
  assert imports["distances"] == {"ground", "priors"}
