"""The gallery: the page is what its script writes, and its pictures are there and small."""

import importlib
import json
import re
from pathlib import Path

import pytest

from aejax import objectives

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def gallery(monkeypatch):
  monkeypatch.syspath_prepend(str(DOCS / "figures"))
  return importlib.import_module("gallery")


def test_page_is_what_the_script_writes(gallery):
  found = json.loads((DOCS / "images/gallery/gallery.json").read_text(encoding="utf-8"))
  assert {name: tuple(runs) for name, runs in found.items()} == gallery.METHODS
  assert (DOCS / "gallery.md").read_text(encoding="utf-8") == gallery.page(found)


def test_pictures_are_there_and_small(gallery):
  text = (DOCS / "gallery.md").read_text(encoding="utf-8")
  pictures = re.findall(r"!\[[^\]]{40,}\]\(([^)]+)\)", text)
  assert len(pictures) == sum(map(len, gallery.METHODS.values()))
  assert all((DOCS / picture).stat().st_size < 100_000 for picture in pictures)


def test_settings_are_fields_of_the_objectives(gallery):
  for dataset, methods in gallery.METHODS.items():
    for method in methods:
      objectives.BY_NAME[method](**gallery.fields(method, dataset))
