"""Checkpoints: the whole state of a run, saved atomically, the newest few kept."""

import logging
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

__all__ = ["Checkpoints"]

_KEPT = 2


class Checkpoints:
  """The checkpoints of one run, in one folder; a context manager that waits for the last save."""

  def __init__(self, folder: Path):
    # Its log of every save would drown the progress bar.
    logging.getLogger("absl").setLevel(logging.WARNING)
    self._folder = folder
    self._manager = ocp.CheckpointManager(
      folder.absolute(), options=ocp.CheckpointManagerOptions(max_to_keep=_KEPT, create=True)
    )

  def __enter__(self) -> "Checkpoints":
    return self

  def __exit__(self, *exception) -> None:
    self._manager.close()

  @property
  def latest(self) -> int | None:
    """The step of the newest checkpoint, None if there is none."""
    return self._manager.latest_step()

  def save(self, step: int, state: Any) -> None:
    """Saves in the background; a step that is saved already is left alone."""
    if step == self.latest:
      return
    # The next step reuses the donated buffers, which on a CPU the writer would read from.
    copy = jax.tree.map(jnp.copy, state)
    self._manager.save(step, args=ocp.args.StandardSave(copy))

  def restore(self, like: Any) -> Any:
    """The newest state, in the structure, dtypes and placement of `like`.

    Raises:
      ValueError: if there is none, or it is damaged or of another model.
    """
    if self.latest is None:
      raise ValueError(f"There is no checkpoint in {self._folder}.")
    abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
    try:
      return self._manager.restore(self.latest, args=ocp.args.StandardRestore(abstract))
    except (ValueError, KeyError, OSError) as error:
      reason = str(error).strip().splitlines()[0]
      raise ValueError(
        f"The checkpoint of step {self.latest} in {self._folder} cannot be restored: {reason}"
      ) from error
