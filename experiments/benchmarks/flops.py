"""Counts floating-point operations of a JAX function on one device, with every loop iteration.

XLA's `cost_analysis` counts the body of a loop once, so it cannot be used for tiled sums. This
module counts in the traced program, before XLA simplifies it, which is accurate enough for ratios.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

__all__ = ["count_flops"]

# Primitives that move or inspect numbers without computing any.
_FREE = {
  "all_gather",
  "axis_index",
  "broadcast_in_dim",
  "concatenate",
  "convert_element_type",
  "copy",
  "copy_p",
  "dynamic_slice",
  "dynamic_update_slice",
  "gather",
  "iota",
  "optimization_barrier",
  "pad",
  "ppermute",
  "pvary",
  "rev",
  "reshape",
  "scatter",
  "select_n",
  "slice",
  "squeeze",
  "stop_gradient",
  "transpose",
}


def count_flops(function: Callable[..., Any], *arguments: Any) -> float:
  """Returns the number of operations of one device in a call of `function`.

  A matrix product counts two operations for each multiplication. Any other operation counts one for
  each number that it returns, a reduction one for each number that it takes. Under `shard_map` only
  one device's shard is counted. A condition counts its most expensive branch. A loop without a
  fixed length counts once.

  Args:
    function: the function, which is traced but not run.
    arguments: arrays or `jax.ShapeDtypeStruct`s.
  """
  return _count(jax.make_jaxpr(function)(*arguments).jaxpr)


def _count(jaxpr: core.Jaxpr) -> float:
  return sum(map(_count_equation, jaxpr.eqns))


def _count_equation(equation: core.JaxprEqn) -> float:
  name, parameters = equation.primitive.name, equation.params
  inputs: list[Any] = [variable.aval for variable in equation.invars]
  outputs: list[Any] = [variable.aval for variable in equation.outvars]
  if name == "cond":
    return max(_count(branch.jaxpr) for branch in parameters["branches"])
  inner = sum(_count(jaxpr) for jaxpr in _jaxprs(parameters))
  if inner or name in ("scan", "while"):
    return inner * parameters.get("length", 1) if name == "scan" else inner
  if name in _FREE or not outputs or not _is_floating(outputs[0]):
    return 0.0
  if name == "dot_general":
    (contracted, _), _ = parameters["dimension_numbers"]
    return 2.0 * outputs[0].size * math.prod(inputs[0].shape[axis] for axis in contracted)
  return float(max(value.size for value in (*inputs, *outputs)))


def _jaxprs(parameters: Mapping[str, Any]) -> list[core.Jaxpr]:
  """Returns the jaxprs of a loop, a call or a custom derivative."""
  found = [getattr(value, "jaxpr", value) for value in parameters.values()]
  return [jaxpr for jaxpr in found if isinstance(jaxpr, core.Jaxpr)]


def _is_floating(aval: Any) -> bool:
  return hasattr(aval, "dtype") and jnp.issubdtype(aval.dtype, jnp.floating)
