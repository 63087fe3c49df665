"""The same run on one, two and eight devices, each in a process of its own."""

import subprocess
import sys

import jax
import numpy as np
import pytest

from aejax import load
from aejax.training.sharding import check_batch_size

CODE = """
import sys

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", int(sys.argv[1]))

from pathlib import Path

from aejax.training import Options, prepare

for run in sys.argv[2:]:
  method, network, epochs, workdir = run.split(":")
  resume = Path(workdir).exists()
  settings = {} if resume else {"network": network}
  options = Options(workdir=Path(workdir), epochs=int(epochs), resume=resume, **settings)
  prepare(method, {}, options).train()
"""


def train_on(devices, *runs):
  subprocess.run([sys.executable, "-c", CODE, str(devices), *runs], check=True, timeout=300)


def parameters(workdir):
  leaves = jax.tree.leaves(jax.device_get(load(workdir).model))
  return np.concatenate([leaf.ravel() for leaf in leaves])


def assert_same(one, other):
  """Compares norms over all parameters: Adam amplifies rounding where a gradient is nearly zero."""
  a, b = parameters(one), parameters(other)
  assert np.linalg.norm(a - b) < 1e-4 * np.linalg.norm(b)


@pytest.mark.parametrize(
  ("network", "way"),
  [("linear", [8, 1]), pytest.param("mlp", [8, 2, 1], marks=pytest.mark.slow)],
)
def test_run_resumes_on_fewer_devices(network, way, tmp_path):
  """Epochs of digits, each on another number of devices, give the run on one device."""
  train_on(1, f"cwae:{network}:{len(way)}:{tmp_path / 'one'}")
  for epochs, devices in enumerate(way, start=1):
    train_on(devices, f"cwae:{network}:{epochs}:{tmp_path / 'moved'}")
  assert_same(tmp_path / "one", tmp_path / "moved")
  assert len((tmp_path / "moved" / "metrics.jsonl").read_text().splitlines()) == len(way)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["vae", "wae-mmd", "cwae", "swae"])
def test_run_is_independent_of_the_number_of_devices(method, tmp_path):
  for devices in (1, 2, 8):
    # Two epochs: in the third, rounding changes the order of two close projections, which moves
    # the parameters of SWAE by 2e-4.
    train_on(devices, f"{method}:mlp:2:{tmp_path / str(devices)}")
  for devices in (2, 8):
    assert_same(tmp_path / "1", tmp_path / str(devices))


@pytest.mark.parametrize(
  ("size", "nearest"), [(100, "are 96 or 104"), (3, "is 8"), (12, "are 8 or 16")]
)
def test_check_batch_size_names_the_nearest(size, nearest):
  check_batch_size(64, 8)
  with pytest.raises(ValueError, match=f"the 8 devices, but is {size}: the nearest {nearest}"):
    check_batch_size(size, 8)
