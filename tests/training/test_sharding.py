"""The train step on eight devices, in a process of its own: JAX fixes their number at the start."""

import functools
import json
import subprocess
import sys

import pytest

CODE = """
import json
import sys

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)

import jax.numpy as jnp
import optax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from aejax import networks
from aejax.objectives import AE, CWAE, SWAE, VAE, WAEMMD
from aejax.training import create

OBJECTIVES = {
  "ae": AE(),
  "vae": VAE(beta=2.0),
  "wae-mmd": WAEMMD(weight=5.0),
  "cwae": CWAE(weight=0.5),
  "swae": SWAE(weight=5.0),
  "swae, sampled prior": SWAE(weight=5.0, sample_prior=True),
  "cwae, bfloat16": CWAE(weight=0.5),
}
OBJECTIVES = {name: OBJECTIVES[name] for name in sys.argv[1:]}
assert jax.device_count() == 8
states, steps = {}, {}
for name, objective in OBJECTIVES.items():
  model = networks.build(
    "linear",
    (4, 3, 1),
    latent_dim=2,
    gaussian=objective.gaussian_encoder,
    dtype=jnp.bfloat16 if "bfloat16" in name else jnp.float32,
    key=jax.random.key(0),
  )
  # SGD, since Adam would hide a gradient that is too large by the number of devices.
  states[name], steps[name] = create(model, objective, optax.sgd(0.01), key=jax.random.key(1))


def step(states, batch, axis_name=None):
  both = {name: steps[name](states[name], batch, axis_name=axis_name) for name in states}
  return {name: b[0] for name, b in both.items()}, {name: b[1] for name, b in both.items()}


def mapped(mesh, axis_name):
  return jax.jit(
    jax.shard_map(
      lambda s, x: step(s, x, axis_name),
      mesh=mesh,
      in_specs=(P(), P(axis_name)),
      out_specs=P(),
      check_vma=False,
    )
  )


mesh = jax.make_mesh((8,), ("batch",), axis_types=(AxisType.Auto,))
square = jax.make_mesh((4, 2), ("a", "b"), axis_types=(AxisType.Auto,) * 2)
batches = jax.random.uniform(jax.random.key(2), (5, 16, 4, 3, 1))


def placed(run):
  replicated, sharded = NamedSharding(mesh, P()), NamedSharding(mesh, P("batch"))
  return lambda s, x: run(jax.device_put(s, replicated), jax.device_put(x, sharded))


pmapped = jax.pmap(
  lambda s, x: step(s, x, "batch"), axis_name="batch", in_axes=(None, 0), out_axes=None
)
modes = {
  "one device": jax.jit(step),
  "pmap": lambda s, x: pmapped(s, x.reshape(8, 2, *x.shape[1:])),
  "shard_map": mapped(mesh, "batch"),
  "shard_map over two axes": mapped(square, ("a", "b")),
  "NamedSharding": placed(jax.jit(step)),
}
finals = {}
for mode, run in modes.items():
  current = states
  for batch in batches:
    current, metrics = run(current, batch)
  finals[mode] = jax.device_get(
    {name: (current[name].params, metrics[name]) for name in OBJECTIVES}
  )


def norm(leaves):
  return sum(float((leaf**2).sum()) for leaf in leaves) ** 0.5


errors = {}
for mode, final in finals.items():
  errors[mode] = {}
  for name in OBJECTIVES:
    started = jax.tree.leaves(jax.device_get(states[name].params))
    one = jax.tree.leaves(finals["one device"][name][0])
    many = jax.tree.leaves(final[name][0])
    errors[mode][name] = {
      "distance": norm(a - b for a, b in zip(one, started)),
      "difference": norm(a - b for a, b in zip(one, many)),
      "metrics": max(
        abs(finals["one device"][name][1][k] - v) / (abs(v) + 1e-6)
        for k, v in final[name][1].items()
      ),
    }
json.dump(errors, sys.stdout, default=float)
"""

MODES = ("pmap", "shard_map", "shard_map over two axes", "NamedSharding")
# These divide the work in each way: over images, pairs and directions. The others take a minute.
QUICK = ("vae", "cwae", "swae, sampled prior")
OTHERS = ("ae", "wae-mmd", "swae", "cwae, bfloat16")


@functools.cache
def errors_of(objectives):
  done = subprocess.run(
    [sys.executable, "-c", CODE, *objectives], capture_output=True, text=True, timeout=300
  )
  return json.loads(done.stdout) if done.returncode == 0 else done.stderr


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
  "objective", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)]
)
def test_train_step_on_eight_devices_is_that_on_one(mode, objective):
  errors = errors_of(QUICK if objective in QUICK else OTHERS)
  assert isinstance(errors, dict), errors
  error = errors[mode][objective]
  assert error["distance"] > 1e-3  # the parameters have moved
  # Relative to the distance that five steps of SGD went. In bfloat16 each device rounds its part
  # of a gradient to eight bits.
  tolerance = 2**-8 if "bfloat16" in objective else 1e-5
  assert error["difference"] < tolerance * error["distance"]
  assert error["metrics"] < tolerance
