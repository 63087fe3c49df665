"""The wheel: what is in it, and that it works where nothing else of this project is."""

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import aejax

ROOT = Path(__file__).parents[1]

USE = """
import importlib, json, pkgutil
import numpy as np
import aejax
for module in pkgutil.walk_packages(aejax.__path__, "aejax."):
  importlib.import_module(module.name)
import jax
from aejax.evaluation import report
from aejax.metrics.features import CLASSIFIERS, classifier
features = {name: classifier(name)(np.zeros((2, s, s, 1), np.uint8)).shape
            for name, s in {"digits": 8, "mnist": 28, "fashion_mnist": 28}.items()}
print(json.dumps({
  "where": aejax.__file__,
  "features": features,
  "classifiers": sorted(CLASSIFIERS),
  "value": float(aejax.distances.cramer_wold(jax.numpy.ones((4, 2)))),
}))
"""


def _run(*command, **options):
  done = subprocess.run(
    [str(part) for part in command], capture_output=True, text=True, timeout=900, **options
  )
  assert done.returncode == 0, done.stdout + done.stderr
  return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
  """The wheel, built from a copy because setuptools leaves folders behind."""
  source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
  ignored = shutil.ignore_patterns("__pycache__")
  shutil.copytree(ROOT / "aejax", source / "aejax", ignore=ignored)
  for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
    shutil.copy(ROOT / name, source)
  built = subprocess.run(
    [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", out, source],
    capture_output=True,
    text=True,
    timeout=300,
  )
  if built.returncode and "setuptools" in built.stderr + built.stdout:
    pytest.skip("the wheel cannot be built: setuptools is not available")
  assert built.returncode == 0, built.stderr
  (path,) = out.glob("*.whl")
  return path


def test_wheel_holds_the_package_and_its_metadata(wheel):
  with zipfile.ZipFile(wheel) as archive:
    names = {name for name in archive.namelist() if ".dist-info/" not in name}
    metadata = next(n for n in archive.namelist() if n.endswith("/METADATA"))
    text = archive.read(metadata).decode()
    entry_points = next(n for n in archive.namelist() if n.endswith("/entry_points.txt"))
    scripts = archive.read(entry_points).decode()
  package = ROOT / "aejax"
  present = {
    f"aejax/{path.relative_to(package).as_posix()}"
    for path in package.rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
  }
  assert names == present
  assert "Requires-Python: >=3.11" in text
  assert "License-File: LICENSE" in text
  assert f"Version: {aejax.__version__}" in text
  for entry in ("Author:", "Keywords:", "Project-URL: Source"):
    assert entry in text
  assert "aejax = aejax.cli:main" in scripts
  weights = sum(path.stat().st_size for path in package.glob("metrics/classifiers/*.npz"))
  assert 0 < weights < 1_000_000


def _used(python, folder):
  done = _run(python, "-I", "-W", "error", "-c", USE, cwd=folder)
  assert done.stderr == ""
  found = json.loads(done.stdout)
  assert Path(found["where"]).is_relative_to(python.parents[1])
  assert found["value"] > 0
  for name, (n, d) in found["features"].items():
    assert name in found["classifiers"]
    assert (n, d > 1) == (2, True)


def test_wheel_works_next_to_its_dependencies(wheel, tmp_path):
  venv.create(tmp_path / "env", symlinks=True)
  python = tmp_path / "env" / "bin" / "python"
  purelib = next((tmp_path / "env").glob("lib/python*/site-packages"))
  with zipfile.ZipFile(wheel) as archive:
    archive.extractall(purelib)
  # A path in a .pth file brings the packages there, but not what their own .pth files name: not
  # the checkout.
  (purelib / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
  _used(python, tmp_path)


@pytest.mark.slow
def test_wheel_installs_into_a_clean_environment(wheel, tmp_path):
  venv.create(tmp_path / "env", with_pip=True)
  python = tmp_path / "env" / "bin" / "python"
  _run(
    python, "-m", "pip", "install", "--quiet", "-c", ROOT / "requirements.txt", f"{wheel}[train]"
  )
  assert "No broken requirements" in _run(python, "-m", "pip", "check").stdout
  _used(python, tmp_path)
  script = ROOT / "experiments" / "train.py"
  _run(python, script, "cwae", "--epochs", 2, "--workdir", tmp_path / "run", cwd=tmp_path)
  assert (tmp_path / "run" / "report.html").is_file()
