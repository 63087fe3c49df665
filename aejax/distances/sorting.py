"""Sorting columns, fast on each kind of device, with the permutation as the derivative."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

__all__ = ["sort_columns"]

# Rows from which on a network's n log² n comparisons, one pass over memory each, lose.
_MOST_ROWS = 2**16


@jax.custom_jvp
def sort_columns(x: Float[Array, "n num"]) -> Float[Array, "n num"]:
  """Sorts each column upwards; a column with a NaN in it becomes NaN.

  On a CPU, where XLA's own sort compares element by element, by a network of minima and maxima
  across whole rows; elsewhere by XLA's.
  """
  if x.shape[0] > _MOST_ROWS:
    return _xla_values(x)
  return lax.platform_dependent(x, cpu=_network_values, default=_xla_values)


@sort_columns.defjvp
def _(primals, tangents):
  (x,), (dx,) = primals, tangents
  if x.shape[0] > _MOST_ROWS:
    values, order = _xla_values_and_order(x)
  else:
    values, order = lax.platform_dependent(
      x, cpu=_network_values_and_order, default=_xla_values_and_order
    )
  return values, jnp.take_along_axis(dx, order, axis=0)


def _xla_values(x):
  return _mark_nan(x, jnp.sort(x, axis=0))


def _xla_values_and_order(x):
  rows = lax.broadcasted_iota(jnp.int32, x.shape, 0)
  values, order = lax.sort((x, rows), dimension=0, num_keys=1)
  return _mark_nan(x, values), order


def _network_values(x):
  n = x.shape[0]
  values = _filled(x)
  for stride, mirrored in _stages(values.shape[0]):
    low, high = _halves(values, stride, mirrored)
    values = _joined(jnp.minimum(low, high), jnp.maximum(low, high), mirrored)
  return _mark_nan(x, values[:n])


def _network_values_and_order(x):
  n = x.shape[0]
  values = _filled(x)
  order = lax.broadcasted_iota(jnp.int32, values.shape, 0)
  for stride, mirrored in _stages(values.shape[0]):
    low, high = _halves(values, stride, mirrored)
    first, second = _halves(order, stride, mirrored)
    stays = low <= high
    values = _joined(jnp.where(stays, low, high), jnp.where(stays, high, low), mirrored)
    order = _joined(jnp.where(stays, first, second), jnp.where(stays, second, first), mirrored)
  # What was filled in is infinite, and may have changed places with an infinite x.
  return _mark_nan(x, values[:n]), jnp.minimum(order[:n], n - 1)


@functools.lru_cache(maxsize=32)
def _stages(n: int) -> tuple[tuple[int, bool], ...]:
  """The bitonic network for n a power of two: (distance of the partners, whether mirrored).

  Each merge compares mirror images first, after which all comparisons point upwards.
  """
  stages, size = [], 1
  while size < n:
    stages.append((size, True))
    stages += [(size >> k, False) for k in range(1, size.bit_length())]
    size *= 2
  return tuple(stages)


def _filled(x: Float[Array, "n num"]) -> Float[Array, "m num"]:
  n = x.shape[0]
  return jnp.pad(x, ((0, (1 << (n - 1).bit_length()) - n), (0, 0)), constant_values=jnp.inf)


def _halves(v: Array, stride: int, mirrored: bool) -> tuple[Array, Array]:
  blocks = v.reshape(-1, 2, stride, v.shape[1])
  return blocks[:, 0], blocks[:, 1, ::-1] if mirrored else blocks[:, 1]


def _joined(low: Array, high: Array, mirrored: bool) -> Array:
  return jnp.stack([low, high[:, ::-1] if mirrored else high], 1).reshape(-1, low.shape[-1])


def _mark_nan(x: Float[Array, "n num"], values: Float[Array, "n num"]) -> Float[Array, "n num"]:
  return jnp.where(jnp.any(jnp.isnan(x), axis=0), jnp.nan, values)
