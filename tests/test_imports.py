"""Imports: light, lazy, and from lower floors only."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import aejax

PACKAGE = Path(aejax.__file__).parent

# The floors of the package, lowest first. A module imports from its own floor and lower ones.
FLOORS = [
  {"_batches", "_checks", "_files", "_memory", "_messages", "_extras", "_import_paths"},
  {"_untrained", "distances", "priors", "autoencoder"},
  {"networks"},
  {"objectives"},
  {"metrics"},
  {"data"},
  {"training"},
  {"evaluation", "exporting"},
  {"_fit_arguments", "runs"},
  {"_user_errors", "_command_line"},
  {"_commands"},
  {"cli"},
]


def _run(code):
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
  )
  assert done.stderr == ""
  return json.loads(done.stdout)


def test_import_distances_needs_jax_jaxtyping_numpy_and_scipy_only():
  code = """
import json, sys
import jax, jax.numpy, jaxtyping
before = set(sys.modules)
import aejax.distances
from jax._src import xla_bridge
new = set(sys.modules) - before
print(json.dumps({
  "roots": sorted({name.partition(".")[0] for name in new} - set(sys.stdlib_module_names)),
  "count": len(new),
  "backends": xla_bridge.backends_are_initialized(),
}))
"""
  found = _run(code)
  assert set(found["roots"]) <= {"aejax", "jax", "jaxlib", "numpy", "scipy"}
  # The modules of the package itself, and few of the standard library and of NumPy.
  assert found["count"] < 60
  assert not found["backends"]


def test_import_aejax_imports_nothing_else():
  code = """
import json, sys
before = set(sys.modules)
import aejax
print(json.dumps(sorted(set(sys.modules) - before)))
"""
  assert [name for name in _run(code) if name.startswith(("aejax.", "jax", "flax"))] == []


def test_import_aejax_names_resolve_lazily():
  code = """
import json
import aejax
missing = [name for name in aejax.__all__ if not hasattr(aejax, name)]
print(json.dumps([missing, sorted(aejax.__all__) == sorted(dir(aejax))]))
"""
  assert _run(code) == [[], True]
  with pytest.raises(AttributeError, match="module 'aejax' has no attribute 'nothing'"):
    aejax.nothing  # noqa: B018


def test_import_aejax_load_stays_a_function_after_its_module_is_imported():
  code = """
import json
import aejax.training.trained
import aejax
print(json.dumps([callable(aejax.load), aejax.load.__module__]))
"""
  assert _run(code) == [True, "aejax.runs"]


def test_import_leaves_the_users_loggers_alone():
  code = """
import json, logging
names = (None, "absl", "asyncio", "jax")
def state():
  loggers = [logging.getLogger(name) for name in names]
  return [[logger.level, logger.propagate, logger.disabled, len(logger.handlers)]
          for logger in loggers]
import absl.logging, orbax.checkpoint, jax
before = state()
import aejax, aejax.training, aejax.evaluation
from aejax.training.checkpoints import Checkpoints
import tempfile, pathlib
with Checkpoints(pathlib.Path(tempfile.mkdtemp()) / "checkpoints"):
  pass
print(json.dumps(before == state()))
"""
  assert _run(code) is True


def test_every_module_imports_without_a_device():
  code = """
import importlib, json, pkgutil
import aejax
for module in pkgutil.walk_packages(aejax.__path__, "aejax."):
  importlib.import_module(module.name)
from jax._src import xla_bridge
print(json.dumps(xla_bridge.backends_are_initialized()))
"""
  assert _run(code) is False


def _imported(path):
  """The top-level modules of aejax that a file imports, also inside its functions."""
  found = set()
  for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
    if isinstance(node, ast.ImportFrom) and node.module == "aejax":
      found |= {alias.name for alias in node.names} - {"__version__"}
    elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("aejax."):
      found.add(node.module.split(".")[1])
    elif isinstance(node, ast.Import):
      names = [alias.name.split(".") for alias in node.names]
      found |= {name[1] for name in names if name[0] == "aejax" and len(name) > 1}
  return found


def test_floors_list_every_module():
  modules = {path.stem for path in PACKAGE.glob("*.py")} | {
    path.parent.name for path in PACKAGE.glob("*/__init__.py")
  }
  assert modules - {"__init__"} == set.union(*FLOORS)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.name))
def test_floors_are_imported_from_above_only(path):
  own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
  if own == "__init__":
    return  # the lazy façade names everything
  height = next(k for k, floor in enumerate(FLOORS) if own in floor)
  lower = set.union(*FLOORS[: height + 1])
  upward = _imported(path) - lower
  # The command loads its commands lazily, so that --help needs no extra.
  assert upward - {own} == set()
