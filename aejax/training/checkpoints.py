"""Checkpoints: the whole state of a run, saved atomically, the newest few kept."""

import hashlib
import logging
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.sharding import SingleDeviceSharding
from jaxtyping import Array, Bool

from aejax.files import read_json, write_json

__all__ = ["AllCheckpoints", "Checkpoints"]

_KEPT = 2
_MANIFEST = "manifest.json"


class Checkpoints:
  """The checkpoints of one run, in one folder; a context manager that waits for the last save."""

  def __init__(self, folder: Path):
    # Its log of every save would drown the progress bar.
    logging.getLogger("absl").setLevel(logging.WARNING)
    self._folder = folder
    self._unsealed: tuple[int, dict[str, str]] | None = None
    self._manager = ocp.CheckpointManager(
      folder.absolute(), options=ocp.CheckpointManagerOptions(max_to_keep=_KEPT, create=True)
    )

  def __enter__(self) -> "Checkpoints":
    return self

  def __exit__(self, *exception) -> None:
    self._seal()
    self._manager.close()

  @property
  def latest(self) -> int | None:
    """The step of the newest checkpoint, None if there is none."""
    return self._manager.latest_step()

  def save(self, step: int, state: Any) -> None:
    """Saves in the background, if all of it is finite; a step that is saved already is left alone.

    Raises:
      ValueError: if it is no state that one can go on from.
    """
    if self.latest is not None and step <= self.latest:
      return
    if not _finite(state):
      raise ValueError(
        f"Training diverged: after {step:,} steps not all parameters are finite. A smaller "
        f"learning rate or weight may help."
      )
    self._seal()
    # The next step reuses the donated buffers, which on a CPU the writer would read from.
    copy = jax.tree.map(jnp.copy, state)
    self._manager.save(step, args=ocp.args.StandardSave(copy))
    self._unsealed = step, _leaves(state)

  def restore(self, like: Any, step: int | None = None) -> Any:
    """The newest state, in the structure and dtypes of `like`, on the first device.

    Args:
      like: the state of a fresh run, or its shapes and dtypes only.
      step: of an older one.

    Raises:
      ValueError: if there is none, or it is damaged or of another model.
    """
    step = self.latest if step is None else step
    if step is None or step not in self._manager.all_steps():
      which = "no checkpoint" if step is None else f"no checkpoint of step {step}"
      raise ValueError(f"There is {which} in {self._folder}.")
    self._check(step, _leaves(like))
    device = SingleDeviceSharding(jax.devices()[0])
    abstract = jax.tree.map(
      lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=device), like
    )
    try:
      return self._manager.restore(step, args=ocp.args.StandardRestore(abstract))
    except Exception as error:  # Orbax has no type for its own.
      reason = textwrap.shorten(str(error), 200)
      raise ValueError(
        f"The checkpoint of step {step} in {self._folder} cannot be restored: {reason}"
      ) from error

  def _seal(self) -> None:
    """Waits for the last save, and writes down what it should be."""
    self._manager.wait_until_finished()
    if self._unsealed is not None:
      step, leaves = self._unsealed
      folder = self._folder / str(step)
      files = {str(path.relative_to(folder)): _sum(path) for path in _files(folder)}
      write_json(folder / _MANIFEST, {"leaves": leaves, "files": files})
      self._unsealed = None

  def _check(self, step: int, leaves: dict[str, str]) -> None:
    """Orbax meets damage with pages of errors from its threads, or not at all."""
    folder = self._folder / str(step)
    if not (folder / _MANIFEST).is_file():  # a run that was killed had no time for it
      return
    manifest = read_json(folder / _MANIFEST)
    for name, checksum in manifest["files"].items():
      if not (folder / name).is_file() or _sum(folder / name) != checksum:
        raise ValueError(f"The checkpoint {folder} is damaged: {name} is missing or has changed.")
    for name in sorted({*leaves, *manifest["leaves"]}):
      found, expected = manifest["leaves"].get(name, "absent"), leaves.get(name, "absent")
      if found != expected:
        raise ValueError(
          f"The checkpoint {folder} is of another model: {name} is {found} in it, not {expected}."
        )


class AllCheckpoints:
  """The checkpoints of runs that are trained together, each in its own folder."""

  def __init__(self, folders: Sequence[Path]):
    self._runs = [Checkpoints(folder / "checkpoints") for folder in folders]

  def __enter__(self) -> "AllCheckpoints":
    return self

  def __exit__(self, *exception) -> None:
    for run in self._runs:
      run.__exit__(*exception)

  def save(self, step: int, states: Sequence[Any]) -> None:
    """Saves each run's state, as `Checkpoints.save` does."""
    for run, state in zip(self._runs, states, strict=True):
      run.save(step, state)

  def restore(self, fresh: Sequence[Any]) -> tuple[int, Sequence[Any]]:
    """The newest step that all runs have saved, and their states; step 0 is the `fresh` ones.

    A run that was killed while it saved may have left some of them a checkpoint ahead.
    """
    latest = [run.latest for run in self._runs]
    if None in latest:
      return 0, fresh
    step = min(step for step in latest if step is not None)
    return step, [run.restore(s, step) for run, s in zip(self._runs, fresh, strict=True)]


@jax.jit
def _finite(tree: Any) -> Bool[Array, ""]:
  leaves = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
  return jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]).all()


def _leaves(tree: Any) -> dict[str, str]:
  return {
    jax.tree_util.keystr(path): f"{leaf.dtype}{list(leaf.shape)}"
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
  }


def _files(folder: Path) -> list[Path]:
  return [path for path in folder.rglob("*") if path.is_file() and path.name != _MANIFEST]


def _sum(path: Path) -> str:
  with path.open("rb") as file:
    return hashlib.file_digest(file, "sha256").hexdigest()
