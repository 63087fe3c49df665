"""The metrics are functions of arrays: they need neither runs nor plots."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aejax import metrics

FILES = sorted(Path(metrics.__file__).parent.glob("*.py"))
LOWER = ("distances", "priors", "autoencoder", "networks", "objectives", "metrics")
GROUND = ("_checks", "_extras", "_files", "_memory", "_messages")
# Flax itself imports rich.
FORBIDDEN = ["matplotlib", "orbax", "sklearn", "aejax.data", "aejax.training"]


def imported(path):
  """Names of the modules that a file imports anywhere, also inside functions."""
  for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, "relative import"
      names = [alias.name for alias in node.names]
      yield from [f"aejax.{name}" for name in names] if node.module == "aejax" else [node.module]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_metrics_import_lower_floors_only(path):
  for name in imported(path):
    package, _, rest = name.partition(".")
    assert package not in ("matplotlib", "orbax", "rich")
    if package == "aejax":
      assert rest.partition(".")[0] in (*GROUND, *LOWER), name


def test_importing_metrics_loads_neither_training_nor_plots():
  code = "import json, sys, aejax.metrics; print(json.dumps(sorted(sys.modules)))"
  environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
  )
  modules = json.loads(done.stdout)
  assert "aejax.metrics.prdc" in modules
  assert [name for name in FORBIDDEN if name in modules] == []
