"""Sorting columns, fast on each kind of device, with the permutation as the derivative."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

__all__ = ["sort_columns"]

# Rows up to which a network wins; beyond, its n log² n comparisons are too many passes over memory.
_NETWORK_ROWS = 1024


@jax.custom_jvp
def sort_columns(x: Float[Array, "n num"]) -> Float[Array, "n num"]:
  """Sorts each column upwards; a column with a NaN in it becomes NaN.

  On a CPU, where XLA's own sort calls a comparison for each pair: few rows by a network of minima
  and maxima across whole rows, more of them as integers that hold value and row, which XLA sorts
  without such calls. Elsewhere by XLA's.
  """
  on_cpu = _network_values if x.shape[0] <= _NETWORK_ROWS else lambda x: _packed(x)[0]
  return lax.platform_dependent(x, cpu=on_cpu, default=_xla_values)


@sort_columns.defjvp
def _(primals, tangents):
  (x,), (dx,) = primals, tangents
  on_cpu = _network_values_and_order if x.shape[0] <= _NETWORK_ROWS else _packed
  values, order = lax.platform_dependent(x, cpu=on_cpu, default=_xla_values_and_order)
  return values, jnp.take_along_axis(dx, order, axis=0)


def _xla_values(x):
  return _mark_nan(x, jnp.sort(x, axis=0))


def _xla_values_and_order(x):
  rows = lax.broadcasted_iota(jnp.int32, x.shape, 0)
  values, order = lax.sort((x, rows), dimension=0, num_keys=1)
  return _mark_nan(x, values), order


def _packed(x):
  """Values and order by one sort of 64-bit integers: an order-preserving key above the row."""
  if x.dtype != jnp.float32:
    return _xla_values_and_order(x)
  sign = jnp.uint32(1 << 31)
  bits = lax.bitcast_convert_type(x, jnp.uint32).T
  keys = jnp.where(bits >= sign, ~bits, bits | sign)
  rows = lax.broadcasted_iota(jnp.uint32, keys.shape, 1)
  with jax.enable_x64(True):
    both = lax.bitcast_convert_type(jnp.stack([rows, keys], -1), jnp.uint64)
    both = lax.bitcast_convert_type(lax.sort(both, dimension=1, is_stable=False), jnp.uint32)
  rows, keys = both[..., 0].T, both[..., 1].T
  bits = jnp.where(keys >= sign, keys ^ sign, ~keys)
  values = lax.bitcast_convert_type(bits, jnp.float32)
  return _mark_nan(x, values), rows.astype(jnp.int32)


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
