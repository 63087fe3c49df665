"""The tutorials run as written, in a short form, and show what their script made."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).parents[2] / "docs/tutorials"
NAMES = sorted(path.stem for path in TUTORIALS.glob("*.md"))
# Those that cost more than a few seconds.
DEAR = {"many_devices", "own_images", "serving", "sphere", "vectors"}
# JAX must not have started before it simulates devices.
IN_A_PROCESS = {"many_devices"}


@pytest.fixture(scope="module")
def script():
  spec = importlib.util.spec_from_file_location("run_tutorials", TUTORIALS / "run.py")
  assert spec is not None
  assert spec.loader is not None
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.mark.parametrize(
  "name",
  [pytest.param(name, marks=[pytest.mark.slow] if name in DEAR else []) for name in NAMES],
)
def test_tutorial_runs(script, name, tmp_path, monkeypatch):
  if name in IN_A_PROCESS:
    program = f"import run; run.execute({name!r}, short=True)"
    path = os.pathsep.join([str(TUTORIALS), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
      [sys.executable, "-c", program],
      cwd=tmp_path,
      check=True,
      env=os.environ | {"PYTHONPATH": path},
    )
  else:
    monkeypatch.chdir(tmp_path)
    outputs = script.execute(name, short=True)
    text = (TUTORIALS / f"{name}.md").read_text(encoding="utf-8")
    assert sum(bool(output.strip()) for output in outputs) == len(
      re.findall("^```text", text, re.M)
    )
  for picture in script.pictures(name):
    assert (tmp_path / picture).stat().st_size > 500


@pytest.mark.parametrize("name", NAMES)
def test_tutorial_says_how_long_it_takes_and_what_you_see(script, name):
  text = (TUTORIALS / f"{name}.md").read_text(encoding="utf-8")
  assert re.search(r"^\*[^*]*minutes?[^*]*\*$", text, re.MULTILINE | re.DOTALL)
  assert "## What you should see" in text
  # Outputs and pictures are those of a run of the script.
  assert "```text\n```" not in text
  for picture in script.pictures(name):
    assert (TUTORIALS / "images" / f"{name}-{picture}").stat().st_size < 150_000


def test_no_picture_is_left_over(script):
  shown = {f"{name}-{picture}" for name in NAMES for picture in script.pictures(name)}
  assert {path.name for path in (TUTORIALS / "images").iterdir()} == shown
