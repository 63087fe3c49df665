"""Every distance on eight devices, in another process: JAX fixes their number at the start."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from catalogue import FORMS

TESTS = Path(__file__).parents[1]

CODE = """
import json
import sys

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)

import jax.numpy as jnp
import numpy as np
from catalogue import FORMS, function_of, latents
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from aejax import distances
from benchmarks.flops import count_flops

assert jax.device_count() == 8
mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))
square = jax.make_mesh((4, 2), ("a", "b"), axis_types=(AxisType.Auto,) * 2)
explicit = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Explicit,))


def value_and_gradient(form, axis_name=None):
  value = function_of(form)
  return lambda z, rest: jax.value_and_grad(lambda z: value(z, rest, axis_name))(z)


def mapped(form, check_vma):
  rest = {"samples": P("d"), "directions": P()}
  function = jax.shard_map(
    value_and_gradient(form, "d"),
    mesh=mesh,
    in_specs=(P("d"), rest),
    out_specs=(P(), P("d")),
    check_vma=check_vma,
  )
  # Without the check each device holds eight times the gradient; pmean(grads) divides by eight.
  return lambda z, rest: scaled(jax.jit(function)(z, rest), 1 if check_vma else 8)


def scaled(result, factor):
  return result[0], result[1] / factor


def pmapped(form):
  axes = (0, {"samples": 0, "directions": None})
  function = jax.pmap(value_and_gradient(form, "d"), axis_name="d", in_axes=axes)

  def run(z, rest):
    split = lambda v: v.reshape(8, -1, *v.shape[1:])
    values, gradients = function(split(z), dict(rest, samples=split(rest["samples"])))
    assert np.ptp(values) == 0
    return scaled((values[0], gradients.reshape(z.shape)), 8)

  return run


def placed(form, mesh, rows):
  function = jax.jit(value_and_gradient(form))
  replicated = NamedSharding(mesh, P())
  return lambda z, rest: function(
    jax.device_put(z, NamedSharding(mesh, rows)), jax.device_put(rest, replicated)
  )


def error(run, one, *arguments):
  value, gradient = jax.device_get(run(*arguments))
  scale = np.abs(one[1]).max()
  return max(abs(value - one[0]) / (abs(one[0]) + 1e-2), np.abs(gradient - one[1]).max() / scale)


results = {}
for form in FORMS:
  if form.name not in sys.argv[1:]:
    continue
  # At least as many samples as devices, but not as many as latents.
  even, uneven = latents(24, 5, m=16), latents(21, 5, m=13, num=5)
  one, of_uneven = (jax.device_get(jax.jit(value_and_gradient(form))(*v)) for v in (even, uneven))
  errors = {
    "pmap": error(pmapped(form), one, *even),
    "shard_map": error(mapped(form, False), one, *even),
    "shard_map with check_vma": error(mapped(form, True), one, *even),
    "NamedSharding": error(placed(form, mesh, P("d")), one, *even),
    "nothing divides by eight": error(placed(form, square, P()), of_uneven, *uneven),
  }
  if form.name in ("cramer_wold", "mmd_imq-samples", "sliced_wasserstein"):
    errors["two axes"] = error(placed(form, square, P(("b", "a"))), one, *even)
    errors["explicit axes"] = error(placed(form, explicit, P("d")), one, *even)

  z, rest = latents(1000, 64, m=1000, num=64)
  single = count_flops(value_and_gradient(form), z, rest)
  onto = lambda v: jax.ShapeDtypeStruct(v.shape, v.dtype, sharding=NamedSharding(mesh, P()))
  split = jax.shard_map(
    value_and_gradient(form, "d"),
    mesh=mesh,
    in_specs=(P("d"), {"samples": P("d"), "directions": P()}),
    out_specs=(P(), P("d")),
    check_vma=False,
  )
  work = {
    "shard_map": count_flops(split, z, rest) / single,
    "NamedSharding": count_flops(value_and_gradient(form), *jax.tree.map(onto, (z, rest))) / single,
  }
  results[form.name] = {"errors": errors, "work": work}

# Inside shard_map, a distance without an axis name is that of the device's rows.
z, _ = latents(24, 5)
for check_vma in (False, True):
  local = jax.shard_map(
    lambda z: distances.energy_distance(z)[None],
    mesh=mesh,
    in_specs=P("d"),
    out_specs=P("d"),
    check_vma=check_vma,
  )
  expected = jax.vmap(distances.energy_distance)(z.reshape(8, 3, 5))
  np.testing.assert_allclose(jax.jit(local)(z), expected, rtol=1e-5)
json.dump(results, sys.stdout, default=float)
"""

MODES = (
  "pmap",
  "shard_map",
  "shard_map with check_vma",
  "NamedSharding",
  "nothing divides by eight",
)
ON_OTHER_MESHES = ("cramer_wold", "mmd_imq-samples", "sliced_wasserstein")
# These forms cover each way to divide the work. The others take minutes.
QUICK = ON_OTHER_MESHES

every_form = pytest.mark.parametrize(
  "name",
  [*QUICK, *(pytest.param(f.name, marks=pytest.mark.slow) for f in FORMS if f.name not in QUICK)],
)


@functools.cache
def results_of(names):
  """Returns the results of several forms; one process for each would take too long."""
  environment = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join((str(TESTS), str(TESTS.parent / "experiments"))),
  }
  done = subprocess.run(
    [sys.executable, "-c", CODE, *names],
    capture_output=True,
    text=True,
    timeout=400,
    env=environment,
  )
  if done.returncode:
    return done.stderr
  return json.loads(done.stdout)


def result(name, kind, mode):
  others = [form.name for form in FORMS if form.name not in QUICK]
  # All the others in one process would exceed its limit.
  first = 0 if name in QUICK else others.index(name) // 12 * 12
  results = results_of(QUICK if name in QUICK else tuple(others[first : first + 12]))
  assert isinstance(results, dict), results
  return results[name][kind][mode]


@every_form
@pytest.mark.parametrize("mode", MODES)
def test_distance_on_eight_devices_equals_one(name, mode):
  assert result(name, "errors", mode) < 1e-5


@pytest.mark.parametrize("mode", ["two axes", "explicit axes"])
@pytest.mark.parametrize("name", ON_OTHER_MESHES)
def test_distance_on_other_meshes_equals_one(name, mode):
  assert result(name, "errors", mode) < 1e-5


@every_form
@pytest.mark.parametrize("mode", ["shard_map", "NamedSharding"])
def test_distance_divides_its_work_by_eight(name, mode):
  if name == "kl_divergence" and mode == "NamedSharding":
    pytest.skip("XLA divides elementwise work after the count")
  assert result(name, "work", mode) < 1.15 / 8
