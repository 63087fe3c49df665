"""Sharding of the arrays of a run on eight devices, in a process of its own."""

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
from aejax.training import create, sharding
from aejax.training.epoch import epoch_order, make_run_steps, zero_sums

compilations = []
jax.monitoring.register_event_duration_secs_listener(
  lambda event, seconds, **_: compilations.append(event) if "backend_compile" in event else None
)
mesh = sharding.devices_mesh()
found = {}

# 42 images and 6 black ones: six per device.
images = np.random.default_rng(0).integers(0, 256, (42, 4, 4, 1), np.uint8)
sharded = sharding.shard_images(images, mesh)
rows = jnp.asarray([41, 0, 17, 5, 5, 30, 12, 40])
take = jax.jit(lambda images, rows: sharding.take_rows(images, rows, mesh))
found["shape"] = sharded.shape
found["part"] = sharded.sharding.shard_shape(sharded.shape)
found["same"] = bool((np.asarray(take(sharded, rows)) == images[rows].reshape(8, 16)).all())
program = take.lower(sharded, sharding.replicate(rows, mesh)).compile().as_text()
found["gathers"] = len(re.findall("all-gather", program))

# Shard every array with 64 entries or more.
sharding._MIN_SHARDED_SIZE = 64
finals, bytes_of = {}, {}
for name, on in (("one", None), ("eight", mesh)):
  model = networks.build("mlp", (4, 4, 1), latent_dim=2, key=jax.random.key(0))
  # SGD, since Adam amplifies rounding where a gradient is nearly zero.
  optimizer = optax.sgd(0.01, momentum=0.9)
  state, step = create(model, CWAE(), optimizer, key=jax.random.key(1))
  state, sums = sharding.shard_state((state, zero_sums()), on)
  run_steps = make_run_steps(step, 16, image_shape=(4, 4, 1), mesh=on)
  order = sharding.replicate(epoch_order(jax.random.key(2), 0, 42), on)
  kept = sharding.shard_images(images, on)
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


def test_shard_images_makes_equal_parts(found):
  assert found["shape"] == [48, 16]
  assert found["part"] == [6, 16]


def test_take_rows_gathers_no_images(found):
  assert found["same"]
  assert found["gathers"] == 0


def test_shard_state_cuts_large_arrays_and_trains_alike(found):
  # Only a few biases are replicated.
  assert found["bytes"]["eight"] < found["bytes"]["one"] / 7
  assert found["difference"] < 1e-5 * found["norm"]


def test_run_steps_compiles_once_on_a_mesh(found):
  for on in ("one", "eight"):
    first, *later = found[f"compiled on {on}"]
    assert first > 0
    assert later == [first, first]
