"""Counts floating-point operations of a JAX function on one device, with all loop iterations.

XLA's `cost_analysis` counts the body of a loop once, which is wrong for tiled sums. This count is
of the traced program, before XLA simplifies it, so use it for ratios.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

__all__ = ["count_flops"]

# Primitives that move numbers without computing any.
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

  A matrix product counts two operations per multiplication. Another primitive counts one per output
  number, a reduction one per input number. Under `shard_map`, the count is that of one device. A
  condition counts its most expensive branch. A loop without a fixed length counts once.

  Args:
    function: function to trace; it is not run.
    arguments: arrays or `jax.ShapeDtypeStruct`s.
  """
  return _count(jax.make_jaxpr(function)(*arguments).jaxpr)


def _count(jaxpr: core.Jaxpr) -> float:
  return sum(map(_count_equation, jaxpr.eqns))


def _count_equation(equation) -> float:
  name, parameters = equation.primitive.name, equation.params
  if name == "cond":
    return max(_count(branch.jaxpr) for branch in parameters["branches"])
  inner = sum(_count(jaxpr) for jaxpr in _jaxprs(parameters))
  if inner or name in ("scan", "while"):
    return inner * parameters.get("length", 1) if name == "scan" else inner
  if name in _FREE or not equation.outvars or not _is_floating(equation.outvars[0].aval):
    return 0.0
  output = equation.outvars[0].aval
  if name == "dot_general":
    (contracted, _), _ = parameters["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    return 2.0 * output.size * math.prod(shape[axis] for axis in contracted)
  return float(max(v.aval.size for v in (*equation.invars, *equation.outvars)))


def _jaxprs(parameters) -> list[core.Jaxpr]:
  """Returns the inner programs of a loop, a call or a custom derivative."""
  found = [getattr(value, "jaxpr", value) for value in parameters.values()]
  return [jaxpr for jaxpr in found if isinstance(jaxpr, core.Jaxpr)]


def _is_floating(aval) -> bool:
  return hasattr(aval, "dtype") and jnp.issubdtype(aval.dtype, jnp.floating)
