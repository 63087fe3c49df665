"""Sharding: a run on one device, or on all devices of any number of processes, as on one device.

The step is written for the global batch. XLA divides it over the mesh, and the distances divide
their own work; the result is that of one device. The images and each batch lie in equal parts on
the devices. Small parameters are replicated; large arrays are sharded, and gathered where a
computation needs them.
"""

import math
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int, Num, PyTree

from aejax.data import LazyImages

__all__ = [
  "check_batch_size",
  "constrain_sharding",
  "devices_mesh",
  "replicate",
  "shard_images",
  "shard_state",
  "shardings",
  "take_rows",
]

T = TypeVar("T")

_AXIS = "data"

# Arrays of the state with at least this many entries are sharded: 64 MiB in float32.
_MIN_SHARDED_SIZE = 2**24


def devices_mesh() -> Mesh | None:
  """Returns a mesh of all devices of all processes; None for a single device, which needs none."""
  if jax.device_count() == 1:
    return None
  return jax.make_mesh((jax.device_count(),), (_AXIS,), axis_types=(AxisType.Auto,))


def shardings(state: PyTree, mesh: Mesh) -> PyTree:
  """Returns the sharding of each array of a state: replicated, or cut over the devices.

  A large array is cut along the longest axis whose length the number of devices divides, so that
  each device holds a fraction of a large network's parameters and optimizer state.
  """

  def sharding(leaf) -> NamedSharding:
    divisible = [axis for axis, length in enumerate(leaf.shape) if length % mesh.size == 0]
    if leaf.size < _MIN_SHARDED_SIZE or not divisible:
      return NamedSharding(mesh, PartitionSpec())
    longest = max(divisible, key=lambda axis: leaf.shape[axis])
    # JAX itself drops trailing None; an equivalent spec with them would be compiled again.
    return NamedSharding(mesh, PartitionSpec(*[None] * longest, _AXIS))

  return jax.tree.map(sharding, state)


def shard_state(state: T, mesh: Mesh | None) -> T:
  """Returns the state on the mesh, sharded as `shardings` says."""
  return state if mesh is None else jax.tree.map(_put, state, shardings(state, mesh))


def replicate(tree: T, mesh: Mesh | None) -> T:
  """Returns the tree with a copy on each device of the mesh."""
  if mesh is None:
    return tree
  replicated = NamedSharding(mesh, PartitionSpec())
  return jax.tree.map(lambda leaf: _put(leaf, replicated), tree)


def shard_images(
  images: Num[np.ndarray, "n ..."] | LazyImages, mesh: Mesh | None
) -> Num[Array, "m values"]:
  """Puts an equal part of the images on each device; a process reads only the parts of its own.

  Images are stored flat. A TPU would copy `[n, h, w, c]` into a padded layout on every call of the
  compiled loop: 4 GiB for CelebA.

  Returns:
    One row for each image, padded with black ones to a multiple of the number of devices.
  """
  size = math.prod(images.shape[1:])
  if mesh is None:
    return jnp.asarray(np.asarray(images).reshape(-1, size))
  per_device = -(-len(images) // mesh.size)

  def part(index):
    rows = images[index[0]].reshape(-1, size)
    return np.pad(rows, [(0, per_device - len(rows)), (0, 0)])

  shape = (per_device * mesh.size, size)
  return jax.make_array_from_callback(shape, NamedSharding(mesh, PartitionSpec(_AXIS)), part)


def take_rows(
  images: Num[Array, "n values"], rows: Int[Array, " b"], mesh: Mesh | None
) -> Num[Array, "b values"]:
  """Returns `images[rows]` inside a jitted function, an equal part of it on each device.

  Each device looks up those rows that it holds. For plain indexing, XLA would first gather all
  images on every device.
  """
  if mesh is None:
    return images[rows]

  def part(local_images, rows):
    local_rows = rows - lax.axis_index(_AXIS) * len(local_images)
    is_local = ((local_rows >= 0) & (local_rows < len(local_images)))[:, None]
    found = jnp.where(is_local, local_images.at[local_rows].get(mode="clip"), 0)
    # One device holds each image and the others have zeros, so the sum is the image.
    return lax.psum_scatter(found, _AXIS, tiled=True)

  sharded = PartitionSpec(_AXIS)
  return jax.shard_map(
    part, mesh=mesh, in_specs=(sharded, PartitionSpec()), out_specs=sharded, check_vma=False
  )(images, rows)


def constrain_sharding(state: T, mesh: Mesh | None) -> T:
  """Keeps a state inside a jitted function sharded as `shardings` says."""
  if mesh is None:
    return state
  return jax.tree.map(lax.with_sharding_constraint, state, shardings(state, mesh))


def check_batch_size(batch_size: int, devices: int, accumulate: int = 1) -> None:
  """Checks that the batch divides into equal parts over the devices, and those into `accumulate`.

  Raises:
    ValueError: if it does not; the sentence names the nearest sizes that do.
  """
  unit = devices * accumulate
  if batch_size % unit:
    below = batch_size // unit * unit
    nearest = f"{below} or {below + unit}" if below else f"{unit}"
    of = f"{devices} devices" if devices > 1 else ""
    parts = f"{accumulate} parts" if accumulate > 1 else ""
    raise ValueError(
      f"batch_size must be a multiple of the {' times '.join(filter(None, (of, parts)))}, but is "
      f"{batch_size}: the nearest {'are' if below else 'is'} {nearest}."
    )


def _put(leaf: Array, sharding: NamedSharding) -> Array:
  if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key) and leaf.sharding != sharding:
    # JAX moves numbers between processes, but not typed keys.
    data = jax.device_put(jax.random.key_data(leaf), sharding)
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
  return jax.device_put(leaf, sharding)
