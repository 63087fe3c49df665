"""Checkpoints: the whole state of a run, saved atomically; the newest few are kept."""

import contextlib
import dataclasses
import os
import re
import secrets
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.sharding import Mesh, SingleDeviceSharding
from jaxtyping import PyTree

from aejax._files import check_space
from aejax._messages import AejaxWarning, warn
from aejax.training.distributed import connection_lost
from aejax.training.divergence import Diverged
from aejax.training.manifest import (
  Damaged,
  check_files,
  check_leaves,
  read_manifest,
  write_manifest,
)
from aejax.training.sharding import shardings
from aejax.training.step import all_finite

__all__ = ["Checkpoints"]

T = TypeVar("T")

# Version of the checkpoint layout, in manifest.json.
_FORMAT = 2


class Checkpoints:
  """The checkpoints of one run in one folder; a context manager that waits for the last save.

  Args:
    folder: folder of the checkpoints, on a disk that all processes share if there are several.
    keep: number of checkpoints to keep, the newest ones.
    all_processes: whether all processes save and restore together; otherwise this process does so
      alone.
    remove_partial: whether to remove the files of saves that were killed. No other process may be
      saving to the folder.
  """

  def __init__(
    self,
    folder: Path,
    *,
    keep: int = 2,
    all_processes: bool = False,
    remove_partial: bool = False,
  ):
    self._folder = folder
    self._damaged: set[int] = set()
    self._is_primary = jax.process_index() == 0 or not all_processes
    self._saving: tuple[int, PyTree] | None = None
    alone = jax.process_count() > 1 and not all_processes
    self._options = ocp.CheckpointManagerOptions(
      max_to_keep=keep,
      create=not alone,
      cleanup_tmp_directories=remove_partial,
      async_options=ocp.AsyncOptions(
        post_finalization_callback=self._write_manifest,
        # With asynchronous creation, a failed save leaves threads that block for minutes.
        create_directories_asynchronously=False,
      ),
    )
    if alone:
      self._options.multiprocessing_options = ocp.options.MultiprocessingOptions(
        primary_host=jax.process_index(),
        active_processes={jax.process_index()},
        barrier_sync_key_prefix=f"process{jax.process_index()}",
      )
    self._manager = ocp.CheckpointManager(folder.absolute(), options=self._options)

  def __enter__(self) -> "Checkpoints":
    return self

  def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
    if connection_lost(error) or kind is KeyboardInterrupt:
      # Another process has ended, or the user pressed Ctrl-C twice: do not block on the save.
      return
    try:
      self.wait()
      self._manager.close()
    except OSError as failure:
      if kind is None:
        raise
      # A filter may turn the warning into an error, which would replace the first one.
      with contextlib.suppress(AejaxWarning):
        warn(str(failure))

  @property
  def latest(self) -> int | None:
    """The step of the newest checkpoint that is not known to be damaged, None if there is none."""
    return max(self._undamaged(), default=None)

  def save(self, step: int, state: PyTree) -> None:
    """Saves a finite state in the background; does nothing if the step is saved already.

    Raises:
      Diverged: if a number of the state is not finite.
      OSError: if the previous save failed.
    """
    self.wait()
    if self.latest is not None and step <= self.latest:
      return
    if not _all_finite(state):
      raise Diverged()
    # The next step reuses the donated buffers, and on a CPU Orbax writes from these.
    copy = jax.tree.map(jnp.copy, state)
    self._saving = step, jax.eval_shape(lambda: state)
    with self._system_errors():
      if self._is_primary:
        check_space(self._folder, sum(leaf.nbytes for leaf in jax.tree.leaves(state)))
      self._manager.save(step, args=ocp.args.StandardSave(copy))

  def wait(self) -> None:
    """Waits for the last save.

    Raises:
      OSError: if it failed.
    """
    with self._system_errors():
      self._manager.wait_until_finished()
    self._saving = None

  def restore(
    self, like: T, step: int | None = None, mesh: Mesh | None = None, *, partial: bool = False
  ) -> T:
    """Returns the newest state, in the structure and dtypes of `like`.

    If a checkpoint is damaged, it warns and takes the one before.

    Args:
      like: state of a fresh run, or its shapes and dtypes.
      step: step of the checkpoint to take; by default the newest that is not damaged.
      mesh: mesh of the devices for the state; by default the first device of this process.
      partial: whether `like` has None in place of what is not to be restored.

    Raises:
      ValueError: if there is no undamaged checkpoint, or it belongs to another model.
    """
    if step is not None:
      if step not in self._undamaged():
        raise ValueError(f"There is no checkpoint of step {step} in {self._folder}.")
      return self._restore(like, step, mesh, partial)
    newest_error = ValueError(f"There is no checkpoint in {self._folder}.")
    for step in sorted(self._undamaged(), reverse=True):
      try:
        return self._restore(like, step, mesh, partial)
      except Damaged as error:
        self._damaged.add(step)
        newest_error = newest_error if isinstance(newest_error, Damaged) else error
        if self._is_primary:
          warn(f"{error} Looking for the one before.")
    raise newest_error

  def set_damaged_aside(self) -> None:
    """Moves the checkpoints that a restore found damaged to `damaged-STEP-…` next to the folder.

    Left in the folder, they would count as saved, and a resumed run could not save these steps.
    """
    for step in sorted(self._damaged):
      if self._is_primary:
        target = self._folder.with_name(f"damaged-{step}-{secrets.token_hex(2)}")
        (self._folder / str(step)).rename(target)
    if self._damaged:
      self._damaged.clear()
      self._manager.reload()

  def _undamaged(self) -> set[int]:
    return set(self._manager.all_steps()) - self._damaged

  def _restore(self, like: T, step: int, mesh: Mesh | None, partial: bool) -> T:
    folder = self._folder / str(step)
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    if manifest["format"] != _FORMAT:
      raise ValueError(
        f"The checkpoint {folder} was written by another version of aejax: its format is "
        f"{manifest['format']!r}, and this one reads {_FORMAT}."
      )
    check_leaves(folder, manifest, like, partial=partial)
    device = SingleDeviceSharding(jax.local_devices()[0])
    placement = jax.tree.map(lambda _: device, like) if mesh is None else shardings(like, mesh)
    abstract = jax.tree.map(
      lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
      like,
      placement,
    )
    try:
      if partial:
        return self._restore_part(folder / "default", abstract)
      restored: Any = self._manager.restore(step, args=ocp.args.StandardRestore(abstract))
    except Exception as error:  # Orbax has no exception type of its own
      reason = textwrap.shorten(str(error), 200)
      raise Damaged(
        f"The checkpoint of step {step} in {self._folder} cannot be restored: {reason}"
      ) from error
    return restored

  def _restore_part(self, folder: Path, abstract: T) -> T:
    item = _without_none(abstract)
    processes = self._options.multiprocessing_options
    handler = ocp.PyTreeCheckpointHandler(multiprocessing_options=processes)
    restore = ocp.args.PyTreeRestore(
      item=item,
      partial_restore=True,
      restore_args=ocp.checkpoint_utils.construct_restore_args(item),
    )
    with ocp.Checkpointer(handler, multiprocessing_options=processes) as checkpointer:
      restored = checkpointer.restore(folder.absolute(), args=restore)
    return jax.tree.unflatten(jax.tree.structure(abstract), _leaves_by_path(restored, abstract))

  def _write_manifest(self) -> None:
    """Writes the manifest; Orbax calls it when all files are written, before the final rename."""
    if self._saving is None or not self._is_primary:
      return
    step, state = self._saving
    unnamed = sorted(self._folder.glob(f"{step}.orbax-checkpoint-tmp*"))
    write_manifest(unnamed[0] if unnamed else self._folder / str(step), state, format=_FORMAT)

  @contextlib.contextmanager
  def _system_errors(self) -> Iterator[None]:
    """Raises the system's error behind a failed save as an OSError, and allows another save."""
    try:
      yield
    except Exception as error:
      if (number := _error_number(error)) is None or jax.process_count() > 1:
        raise
      with contextlib.suppress(Exception):
        self._manager.close()
      self._manager = ocp.CheckpointManager(self._folder.absolute(), options=self._options)
      self._saving = None
      raise OSError(number, os.strerror(number), str(self._folder)) from error


_all_finite = jax.jit(all_finite)


def _without_none(tree: Any) -> Any:
  """Returns a tree of dataclasses as nested dicts, without the entries that are None."""
  if not dataclasses.is_dataclass(tree):
    return tree
  fields = {field.name: getattr(tree, field.name) for field in dataclasses.fields(tree)}
  return {name: _without_none(value) for name, value in fields.items() if value is not None}


def _leaves_by_path(restored: Any, like: Any) -> list[Any]:
  """Returns the leaves of nested dicts in the order of the tree that they were made from."""
  found = {
    jax.tree_util.keystr(path, simple=True, separator="/"): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(restored)
  }
  paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(like)]
  return [found[jax.tree_util.keystr(path, simple=True, separator="/")] for path in paths]


def _error_number(error: BaseException | None) -> int | None:
  """Returns the system's error number behind an error of Orbax or TensorStore, if there is one."""
  while error is not None:
    if isinstance(error, OSError) and error.errno is not None:
      return error.errno
    if found := re.search(r"os_error_code='(\d+)'", str(error)):
      return int(found[1])
    error = error.__cause__ or error.__context__
  return None
