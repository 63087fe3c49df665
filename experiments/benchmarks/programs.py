"""Our distances as compiled programs on one or several devices."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from benchmarks.distances import DISTANCES, SAMPLES, Cell, Form, value_and_gradient
from benchmarks.timing import Program, compile_program

__all__ = ["AXIS", "prepare_ours", "spread", "value_and_gradients"]

AXIS = "devices"

# Each device holds all of these arrays, and its rows of the others.
_REPLICATED = ("directions",)
# A network computes these arrays, so they may have a lower precision.
_FROM_NETWORK = ("latents", "log_variance", "samples")


def prepare_ours(cell: Cell, form: str) -> dict[str, Program]:
  """Compiles a form of the cell's distance by mode; "gradient" computes value and gradients."""
  distance = DISTANCES[cell.distance]
  function = distance.forms[form]
  both = value_and_gradient(function, distance.inputs)
  if cell.devices == 1:
    data = {name: jnp.asarray(v) for name, v in _inputs(cell, form).items()}
    return {
      "forward": compile_program(lambda data: function(data, None), data),
      "gradient": compile_program(both, data),
    }
  mesh = jax.make_mesh((cell.devices,), (AXIS,), devices=jax.devices()[: cell.devices])
  data = {
    name: jax.device_put(v, NamedSharding(mesh, _specification(name)))
    for name, v in _inputs(cell, form).items()
  }
  return {
    "forward": compile_program(spread(function, distance.inputs, mesh, gradient=False), data),
    "gradient": compile_program(spread(function, distance.inputs, mesh), data),
  }


def spread(
  form: Form, inputs: tuple[str, ...], mesh: Mesh | AbstractMesh, *, gradient: bool = True
) -> Callable[[Mapping[str, jax.Array]], Any]:
  """Returns a function of data that computes the global value with the rows on all devices."""
  both = value_and_gradient(form, inputs)
  replicated, rows = PartitionSpec(), PartitionSpec(AXIS)

  def local(data):
    if not gradient:
      return form(data, AXIS)
    value, gradients = both(data, AXIS)
    # Every device differentiates its copy of the value, and the backward pass sums over devices.
    return value, {name: g / mesh.size for name, g in gradients.items()}

  def function(data):
    return jax.shard_map(
      local,
      mesh=mesh,
      in_specs=({name: _specification(name) for name in data},),
      out_specs=(replicated, dict.fromkeys(inputs, rows)) if gradient else replicated,
      check_vma=False,
    )(data)

  return function


@functools.lru_cache(maxsize=8)
def value_and_gradients(
  form: Form, inputs: tuple[str, ...], cell: Cell
) -> tuple[float, list[np.ndarray]]:
  """Computes the expected value and gradients on one device, in float32."""
  arrays = {name: jnp.asarray(value) for name, value in cell.data().items()}
  value, gradients = jax.jit(value_and_gradient(form, inputs))(arrays)
  return float(value), [np.asarray(gradients[name]) for name in inputs]


def _specification(name: str) -> PartitionSpec:
  return PartitionSpec() if name in _REPLICATED else PartitionSpec(AXIS)


def _inputs(cell: Cell, form: str) -> dict[str, np.ndarray]:
  """Returns the arrays that the form needs; unused arguments would add to its time."""
  distance = DISTANCES[cell.distance]
  names = {*distance.inputs, *(["samples"] if form == SAMPLES else [])}
  names |= {"directions"} if distance.slices else set()
  data, dtype = cell.data(), jnp.dtype(cell.dtype)
  return {n: data[n].astype(dtype) if n in _FROM_NETWORK else data[n] for n in sorted(names)}
