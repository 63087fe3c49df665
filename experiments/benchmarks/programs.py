"""Our distances as compiled programs, on one device or with the batch spread over several."""

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

# These are the same on each device; of all other data each holds its rows.
_REPLICATED = ("directions",)
# These come from a network, and may be of lower precision.
_FROM_NETWORK = ("latents", "log_variance", "samples")


def prepare_ours(cell: Cell, form: str) -> dict[str, Program]:
  """Compiles a form of the cell's distance, by mode; "gradient" gives value and gradients."""
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
  """A function of data: value (and gradients) of the global batch, each device with its rows."""
  both = value_and_gradient(form, inputs)
  whole, rows = PartitionSpec(), PartitionSpec(AXIS)

  def local(data):
    if not gradient:
      return form(data, AXIS)
    value, gradients = both(data, AXIS)
    # Each device sends back what one value's gradient is; all of them hold the same value.
    return value, {name: g / mesh.size for name, g in gradients.items()}

  def function(data):
    return jax.shard_map(
      local,
      mesh=mesh,
      in_specs=({name: _specification(name) for name in data},),
      out_specs=(whole, dict.fromkeys(inputs, rows)) if gradient else whole,
      check_vma=False,
    )(data)

  return function


@functools.lru_cache(maxsize=8)
def value_and_gradients(
  form: Form, inputs: tuple[str, ...], cell: Cell
) -> tuple[float, list[np.ndarray]]:
  """On one device, in float32: what a rival must agree with."""
  arrays = {name: jnp.asarray(value) for name, value in cell.data().items()}
  value, gradients = jax.jit(value_and_gradient(form, inputs))(arrays)
  return float(value), [np.asarray(gradients[name]) for name in inputs]


def _specification(name: str) -> PartitionSpec:
  return PartitionSpec() if name in _REPLICATED else PartitionSpec(AXIS)


def _inputs(cell: Cell, form: str) -> dict[str, np.ndarray]:
  """What the form needs, in the cell's dtype: each array more is time spent on the call."""
  distance = DISTANCES[cell.distance]
  names = {*distance.inputs, *(["samples"] if form == SAMPLES else [])}
  names |= {"directions"} if distance.slices else set()
  data, dtype = cell.data(), jnp.dtype(cell.dtype)
  return {n: data[n].astype(dtype) if n in _FROM_NETWORK else data[n] for n in sorted(names)}
