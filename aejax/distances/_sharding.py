"""One batch on many devices: each device computes a part, and the parts give the global value.

The mean over devices of a distance between distributions is not the distance of the global batch.
So every device holds all latents, n·d numbers, and the work that grows faster, over pairs or
directions, is divided.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

__all__ = [
  "SINGLE_DEVICE",
  "AxisName",
  "Shard",
  "all_gather_rows",
  "mesh_size",
  "replicated",
  "sharded",
  "split_rows",
]

AxisName = str | tuple[str, ...] | None
"""Name of the mapped axis over which a batch is spread, several names, or None."""


def all_gather_rows(z: Float[Array, "n d"], axis_name: AxisName) -> Float[Array, "m d"]:
  """Returns the rows of all devices along `axis_name`: the global batch, the same on each device.

  The transposes of `all_gather` and of `psum` sum what the devices send back. A gradient is
  therefore too large by the number of devices until `pmean(grads)` divides by it.
  """
  return z if axis_name is None else lax.all_gather(z, axis_name, tiled=True)


def replicated(x: Float[Array, "*shape"], axis_name: AxisName) -> Float[Array, "*shape"]:
  """Declares that every device computed the same value from gathered rows."""
  return x if axis_name is None else lax.pmean(x, axis_name)


@dataclasses.dataclass(frozen=True)
class Shard:
  """This device's part of the work on arrays that every device holds entirely.

  Attributes:
    names: names of the mapped axes over which the work is divided; empty on a single device.
  """

  names: tuple[str, ...] = ()

  @property
  def count(self) -> int:
    """Number of devices that share the work."""
    return lax.axis_size(self.names) if self.names else 1

  @property
  def index(self) -> int | Array:
    """Index of this device's part."""
    return lax.axis_index(self.names) if self.names else 0

  def sum(self, part: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Returns the sum of the parts of all devices."""
    return lax.psum(part, self.names) if self.names else part

  def mean(self, function: Callable[..., Array], *rows: Array) -> Float[Array, ""]:
    """Returns the mean over all rows of a function that gives one number for each row."""
    n = rows[0].shape[0]
    if not self.names:
      return jnp.mean(function(*rows))
    local, index = self._local(*rows)
    return self.sum(jnp.sum(jnp.where(index < n, function(*local), 0))) / n

  def map(self, function: Callable[..., Array], *rows: Array) -> Float[Array, " n"]:
    """Returns the function's value of every row, on every device."""
    n = rows[0].shape[0]
    if not self.names:
      return function(*rows)
    local, index = self._local(*rows)
    # Sum vectors that are zero at other devices' rows: JAX does not know that the result of
    # `all_gather` is the same on all devices.
    return self.sum(jnp.zeros(n, rows[0].dtype).at[index].set(function(*local), mode="drop"))

  def _local(self, *rows: Array) -> tuple[list[Array], Array]:
    """Returns this device's rows, padded to the same number on all devices, and their indices."""
    n = rows[0].shape[0]
    length = -(-n // self.count)
    first = self.index * length

    def take(v: Array) -> Array:
      filled = jnp.pad(v, [(0, length * self.count - n)] + [(0, 0)] * (v.ndim - 1))
      return lax.dynamic_slice_in_dim(filled, first, length)

    return [take(v) for v in rows], first + jnp.arange(length)


SINGLE_DEVICE = Shard()


def sharded(
  statistic: Callable[..., Float[Array, ""]], *arguments: Any, axis_name: AxisName
) -> Float[Array, ""]:
  """Returns `statistic(shard, *arguments)` with its work divided over devices.

  Under a mapped axis these are the devices along it, and the arguments must be gathered already.
  Otherwise, if the arguments are sharded over a mesh (jit with NamedSharding), they are all
  devices of the mesh: XLA would not partition a loop over tiles or a sort.

  Args:
    statistic: called as `statistic(shard, *arguments)`; must return the same value on every device,
      reducing partial results with `shard.sum`.
    arguments: arrays, or pytrees of arrays.
    axis_name: name of the mapped axis, or None.
  """
  if axis_name is not None:
    names = (axis_name,) if isinstance(axis_name, str) else tuple(axis_name)
    return statistic(Shard(names), *arguments)
  mesh = _mesh_of(arguments)
  if mesh is None:
    return statistic(SINGLE_DEVICE, *arguments)
  # Skip axes already under `shard_map` (type Manual): without `axis_name` the caller wants the
  # per-device value.
  names = _unmapped(mesh)
  if all(mesh.shape[name] == 1 for name in names):
    return statistic(SINGLE_DEVICE, *arguments)
  replicate = PartitionSpec()
  if AxisType.Explicit in mesh.axis_types:
    sharding = NamedSharding(mesh, replicate)
    arguments = jax.tree.map(lambda v: jax.sharding.reshard(v, sharding), arguments)
  return jax.shard_map(
    lambda *gathered: statistic(Shard(names), *gathered),
    mesh=mesh,
    in_specs=replicate,
    out_specs=replicate,
    axis_names=set(names),
    check_vma=False,
  )(*arguments)


def split_rows(matrix: Float[Array, "n m"], like: Any) -> Float[Array, "n m"]:
  """Spreads the rows of a matrix equally over the mesh of the arrays that it is made of.

  XLA then divides the computations on it. This is for code that `sharded` cannot divide. Without a
  mesh, or if the number of devices does not divide the number of rows, the matrix is returned as
  it is.

  Args:
    matrix: the matrix.
    like: arrays, or pytrees of arrays, that may be sharded over a mesh.
  """
  mesh = _mesh_of(like)
  if mesh is None or AxisType.Auto not in mesh.axis_types:
    return matrix
  names = _unmapped(mesh)
  if matrix.shape[0] % math.prod(mesh.shape[name] for name in names):
    return matrix
  return lax.with_sharding_constraint(matrix, NamedSharding(mesh, PartitionSpec(names)))


def mesh_size(like: Any) -> int:
  """Returns the number of devices over which `split_rows` would spread rows."""
  mesh = _mesh_of(like)
  return 1 if mesh is None else math.prod(mesh.shape[name] for name in _unmapped(mesh))


def _unmapped(mesh: Any) -> tuple[str, ...]:
  """Returns the axes of a mesh that are not mapped already."""
  return tuple(
    name
    for name, kind in zip(mesh.axis_names, mesh.axis_types, strict=True)
    if kind != AxisType.Manual
  )


def _mesh_of(arguments: Any) -> Mesh | Any | None:
  """Returns the mesh of the first of the arguments that has one."""
  meshes = [jax.typeof(leaf).sharding.mesh for leaf in jax.tree.leaves(arguments)]
  return next((mesh for mesh in meshes if not mesh.empty), None)
