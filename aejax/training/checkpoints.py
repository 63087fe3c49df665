"""Checkpoints: the whole state of a run, saved atomically, the newest few kept."""

import hashlib
import logging
import secrets
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.sharding import Mesh, SingleDeviceSharding
from jaxtyping import Array, Bool

from aejax.files import read_json, write_json
from aejax.training.devices import shardings
from aejax.training.processes import connection_lost

__all__ = ["AllCheckpoints", "Checkpoints"]

_KEPT = 2
_MANIFEST = "manifest.json"


class Damaged(ValueError):
  """A checkpoint is not what was saved."""


class Checkpoints:
  """The checkpoints of one run, in one folder; a context manager that waits for the last save.

  Args:
    folder: on a disk that all processes share, if there are several.
    everyone: whether all processes save and restore together, or this one alone.
  """

  def __init__(self, folder: Path, *, everyone: bool = False):
    # Its log of every save would drown the progress bar.
    logging.getLogger("absl").setLevel(logging.WARNING)
    self._folder = folder
    self._unsealed: tuple[int, dict[str, str]] | None = None
    self._damaged: set[int] = set()
    self._seals = jax.process_index() == 0 or not everyone
    alone = jax.process_count() > 1 and not everyone
    options = ocp.CheckpointManagerOptions(max_to_keep=_KEPT, create=not alone)
    if alone:
      options.multiprocessing_options = ocp.options.MultiprocessingOptions(
        primary_host=jax.process_index(),
        active_processes={jax.process_index()},
        barrier_sync_key_prefix=f"process{jax.process_index()}",
      )
    self._manager = ocp.CheckpointManager(folder.absolute(), options=options)

  def __enter__(self) -> "Checkpoints":
    return self

  def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
    if connection_lost(error):
      return  # waiting for the others would be in vain
    self._seal()
    self._manager.close()

  @property
  def latest(self) -> int | None:
    """The step of the newest checkpoint that is not known to be damaged, None if there is none."""
    return max(self._whole(), default=None)

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

  def restore(self, like: Any, step: int | None = None, mesh: Mesh | None = None) -> Any:
    """The newest state, in the structure and dtypes of `like`.

    A damaged checkpoint is told of on stderr, and the one before it taken.

    Args:
      like: the state of a fresh run, or its shapes and dtypes only.
      step: of an older one, and no other.
      mesh: of the devices to put it on; by default, this process's first device.

    Raises:
      ValueError: if there is none that is whole, or it is of another model.
    """
    if step is not None:
      if step not in self._whole():
        raise ValueError(f"There is no checkpoint of step {step} in {self._folder}.")
      return self._restore(like, step, mesh)
    first = ValueError(f"There is no checkpoint in {self._folder}.")
    for step in sorted(self._whole(), reverse=True):
      try:
        return self._restore(like, step, mesh)
      except Damaged as error:
        self._damaged.add(step)
        first = first if isinstance(first, Damaged) else error
        if self._seals:
          print(f"warning: {error} Looking for the one before.", file=sys.stderr)
    raise first

  def set_damaged_aside(self) -> None:
    """Moves checkpoints that turned out to be damaged to `damaged-STEP` beside the folder.

    Where they are, they would stand for steps that are yet to be saved.
    """
    for step in sorted(self._damaged):
      if self._seals:
        target = self._folder.with_name(f"damaged-{step}-{secrets.token_hex(2)}")
        (self._folder / str(step)).rename(target)
    if self._damaged:
      self._damaged.clear()
      self._manager.reload()

  def _whole(self) -> set[int]:
    return set(self._manager.all_steps()) - self._damaged

  def _restore(self, like: Any, step: int, mesh: Mesh | None) -> Any:
    self._check(step, _leaves(like))
    device = SingleDeviceSharding(jax.local_devices()[0])
    where = jax.tree.map(lambda _: device, like) if mesh is None else shardings(like, mesh)
    abstract = jax.tree.map(
      lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
      like,
      where,
    )
    try:
      return self._manager.restore(step, args=ocp.args.StandardRestore(abstract))
    except Exception as error:  # Orbax has no type for its own.
      reason = textwrap.shorten(str(error), 200)
      raise Damaged(
        f"The checkpoint of step {step} in {self._folder} cannot be restored: {reason}"
      ) from error

  def _seal(self) -> None:
    """Waits for the last save, and writes down what it should be."""
    self._manager.wait_until_finished()
    if self._unsealed is not None and self._seals:
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
    try:
      manifest = read_json(folder / _MANIFEST)
    except ValueError as error:
      raise Damaged(f"The checkpoint {folder} is damaged: {error}") from error
    for name, checksum in manifest["files"].items():
      if not (folder / name).is_file() or _sum(folder / name) != checksum:
        raise Damaged(f"The checkpoint {folder} is damaged: {name} is missing or has changed.")
    for name in sorted({*leaves, *manifest["leaves"]}):
      found, expected = manifest["leaves"].get(name, "absent"), leaves.get(name, "absent")
      if found != expected:
        raise ValueError(
          f"The checkpoint {folder} is of another model: {name} is {found} in it, not {expected}."
        )


class AllCheckpoints:
  """The checkpoints of runs that are trained together, each in its own folder."""

  def __init__(self, folders: Sequence[Path]):
    self._runs = [Checkpoints(folder / "checkpoints", everyone=True) for folder in folders]

  def __enter__(self) -> "AllCheckpoints":
    return self

  def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
    for run in self._runs:
      run.__exit__(kind, error, traceback)

  def save(self, step: int, states: Sequence[Any]) -> None:
    """Saves each run's state, as `Checkpoints.save` does."""
    for run, state in zip(self._runs, states, strict=True):
      run.save(step, state)

  def restore(self, fresh: Sequence[Any], mesh: Mesh | None) -> tuple[int, Sequence[Any]]:
    """The newest step that all runs have saved, and their states; step 0 is the `fresh` ones.

    A run that was killed while it saved may have left some of them a checkpoint ahead.
    """
    if any(run.latest is None for run in self._runs):
      return 0, fresh
    states = [run.restore(state, mesh=mesh) for run, state in zip(self._runs, fresh, strict=True)]
    for run in self._runs:
      run.set_damaged_aside()
    latest = [run.latest for run in self._runs if run.latest is not None]
    step = min(latest)
    for k, run in enumerate(self._runs):
      if latest[k] > step:
        states[k] = run.restore(fresh[k], step, mesh)
    return step, states


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
