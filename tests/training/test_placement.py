"""Where the arrays of a run are on eight devices, in a process of its own."""

import json
import subprocess
import sys

import pytest

CODE = """
import json
import re
import sys

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)

import jax.numpy as jnp
import numpy as np
import optax

from aejax import networks
from aejax.objectives import CWAE
from aejax.training import create, devices
from aejax.training.epoch import epoch_order, make_run_steps, zero_sums

compilations = []
jax.monitoring.register_event_duration_secs_listener(
  lambda event, seconds, **_: compilations.append(event) if "backend_compile" in event else None
)
mesh = devices.devices_mesh()
found = {}

# 42 images are six a device, the last two of them black.
images = np.random.default_rng(0).integers(0, 256, (42, 4, 4, 1), np.uint8)
placed = devices.put_images(images, mesh)
rows = jnp.asarray([41, 0, 17, 5, 5, 30, 12, 40])
take = jax.jit(lambda images, rows: devices.take_rows(images, rows, mesh))
found["shape"] = placed.shape
found["part"] = placed.sharding.shard_shape(placed.shape)
found["same"] = bool((np.asarray(take(placed, rows)) == images[rows]).all())
program = take.lower(placed, devices.everywhere(rows, mesh)).compile().as_text()
found["gathers"] = len(re.findall("all-gather", program))

# With every array of 64 numbers or more cut.
devices._LARGE = 64
finals, bytes_of = {}, {}
for name, on in (("one", None), ("eight", mesh)):
  model = networks.build("mlp", (4, 4, 1), latent_dim=2, key=jax.random.key(0))
  # SGD: Adam would make much of the rounding of gradients that are nearly zero.
  optimizer = optax.sgd(0.01, momentum=0.9)
  state, step = create(model, CWAE(), optimizer, key=jax.random.key(1))
  state, sums = devices.place((state, zero_sums()), on)
  run_steps = make_run_steps(step, 16, mesh=on)
  order = devices.everywhere(epoch_order(jax.random.key(2), 0, 42), on)
  kept = devices.put_images(images, on)
  compiled = []
  for _ in range(3):
    state, sums = run_steps(state, sums, kept, order, 2)
    compiled.append(len(compilations))
  finals[name] = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(state.params)])
  numbers = [leaf for leaf in jax.tree.leaves(state) if leaf.dtype == jnp.float32]
  bytes_of[name] = sum(leaf.addressable_shards[0].data.nbytes for leaf in numbers)
  found[f"compiled on {name}"] = compiled
found["difference"] = float(np.linalg.norm(finals["one"] - finals["eight"]))
found["norm"] = float(np.linalg.norm(finals["one"]))
found["bytes"] = bytes_of
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def found():
  done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=300)
  assert done.returncode == 0, done.stderr
  return json.loads(done.stdout)


def test_images_lie_in_equal_parts(found):
  assert found["shape"] == [48, 4, 4, 1]
  assert found["part"] == [6, 4, 4, 1]


def test_a_batch_is_taken_without_gathering_all_images(found):
  assert found["same"]
  assert found["gathers"] == 0


def test_large_arrays_are_cut_and_train_as_whole_ones(found):
  # All but a few biases.
  assert found["bytes"]["eight"] < found["bytes"]["one"] / 7
  assert found["difference"] < 1e-5 * found["norm"]


def test_a_run_on_a_mesh_compiles_once(found):
  for on in ("one", "eight"):
    first, *later = found[f"compiled on {on}"]
    assert first > 0
    assert later == [first, first]
