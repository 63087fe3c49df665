"""Compiled JAX programs: our distances on one device, or with the batch over several devices."""

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from benchmarks.distance_plan import Case
from benchmarks.distances import DISTANCES, SAMPLES, Form, value_and_gradient

__all__ = [
  "AXIS",
  "Program",
  "compile_program",
  "prepare_ours",
  "shard_batch",
  "value_and_gradients",
]

AXIS = "devices"

# Arrays that every device holds whole. Of all others, each device holds its rows.
_REPLICATED = ("directions",)
# Arrays that a network computes, so that they may have lower precision.
_FROM_NETWORK = ("latents", "log_variance", "samples")


@dataclasses.dataclass(frozen=True)
class Program:
  """A compiled JAX function with its arguments. A call runs it and waits for the result.

  Attributes:
    executable: the compiled function.
    arguments: arguments of the function.
    compile_seconds: seconds to trace, lower and compile it, without a cache.
    bytes: bytes of arguments, results and temporaries that the compiler planned, if it says.
    flops: operations that the compiler counts on one device, if it says; the body of a loop counts
      once.
  """

  executable: Callable[..., Any]
  arguments: tuple[Any, ...]
  compile_seconds: float
  bytes: int | None
  flops: float | None

  def __call__(self) -> Any:
    """Runs the program, and returns its result once it is ready."""
    return jax.block_until_ready(self.executable(*self.arguments))


def compile_program(
  function: Callable[..., Any],
  *arguments: Any,
  clock: Callable[[], float] = time.perf_counter,
) -> Program:
  """Compiles a function for arguments of these shapes, dtypes and shardings."""
  start = clock()
  executable = jax.jit(function).lower(*arguments).compile()
  seconds = clock() - start
  memory, cost = executable.memory_analysis(), executable.cost_analysis()
  planned = None
  if memory is not None:
    planned = (
      memory.argument_size_in_bytes
      + memory.output_size_in_bytes
      + memory.temp_size_in_bytes
      - memory.alias_size_in_bytes
    )
  flops = (cost or {}).get("flops")
  return Program(executable, arguments, seconds, planned, flops)


def prepare_ours(case: Case, form: str) -> dict[str, Program]:
  """Compiles a form of the case's distance by mode; "gradient" returns value and gradients."""
  distance = DISTANCES[case.distance]
  function = distance.forms[form]
  both = value_and_gradient(function, distance.inputs)
  if case.devices == 1:
    data = {name: jnp.asarray(v) for name, v in _inputs(case, form).items()}
    return {
      "forward": compile_program(lambda data: function(data, None), data),
      "gradient": compile_program(both, data),
    }
  mesh = jax.make_mesh((case.devices,), (AXIS,), devices=jax.devices()[: case.devices])
  data = {
    name: jax.device_put(v, NamedSharding(mesh, _specification(name)))
    for name, v in _inputs(case, form).items()
  }
  return {
    "forward": compile_program(shard_batch(function, distance.inputs, mesh, gradient=False), data),
    "gradient": compile_program(shard_batch(function, distance.inputs, mesh), data),
  }


def shard_batch(
  form: Form, inputs: tuple[str, ...], mesh: Mesh | AbstractMesh, *, gradient: bool = True
) -> Callable[[Mapping[str, jax.Array]], Any]:
  """Returns a function of data that computes value and gradients of a batch over several devices.

  Args:
    form: the distance.
    inputs: names of the data whose gradients are computed.
    mesh: devices that share the batch.
    gradient: whether to compute gradients, and not only the value.
  """
  both = value_and_gradient(form, inputs)
  replicated, rows = PartitionSpec(), PartitionSpec(AXIS)

  def local(data):
    if not gradient:
      return form(data, AXIS)
    value, gradients = both(data, AXIS)
    # These are gradients of the sum over devices, which all hold the same value.
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
  form: Form, inputs: tuple[str, ...], case: Case
) -> tuple[float, list[np.ndarray]]:
  """Returns value and gradients on one device in float32, which all implementations must match."""
  arrays = {name: jnp.asarray(value) for name, value in case.data().items()}
  value, gradients = jax.jit(value_and_gradient(form, inputs))(arrays)
  return float(value), [np.asarray(gradients[name]) for name in inputs]


def _specification(name: str) -> PartitionSpec:
  return PartitionSpec() if name in _REPLICATED else PartitionSpec(AXIS)


def _inputs(case: Case, form: str) -> dict[str, np.ndarray]:
  """Returns only the arrays that the form uses, since each argument adds to the time of a call."""
  distance = DISTANCES[case.distance]
  names = {*distance.inputs, *(["samples"] if form == SAMPLES else [])}
  names |= {"directions"} if distance.slices else set()
  data, dtype = case.data(), jnp.dtype(case.dtype)
  return {n: data[n].astype(dtype) if n in _FROM_NETWORK else data[n] for n in sorted(names)}
