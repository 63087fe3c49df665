"""What the pages name exists: links, headings, files and functions; and the project's own files."""

import importlib
import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGES = [
  *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
  *sorted(ROOT.glob("docs/**/*.md")),
]


def _name(page):
  return page.relative_to(ROOT).as_posix()


def _text(path):
  return path.read_text(encoding="utf-8")


def _without_blocks(page):
  return re.sub(r"^```.*?^```", "", _text(page), flags=re.DOTALL | re.MULTILINE)


def _anchors(page):
  """The headings of a page as GitHub and MyST link to them."""
  headings = re.findall(r"^#+ (.*)$", _without_blocks(page), re.MULTILINE)
  return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page):
  for target in re.findall(r"\]\(([^)\s]+)\)", _without_blocks(page)):
    if target.startswith("http"):
      continue
    path, _, anchor = target.partition("#")
    linked = (page.parent / path).resolve() if path else page
    assert linked.exists(), target
    if anchor:
      assert anchor in _anchors(linked), target


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_files_and_names_exist(page):
  text = _without_blocks(page)
  for path in re.findall(r"`((?:aejax|experiments|tests|docs)/[\w./-]*)`", text):
    assert (ROOT / path).exists() or path == "docs/_build/index.html", path
  for name in re.findall(r"`(aejax(?:\.\w+)+)", text):
    _resolve(name)


def _resolve(name):
  module, *attributes = name.split(".")
  thing = importlib.import_module(module)
  for attribute in attributes:
    module = f"{module}.{attribute}"
    thing = getattr(thing, attribute, None) or importlib.import_module(module)


@pytest.mark.parametrize(
  "path",
  [
    *sorted(ROOT.glob(".github/**/*.yml")),
    ROOT / ".pre-commit-config.yaml",
    ROOT / ".readthedocs.yaml",
  ],
  ids=lambda path: path.name,
)
def test_yaml_files_are_valid(path):
  assert isinstance(yaml.safe_load(_text(path)), dict)


def test_workflow_runs_targets_that_exist():
  workflow = yaml.safe_load(_text(ROOT / ".github/workflows/ci.yml"))
  steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
  commands = [step["run"] for step in steps if "run" in step]
  targets = {command.split()[1] for command in commands}
  assert targets == {"check", "test", "test-compiled", "test-lowest", "test-latest"}
  makefile = _text(ROOT / "Makefile")
  assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_citation_names_the_last_release():
  citation = yaml.safe_load(_text(ROOT / "CITATION.cff"))
  assert citation.keys() >= {"cff-version", "message", "title", "authors"}
  assert citation["authors"] == [{"name": "The aejax authors"}]
  releases = re.findall(r"^## (\d+\.\d+\.\d+) - ([\d-]+)$", _text(ROOT / "CHANGELOG.md"), re.M)
  assert (citation["version"], citation["date-released"]) == releases[0]
  assert citation["repository-code"] in _text(ROOT / "setup.cfg")
