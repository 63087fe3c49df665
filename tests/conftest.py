"""Shapes in signatures are checked by beartype in every test; warnings are errors.

Most of the time is compilation, so XLA optimises little here, except in tests/distances. What is
compiled is kept for the next run of the suite, which takes half as long then.
"""

import gc
import importlib.util
import os
import resource
import sys
from contextlib import nullcontext
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".cache/xla"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import jax
import jaxtyping
import pytest

_MOST_MEMORY = 1.5 * 2**30  # bytes

_hook = jaxtyping.install_import_hook("aejax", "checker.check")
_hook.__enter__()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
  """Marks the tests that slow.txt lists."""
  lines = (Path(__file__).parent / "slow.txt").read_text(encoding="utf-8").splitlines()
  listed = tuple(f"tests/{line}" for line in lines if line and not line.startswith("#"))
  for item in items:
    if item.nodeid.startswith(listed):
      item.add_marker("slow")
  if not any("::" in argument for argument in config.args):  # whole files
    files = {item.nodeid.split("::")[0] for item in items}
    names = [item.nodeid for item in items]
    unknown = [
      line
      for line in listed
      if line.split("::")[0] in files and not any(name.startswith(line) for name in names)
    ]
    if unknown:
      raise pytest.UsageError(f"slow.txt lists tests that do not exist: {', '.join(unknown)}")


@pytest.fixture(scope="module", autouse=True)
def _small_caches():
  """Forgets what JAX has traced, where it has become much: the garbage collector visits it all."""
  yield
  with open("/proc/self/statm") if Path("/proc/self/statm").exists() else nullcontext() as file:
    pages = int(file.read().split()[1]) if file else 0
  if pages * resource.getpagesize() > _MOST_MEMORY:
    jax.clear_caches()
    gc.collect()


@pytest.fixture
def without_beartype():
  """Switches the checks of annotations off, as for users: functions check their own arguments."""
  jaxtyping.config.update("jaxtyping_disable", True)
  yield
  jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(scope="session")
def script():
  """Gives an experiment's module, whose `main` is the script without its process."""

  def load(name):
    path = Path(__file__).parents[1] / "experiments" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"experiments_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where tyro looks for its docstrings
    spec.loader.exec_module(module)
    return module

  return load


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
  """The work directory of a finished run: a linear CWAE, two latents, two epochs of digits."""
  from aejax import cli

  workdir = tmp_path_factory.mktemp("runs") / "cwae-digits"
  options = ["--network", "linear", "--latent-dim", "2", "--epochs", "2"]
  cli.main(["train", "cwae", *options, "--workdir", str(workdir)])
  return workdir
