"""Where a run computes: on one device, or on all of them as on one.

The step is written for the global batch. Placed on a mesh, the parameters whole on each device and
the batch cut along its rows, it is divided by XLA, and the distances divide their own work; the
result is that of one device.
"""

from typing import Any

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Num

__all__ = ["check_batch_size", "devices_mesh", "everywhere", "split_rows"]

_AXIS = "data"


def devices_mesh() -> Mesh | None:
  """A mesh of all devices; None where there is one only, which needs no mesh."""
  if jax.device_count() == 1:
    return None
  return jax.make_mesh((jax.device_count(),), (_AXIS,), axis_types=(AxisType.Auto,))


def everywhere(tree: Any, mesh: Mesh | None) -> Any:
  """Puts a copy on each device of the mesh."""
  return tree if mesh is None else jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def split_rows(batch: Num[Array, "n *shape"], mesh: Mesh | None) -> Num[Array, "n *shape"]:
  """Inside a jitted function: each device of the mesh has an equal part of the rows."""
  if mesh is None:
    return batch
  return jax.lax.with_sharding_constraint(batch, NamedSharding(mesh, PartitionSpec(_AXIS)))


def check_batch_size(batch_size: int, devices: int) -> None:
  """Refuses a batch that does not divide by the number of devices.

  Raises:
    ValueError: with the nearest sizes that do.
  """
  if batch_size % devices:
    below = batch_size // devices * devices
    nearest = f"{below} or {below + devices}" if below else f"{devices}"
    raise ValueError(
      f"batch_size must be a multiple of the {devices} devices, but is {batch_size}: the nearest "
      f"{'are' if below else 'is'} {nearest}."
    )
