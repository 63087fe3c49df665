"""The code blocks and the commands of the pages, as a newcomer would paste them."""

import re
import runpy
import shlex
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
import tyro

import aejax
from aejax import cli

ROOT = Path(__file__).parents[2]
PAGES = [
  "README.md",
  "CONTRIBUTING.md",
  *sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/**/*.md")),
]
# Pages of which each Python block is a program of its own; <!-- needs NAME --> stands before some.
PROGRAMS = re.compile(
  r"^## (.*?)$(?:(?!^## ).)*?(?:^<!-- needs (\w+) -->\n)?^```python\n(.*?)^```",
  re.DOTALL | re.MULTILINE,
)
OF_DISTANCES = sorted(page for page in PAGES if page.startswith("docs/distances/"))


def _text(page):
  return (ROOT / page).read_text(encoding="utf-8")


def _blocks(page, language):
  return re.findall(rf"^```{language}\n(.*?)^```", _text(page), re.DOTALL | re.MULTILINE)


def _commands(page):
  """The commands of shell blocks, and those in the text that start with aejax or python."""
  lines = "\n".join(_blocks(page, "bash")).replace("\\\n", " ").splitlines()
  lines += re.findall(r"^    (?=aejax |python |make )(.*)$", _text(page), re.MULTILINE)
  prose = re.sub(r"^```.*?^```", "", _text(page), flags=re.DOTALL | re.MULTILINE)
  spans = re.findall(r"`((?:aejax|python experiments/\w+\.py|make) [^`]+)`", prose)
  # The text also names commands without their arguments, and options without a value.
  mentions = r"aejax \w+|.* --(?!help)[\w-]+"
  lines += [span for span in spans if not re.fullmatch(mentions, span)]
  found = []
  for line in lines:
    words = shlex.split(line.rstrip(" &"), comments=True)
    for part in re.split(r" (?:&&|;) ", shlex.join(words).replace("'&&'", "&&")):
      if part and not re.search(r"\b[A-Z]{3,}\b(?!=)|…", part):  # METHOD stands for any
        found.append(shlex.split(part))
  return found


@pytest.fixture
def run_page(monkeypatch, tmp_path):
  """Runs the blocks of a page in an empty folder and returns their namespace."""

  def run(page):
    monkeypatch.chdir(tmp_path)
    scope = {"__name__": "docs"}
    for block in _blocks(page, "python"):
      exec(compile(block, page, "exec"), scope)
    return scope

  return run


def _link(folder, run):
  """Makes the run that the pages speak of."""
  (folder / "runs").mkdir()
  (folder / "runs" / "cwae-digits").symlink_to(run)


def test_readme_blocks_run(run_page, tmp_path, capsys):
  scope = run_page("README.md")
  assert float(capsys.readouterr().out) == scope["run"].history[-1]["test_loss"]
  assert len(scope["run"].history) == 20
  assert scope["samples"].shape == (64, 8, 8, 1)
  assert (tmp_path / "samples.png").stat().st_size > 1000
  assert scope["gradient"].shape == (256, 8)


def test_quickstart_blocks_run(run_page, tmp_path, digits_run):
  _link(tmp_path, digits_run)
  scope = run_page("docs/quickstart.md")
  assert scope["latents"].shape == (359, 2)
  assert (tmp_path / "samples.png").stat().st_size > 1000


def test_api_of_objectives_runs(run_page):
  scope = run_page("docs/api/objectives.md")
  posterior = aejax.autoencoder.Posterior(jax.numpy.eye(4), None)
  assert np.isfinite(scope["objective"].penalty(posterior, key=jax.random.key(0)))


def test_api_of_priors_runs(run_page):
  assert run_page("docs/api/priors.md")["images"].shape == (64, 8, 8, 1)


def test_api_of_fit_runs(run_page):
  scope = run_page("docs/api/fit.md")
  assert len(scope["losses"]) == 2


def test_api_of_training_runs(run_page, tmp_path):
  scope = run_page("docs/api/training.md")
  assert scope["summary"]["steps"] == 22
  assert (tmp_path / "runs" / "api" / "report.html").is_file()


@pytest.mark.parametrize("page", OF_DISTANCES)
def test_pages_of_distances_run(run_page, page):
  run_page(page)


@pytest.mark.parametrize(
  ("library", "block"),
  [
    pytest.param(library, block, id=title)
    for title, library, block in PROGRAMS.findall(_text("docs/other_libraries.md"))
  ],
)
def test_programs_with_other_libraries_run(library, block):
  if library:
    pytest.importorskip(library, reason=f"{library} is not installed")
  exec(compile(block, "docs/other_libraries.md", "exec"), {"__name__": "docs"})


def test_self_supervised_blocks_run(run_page):
  scope = run_page("docs/self_supervised.md")
  # The encoder's untrained embeddings reach 0.83, and those of a collapse 0.1.
  assert scope["scores"]["linear_probe_accuracy"] > 0.86
  assert 0.7 < scope["deviation"] < 1.1


def test_every_page_with_python_is_run():
  run = {"README.md", "docs/quickstart.md", "docs/other_libraries.md", "docs/distances.md"}
  run |= {f"docs/api/{name}.md" for name in ("objectives", "priors", "fit", "training")}
  run |= set(OF_DISTANCES)
  # Fragments that need a run or a mesh.
  run |= {"docs/data.md", "docs/evaluation.md", "docs/devices.md"}
  tutorials = {page for page in PAGES if page.startswith("docs/tutorials/")}  # test_tutorials.py
  # A page of its own has a test of its own, which names it.
  tests = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("tests/docs/test_*.py"))
  for page in {page for page in PAGES if _blocks(page, "python")} - run - tutorials:
    assert f'"{page}"' in tests, page
  titles = re.findall(r"^## (.*)$", _text("docs/other_libraries.md"), re.MULTILINE)
  assert [title for title, _, _ in PROGRAMS.findall(_text("docs/other_libraries.md"))] == titles


class _Parsed(BaseException):
  """Ends a command once its arguments are parsed."""


@pytest.fixture
def parse(monkeypatch):
  """Gives a command's arguments to its real parser and stops there."""
  parser = tyro.cli

  def parse_and_stop(*arguments, **options):
    parser(*arguments, **options)
    raise _Parsed

  monkeypatch.setattr(tyro, "cli", parse_and_stop)

  def run(words):
    try:
      if words[0] == "aejax":
        cli.main(words[1:])
      else:
        monkeypatch.setattr(sys, "argv", words[1:])
        runpy.run_path(str(ROOT / words[1]), run_name="__main__")
    except _Parsed:
      return
    except SystemExit as end:
      if end.code != 0 or "--help" not in words:
        pytest.fail(f"{' '.join(words)} ends with {end.code}")

  return run


@pytest.mark.parametrize("page", PAGES)
def test_commands_parse(page, parse, capsys):
  for words in _commands(page):
    if words[0] == "aejax" or (words[1:2] and words[1].startswith("experiments/")):
      parse(words)


@pytest.mark.parametrize("page", PAGES)
def test_other_commands_exist(page):
  makefile = _text("Makefile")
  settings = _text("setup.cfg")
  for words in _commands(page):
    if words[0] == "make":
      for target in (word for word in words[1:] if "=" not in word):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), words
    elif words[:2] == ["pip", "install"]:
      for extra in ",".join(re.findall(r"\[(.*)\]", " ".join(words))).split(","):
        assert not extra or re.search(rf"^{extra} ?=", settings, re.MULTILINE), words
    elif words[0] == "python":
      for word in words[1:]:
        assert "/" not in word or word.startswith("runs/") or _exists(word), words


def _exists(path):
  return (ROOT / path).exists() or path.split("/")[0] in ("dist", "results")


def test_readme_is_short_and_starts_with_install():
  lines = _text("README.md").splitlines()
  assert len(lines) < 150
  assert lines.index("## Install") < 40
