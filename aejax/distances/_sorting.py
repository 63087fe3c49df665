"""Sorts columns, fast on each kind of device, with the permutation as the derivative."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

__all__ = ["permuted", "sort_columns", "sort_with_order"]

# Number of rows up to which a sorting network is fastest on a CPU. With more rows, its n log² n
# comparisons are too many passes over memory.
_MAX_NETWORK_ROWS = 1024

Columns = Float[Array, "n num"]
Order = Int[Array, "n num"]


@jax.custom_jvp
def sort_columns(x: Columns) -> Columns:
  """Sorts each column in ascending order; a column that contains a NaN becomes NaN.

  XLA's own sort on a CPU calls a comparison function for each pair. There, few rows are sorted by a
  network of minima and maxima over entire rows, and more rows as integers that hold value and row,
  which XLA sorts without such calls. A GPU sorts along the last axis, where memory accesses are
  coalesced, and a TPU along the first.
  """
  on_cpu = _network_values if x.shape[0] <= _MAX_NETWORK_ROWS else lambda x: _packed(x)[0]
  return lax.platform_dependent(
    x, cpu=on_cpu, tpu=_xla_values, default=lambda x: _xla_values(x.T, axis=1).T
  )


@sort_columns.defjvp
def _(primals: tuple[Columns], tangents: tuple[Columns]) -> tuple[Columns, Columns]:
  (x,), (dx,) = primals, tangents
  on_cpu = _network_values_and_order if x.shape[0] <= _MAX_NETWORK_ROWS else _packed
  values, order = lax.platform_dependent(
    x,
    cpu=on_cpu,
    tpu=_xla_values_and_order,
    default=_xla_values_and_order_along_rows,
  )
  return values, permuted(order, dx)


def sort_with_order(x: Columns) -> tuple[Columns, Order]:
  """Returns sorted columns that are held in memory, and the row that each entry comes from.

  The network of `sort_columns` may meet two copies of `x` that are rounded differently.
  """
  return lax.platform_dependent(
    x,
    cpu=_packed,
    tpu=_xla_values_and_order,
    default=_xla_values_and_order_along_rows,
  )


def permuted(order: Order, v: Columns) -> Columns:
  """Returns the entries of each column in the given order.

  XLA would transpose this gather into a scatter, which accelerators execute slowly. A permutation
  matrix is orthogonal: its transpose is its inverse, and a second sort, by `order`, computes it.
  """

  def take(v: Columns) -> Columns:
    return jnp.take_along_axis(v, order, axis=0)

  def scatter(v: Columns) -> Columns:
    return jax.linear_transpose(take, v)(v)[0]

  def sort_back(order: Order, v: Columns, axis: int) -> Columns:
    return lax.sort((order, v), dimension=axis, num_keys=1, is_stable=False)[1]

  def inverse(_: object, v: Columns) -> Columns:
    return lax.platform_dependent(
      v,
      cpu=scatter,
      tpu=lambda v: sort_back(order, v, 0),
      default=lambda v: sort_back(order.T, v.T, 1).T,
    )

  # `scatter(y) = v` has the solution `y = take(v)`. This is a linear function with a transpose of
  # our own, in every mode of differentiation and under vmap.
  return lax.custom_linear_solve(scatter, v, lambda _, v: take(v), inverse)


def _xla_values(x: Float[Array, "a b"], axis: int = 0) -> Float[Array, "a b"]:
  return _mark_nan(x, lax.sort(x, dimension=axis, is_stable=False), axis)


def _xla_values_and_order(
  x: Float[Array, "a b"], axis: int = 0
) -> tuple[Float[Array, "a b"], Int[Array, "a b"]]:
  index = lax.broadcasted_iota(jnp.int32, x.shape, axis)
  values, order = lax.sort((x, index), dimension=axis, num_keys=1, is_stable=False)
  return _mark_nan(x, values, axis), order


def _xla_values_and_order_along_rows(x: Columns) -> tuple[Columns, Order]:
  values, order = _xla_values_and_order(x.T, axis=1)
  return values.T, order.T


def _packed(x: Columns) -> tuple[Columns, Order]:
  """Returns values and order from one sort of 64-bit integers: an ordered key above the row."""
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


def _network_values(x: Columns) -> Columns:
  n = x.shape[0]
  values = _filled(x)
  for stride, mirrored in _stages(values.shape[0]):
    low, high = _halves(values, stride, mirrored)
    values = _joined(jnp.minimum(low, high), jnp.maximum(low, high), mirrored)
  return _mark_nan(x, values[:n])


def _network_values_and_order(x: Columns) -> tuple[Columns, Order]:
  n = x.shape[0]
  values = _filled(x)
  order = lax.broadcasted_iota(jnp.int32, values.shape, 0)
  for stride, mirrored in _stages(values.shape[0]):
    low, high = _halves(values, stride, mirrored)
    first, second = _halves(order, stride, mirrored)
    stays = low <= high
    values = _joined(jnp.where(stays, low, high), jnp.where(stays, high, low), mirrored)
    order = _joined(jnp.where(stays, first, second), jnp.where(stays, second, first), mirrored)
  # The padding is infinite and may have changed places with an infinite x.
  return _mark_nan(x, values[:n]), jnp.minimum(order[:n], n - 1)


@functools.lru_cache(maxsize=32)
def _stages(n: int) -> tuple[tuple[int, bool], ...]:
  """Returns the bitonic network for n a power of two: (distance of partners, mirrored or not).

  Each merge compares mirror images first; after that, all comparisons point upwards.
  """
  stages, size = [], 1
  while size < n:
    stages.append((size, True))
    stages += [(size >> k, False) for k in range(1, size.bit_length())]
    size *= 2
  return tuple(stages)


def _filled(x: Columns) -> Float[Array, "m num"]:
  n = x.shape[0]
  return jnp.pad(x, ((0, (1 << (n - 1).bit_length()) - n), (0, 0)), constant_values=jnp.inf)


def _halves(v: Array, stride: int, mirrored: bool) -> tuple[Array, Array]:
  blocks = v.reshape(-1, 2, stride, v.shape[1])
  return blocks[:, 0], blocks[:, 1, ::-1] if mirrored else blocks[:, 1]


def _joined(low: Array, high: Array, mirrored: bool) -> Array:
  return jnp.stack([low, high[:, ::-1] if mirrored else high], 1).reshape(-1, low.shape[-1])


def _mark_nan(
  x: Float[Array, "a b"], values: Float[Array, "a b"], axis: int = 0
) -> Float[Array, "a b"]:
  return jnp.where(jnp.any(jnp.isnan(x), axis=axis, keepdims=True), jnp.nan, values)
