"""The tables of compiled programs: the pages have the numbers of results/compiled."""

import importlib
from pathlib import Path

import pytest
from compiled import report

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results/compiled"


@pytest.fixture
def tables(monkeypatch):
  monkeypatch.syspath_prepend(str(ROOT / "docs/figures"))
  return importlib.import_module("compiled_tables")


def test_the_pages_have_the_tables_of_the_results(tables):
  for path, text in tables.pages().items():
    assert path.read_text(encoding="utf-8") == text, "run python docs/figures/compiled_tables.py"
    assert "<!-- compiled -->" in text


def test_the_page_of_the_results_is_that_of_its_files():
  found = report.read(RESULTS)
  assert {f"{path.stem}.json" for path in RESULTS.glob("*.json")} == {
    report.file_name(target) for target in found
  }
  assert (RESULTS / "compiled.md").read_text(encoding="utf-8") == report.page(found)
  assert not any(row.error for content in found.values() for row in content["rows"])
