"""Optional dependencies that are missing: one sentence that says how to install them."""

import importlib.metadata
import importlib.util
import subprocess
import sys

import pytest

from aejax import _extras

BLOCKED = """
import importlib.util, sys
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == {missing!r} else find_spec(name, *a)
"""


def _run(code):
  return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_require_accepts_what_is_installed():
  _extras.require("train", "jax", "numpy")


def test_require_names_the_first_missing_package(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "rich" else 1)
  with pytest.raises(ImportError, match=r"needs the package rich, .*: pip install 'aejax.train.'$"):
    _extras.require("train", "orbax", "rich", "tyro")


def test_command_without_its_extra_is_one_sentence():
  code = BLOCKED.format(missing="tyro") + "from aejax.cli import main\nmain(['train', 'cwae'])"
  done = _run(code)
  assert done.returncode == 2
  assert done.stdout == ""
  assert done.stderr == (
    "error: This needs the package tyro, which is not installed: pip install 'aejax[train]'\n"
  )


def test_command_help_needs_no_extra():
  code = BLOCKED.format(missing="tyro") + "from aejax.cli import main\nmain(['--help'])"
  done = _run(code)
  assert done.returncode == 0
  assert "usage: aejax COMMAND" in done.stdout


def test_training_without_its_extra_raises_import_error():
  done = _run(BLOCKED.format(missing="orbax") + "import aejax\naejax.training")
  assert "ImportError: This needs the package orbax" in done.stderr
  assert _run(BLOCKED.format(missing="orbax") + "import aejax\naejax.distances").returncode == 0


@pytest.mark.parametrize(
  ("flax", "jax", "works"),
  [
    ("0.12.8", "0.10.2", True),
    ("0.12.9", "0.12.0.1", False),
    ("0.12.10", "0.12.0", True),
    ("0.13.0", "0.13.1", True),
  ],
)
def test_require_flax_refuses_an_old_flax_with_a_new_jax(flax, jax, works, monkeypatch):
  versions = {"flax": flax, "jax": jax}
  monkeypatch.setattr(importlib.metadata, "version", versions.get)
  if works:
    _extras.require_flax()
    return
  with pytest.raises(ImportError, match=f"^flax {flax} does not work with jax {jax}: pip install"):
    _extras.require_flax()
