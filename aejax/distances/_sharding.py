"""One batch on many devices: what each of them computes, and how the parts make the whole.

Distances between laws do not average over devices, so every device sees all latents, n·d numbers;
what grows faster than that, pairs or slices, is divided.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

__all__ = ["SINGLE_DEVICE", "Shard", "all_gather_rows", "replicated", "sharded", "split_rows"]

AxisName = str | tuple[str, ...] | None


def all_gather_rows(z: jax.Array, axis_name: AxisName) -> jax.Array:
  """The rows of every device along `axis_name`: the global batch, the same on each.

  The transpose of `all_gather` sums what the devices send back, and so does that of `psum`: a
  gradient is the device count times too large until `pmean(grads)` divides by it.
  """
  return z if axis_name is None else lax.all_gather(z, axis_name, tiled=True)


def replicated(x: jax.Array, axis_name: AxisName) -> jax.Array:
  """What every device computed from gathered rows, declared to be the same on each."""
  return x if axis_name is None else lax.pmean(x, axis_name)


@dataclasses.dataclass(frozen=True)
class Shard:
  """This device's share of work on arrays of which every device has the whole.

  Attributes:
    names: of the mapped axes over which the work is divided; none on a single device.
  """

  names: tuple[str, ...] = ()

  @property
  def count(self) -> int:
    """How many devices share the work."""
    return lax.axis_size(self.names) if self.names else 1

  @property
  def index(self) -> int | Array:
    """Which of the shares is this device's."""
    return lax.axis_index(self.names) if self.names else 0

  def sum(self, part: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The sum of all devices' parts."""
    return lax.psum(part, self.names) if self.names else part

  def mean(self, function: Callable[..., Array], *rows: Array) -> Float[Array, ""]:
    """Mean over all rows of a function that gives one number a row."""
    n = rows[0].shape[0]
    if not self.names:
      return jnp.mean(function(*rows))
    own, place = self._own(*rows)
    return self.sum(jnp.sum(jnp.where(place < n, function(*own), 0))) / n

  def each(self, function: Callable[..., Array], *rows: Array) -> Float[Array, " n"]:
    """That function's value of every row, on every device."""
    n = rows[0].shape[0]
    if not self.names:
      return function(*rows)
    own, place = self._own(*rows)
    # A sum of rows that are zero elsewhere: what `all_gather` returns is not known to be the same
    # on all devices.
    return self.sum(jnp.zeros(n, rows[0].dtype).at[place].set(function(*own), mode="drop"))

  def _own(self, *rows):
    """This device's rows, filled up with zeros to the same number everywhere, and their places."""
    n, own = rows[0].shape[0], -(-rows[0].shape[0] // self.count)
    first = self.index * own

    def take(v):
      filled = jnp.pad(v, [(0, own * self.count - n)] + [(0, 0)] * (v.ndim - 1))
      return lax.dynamic_slice_in_dim(filled, first, own)

    return [take(v) for v in rows], first + jnp.arange(own)


SINGLE_DEVICE = Shard()


def sharded(
  statistic: Callable[..., Float[Array, ""]], *arguments: Any, axis_name: AxisName
) -> Float[Array, ""]:
  """`statistic(share, *arguments)` with the work divided over devices.

  Under a mapped axis these are the devices along it, and the arguments are to be gathered already.
  Otherwise, where the arguments live on a mesh (jit with NamedSharding), they are all of its
  devices: XLA by itself would partition neither a loop over tiles nor a sort.

  Args:
    statistic: linear in nothing, but the same on every device: it sums its parts by `share`.
    arguments: arrays, or pytrees of them.
    axis_name: of the mapped axis, or None.
  """
  if axis_name is not None:
    names = (axis_name,) if isinstance(axis_name, str) else tuple(axis_name)
    return statistic(Shard(names), *arguments)
  mesh = _mesh_of(arguments)
  if mesh is None:
    return statistic(SINGLE_DEVICE, *arguments)
  # Axes that are mapped already ("Manual") are not ours: a caller who gives no name there wants the
  # value of its own rows.
  names = _free(mesh)
  if all(mesh.shape[name] == 1 for name in names):
    return statistic(SINGLE_DEVICE, *arguments)
  everywhere = PartitionSpec()
  if AxisType.Explicit in mesh.axis_types:
    whole = NamedSharding(mesh, everywhere)
    arguments = jax.tree.map(lambda v: jax.sharding.reshard(v, whole), arguments)
  return jax.shard_map(
    lambda *whole: statistic(Shard(names), *whole),
    mesh=mesh,
    in_specs=everywhere,
    out_specs=everywhere,
    axis_names=set(names),
    check_vma=False,
  )(*arguments)


def split_rows(matrix: Float[Array, "n m"], like: Any) -> Float[Array, "n m"]:
  """A matrix made of arrays that live on a mesh, of whose rows each device has an equal part.

  XLA then divides what is computed of it. For what is not ours to divide; without a mesh, or if the
  rows do not divide by the devices, the matrix is left as it is.
  """
  mesh = _mesh_of(like)
  if mesh is None or AxisType.Auto not in mesh.axis_types:
    return matrix
  names = _free(mesh)
  if matrix.shape[0] % math.prod(mesh.shape[name] for name in names):
    return matrix
  return lax.with_sharding_constraint(matrix, NamedSharding(mesh, PartitionSpec(names)))


def _free(mesh):
  """The axes that are not mapped already."""
  return tuple(
    name
    for name, kind in zip(mesh.axis_names, mesh.axis_types, strict=True)
    if kind != AxisType.Manual
  )


def _mesh_of(arguments):
  """The mesh of the first of the arguments that has one."""
  meshes = [jax.typeof(leaf).sharding.mesh for leaf in jax.tree.leaves(arguments)]
  return next((mesh for mesh in meshes if not mesh.empty), None)
