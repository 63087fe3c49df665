"""Means of |x_i − y_j| in one dimension, by sorting: n log n time, memory linear in n.

The derivative of such a mean is a difference of ranks. Points that coincide must have the same
derivative, so the ranks are those of the whole group. XLA may compute an array once for each of its
consumers and round it differently there. Only the sorted array is certain to be in memory, so
groups are found there.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from aejax.distances._sharding import SINGLE_DEVICE, Shard
from aejax.distances._sorting import permuted, sort_with_order

__all__ = ["cross_mean_distance", "self_mean_distance"]

Line = Float[Array, "n 1"]
Numbers = Int[Array, "n 1"]


def self_mean_distance(
  x: Line, *, unbiased: bool = False, shard: Shard = SINGLE_DEVICE
) -> Float[Array, ""]:
  """Returns the mean of |x_i − x_j| over all pairs, or over i ≠ j if `unbiased`."""
  n = len(x)
  mean = _mean(_self_slopes, x - lax.stop_gradient(x.mean(0))) / shard.count
  return shard.sum(mean * (n / (n - 1)) if unbiased else mean)


def cross_mean_distance(
  x: Line, y: Float[Array, "m 1"], *, shard: Shard = SINGLE_DEVICE
) -> Float[Array, ""]:
  """Returns the mean of |x_i − y_j| over all pairs."""
  both = jnp.concatenate([x, y])
  slopes = functools.partial(_cross_slopes, len(x))
  return shard.sum(_mean(slopes, both - lax.stop_gradient(both.mean(0))) / shard.count)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _mean(slopes: Callable[[Line, Numbers], Line], x: Line) -> Float[Array, ""]:
  """Returns a mean of distances, given its derivative for each of the sorted points.

  The mean is homogeneous of degree one. By Euler's theorem it is the inner product of the points
  with the derivatives.
  """
  values, order = sort_with_order(x)
  return _inner(slopes(values, order), values)


@_mean.defjvp
def _(slopes: Any, primals: Any, tangents: Any) -> tuple[Array, Array]:
  values, order = sort_with_order(*primals)
  # A NaN among the points makes all sorted values NaN, and must reach the gradient.
  derivatives = slopes(values, order) * jnp.where(jnp.isnan(values), values, 1)
  return _inner(derivatives, values), _inner(derivatives, permuted(order, *tangents))


def _self_slopes(values: Line, order: Numbers) -> Line:
  n = len(values)
  before, up_to = _counts(values, jnp.ones_like(order))
  return (before + up_to - n).astype(values.dtype) * (2 / n / n)


def _cross_slopes(n: int, values: Line, order: Numbers) -> Line:
  m = len(values) - n
  of_x = order < n
  (x_before, x_up_to), (y_before, y_up_to) = (
    _counts(values, of_one.astype(order.dtype)) for of_one in (of_x, ~of_x)
  )
  balance = jnp.where(of_x, y_before + y_up_to - m, x_before + x_up_to - n)
  return balance.astype(values.dtype) * (1 / n / m)


def _counts(values: Line, counted: Numbers) -> tuple[Numbers, Numbers]:
  """Returns how many counted points lie below each point's group, and how many up to its end."""
  total = jnp.cumsum(counted, axis=0)
  is_last = jnp.pad(values[1:] != values[:-1], ((0, 1), (0, 0)), constant_values=True)
  is_first = jnp.pad(is_last[:-1], ((1, 0), (0, 0)), constant_values=True)
  before = lax.cummax(jnp.where(is_first, total - counted, 0), axis=0)
  up_to = lax.cummin(jnp.where(is_last, total, len(values)), axis=0, reverse=True)
  return before, up_to


def _inner(slopes: Line, values: Line) -> Float[Array, ""]:
  return jnp.sum(slopes * values)
