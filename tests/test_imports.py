import json
import subprocess
import sys

CODE = """
import json
import sys
import time

import jax

start = time.perf_counter()
import aejax
seconds = time.perf_counter() - start

from jax._src import xla_bridge

modules = {name.partition(".")[0] for name in sys.modules}
heavy = ["torch", "tensorflow", "tensorflow_datasets", "matplotlib", "sklearn", "PIL", "pandas"]
print(json.dumps({
  "heavy": sorted(modules & set(heavy)),
  "backends": xla_bridge.backends_are_initialized(),
  "seconds": seconds,
  "names": [name for name in aejax.__all__ if not hasattr(aejax, name)],
}))
"""


def test_importing_is_light(record_property):
  done = subprocess.run(
    [sys.executable, "-c", CODE], capture_output=True, text=True, timeout=120, check=True
  )
  found = json.loads(done.stdout)
  record_property("seconds beyond jax", found.pop("seconds"))
  assert found == {"heavy": [], "backends": False, "names": []}
  assert done.stderr == ""


def test_every_module_imports_alone_without_a_device():
  code = """
import importlib, pkgutil
import aejax
for module in pkgutil.walk_packages(aejax.__path__, "aejax."):
  importlib.import_module(module.name)
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized()
"""
  subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120, check=True)
