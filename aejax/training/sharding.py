"""Where a run computes: on one device, or on all of them, in any number of processes, as on one.

The step is written for the global batch. Placed on a mesh, it is divided by XLA, and the distances
divide their own work; the result is that of one device. The images lie in equal parts on the
devices, and so does each batch. Parameters are whole everywhere, but for large arrays: these are
cut too, and gathered where they are used.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Int, UInt8

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

_AXIS = "data"

# Arrays of the state that are cut over the devices: from so many numbers on, 64 MiB in float32.
_LARGE = 2**24


def devices_mesh() -> Mesh | None:
  """A mesh of all devices of all processes; None where there is one only, which needs no mesh."""
  if jax.device_count() == 1:
    return None
  return jax.make_mesh((jax.device_count(),), (_AXIS,), axis_types=(AxisType.Auto,))


def shardings(state: Any, mesh: Mesh) -> Any:
  """For each array of a state, whether it is whole on each device or cut over them.

  Large ones are cut along the longest axis that divides by the number of devices, so that
  parameters and optimizer state of a large network take memory for a fraction of each.
  """

  def one(leaf):
    fits = [axis for axis, length in enumerate(leaf.shape) if length % mesh.size == 0]
    if leaf.size < _LARGE or not fits:
      return NamedSharding(mesh, PartitionSpec())
    longest = max(fits, key=lambda axis: leaf.shape[axis])
    # As JAX writes it: another spelling of the same would be compiled for anew.
    return NamedSharding(mesh, PartitionSpec(*[None] * longest, _AXIS))

  return jax.tree.map(one, state)


def shard_state(state: Any, mesh: Mesh | None) -> Any:
  """Puts a state on the mesh as `shardings` has it."""
  return state if mesh is None else jax.tree.map(_put, state, shardings(state, mesh))


def replicate(tree: Any, mesh: Mesh | None) -> Any:
  """Puts a copy on each device of the mesh."""
  if mesh is None:
    return tree
  whole = NamedSharding(mesh, PartitionSpec())
  return jax.tree.map(lambda leaf: _put(leaf, whole), tree)


def shard_images(
  images: UInt8[np.ndarray, "n h w c"] | LazyImages, mesh: Mesh | None
) -> UInt8[Array, "m h w c"]:
  """Puts equal parts of the images on the devices; a process reads its own parts only.

  Returns:
    The images, filled up with black ones to a multiple of the number of devices.
  """
  if mesh is None:
    return jnp.asarray(np.asarray(images))
  own = -(-len(images) // mesh.size)

  def part(index):
    rows = images[index[0]]
    return np.pad(rows, [(0, own - len(rows)), (0, 0), (0, 0), (0, 0)])

  shape = (own * mesh.size, *images.shape[1:])
  return jax.make_array_from_callback(shape, NamedSharding(mesh, PartitionSpec(_AXIS)), part)


def take_rows(
  images: UInt8[Array, "n h w c"], rows: Int[Array, " b"], mesh: Mesh | None
) -> UInt8[Array, "b h w c"]:
  """Inside a jitted function: a batch of the images, an equal part of it on each device.

  Each device looks up those of the rows that it holds. Left to itself, XLA would gather all images
  on every device first.
  """
  if mesh is None:
    return images[rows]

  def part(own, rows):
    shard_state = rows - lax.axis_index(_AXIS) * len(own)
    held = ((shard_state >= 0) & (shard_state < len(own)))[:, None, None, None]
    found = jnp.where(held, own.at[shard_state].get(mode="clip"), 0)
    # Every image is on one device; on all others it is zero.
    return lax.psum_scatter(found, _AXIS, tiled=True)

  cut = PartitionSpec(_AXIS)
  return jax.shard_map(
    part, mesh=mesh, in_specs=(cut, PartitionSpec()), out_specs=cut, check_vma=False
  )(images, rows)


def constrain_sharding(state: Any, mesh: Mesh | None) -> Any:
  """Inside a jitted function: the state stays as `shardings` has it."""
  if mesh is None:
    return state
  return jax.tree.map(lax.with_sharding_constraint, state, shardings(state, mesh))


def check_batch_size(batch_size: int, devices: int, accumulate: int = 1) -> None:
  """Refuses a batch that does not divide by the number of devices, and of parts.

  Raises:
    ValueError: with the nearest sizes that do.
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
    # Between processes JAX puts numbers only.
    data = jax.device_put(jax.random.key_data(leaf), sharding)
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
  return jax.device_put(leaf, sharding)
