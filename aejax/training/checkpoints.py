"""Checkpoints: the whole state of a run, saved atomically; the newest few are kept."""

import contextlib
import os
import re
import secrets
import textwrap
from collections.abc import Iterator, Sequence
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

__all__ = ["CheckpointGroup", "Checkpoints"]

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

  def restore(self, like: T, step: int | None = None, mesh: Mesh | None = None) -> T:
    """Returns the newest state, in the structure and dtypes of `like`.

    If a checkpoint is damaged, it warns and takes the one before.

    Args:
      like: state of a fresh run, or its shapes and dtypes.
      step: step of the checkpoint to take; by default the newest that is not damaged.
      mesh: mesh of the devices for the state; by default the first device of this process.

    Raises:
      ValueError: if there is no undamaged checkpoint, or it belongs to another model.
    """
    if step is not None:
      if step not in self._undamaged():
        raise ValueError(f"There is no checkpoint of step {step} in {self._folder}.")
      return self._restore(like, step, mesh)
    newest_error = ValueError(f"There is no checkpoint in {self._folder}.")
    for step in sorted(self._undamaged(), reverse=True):
      try:
        return self._restore(like, step, mesh)
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

  def _restore(self, like: T, step: int, mesh: Mesh | None) -> T:
    folder = self._folder / str(step)
    manifest = read_manifest(folder)
    check_files(folder, manifest)
    if manifest["format"] != _FORMAT:
      raise ValueError(
        f"The checkpoint {folder} was written by another version of aejax: its format is "
        f"{manifest['format']!r}, and this one reads {_FORMAT}."
      )
    check_leaves(folder, manifest, like)
    device = SingleDeviceSharding(jax.local_devices()[0])
    placement = jax.tree.map(lambda _: device, like) if mesh is None else shardings(like, mesh)
    abstract = jax.tree.map(
      lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
      like,
      placement,
    )
    try:
      restored: Any = self._manager.restore(step, args=ocp.args.StandardRestore(abstract))
    except Exception as error:  # Orbax has no exception type of its own
      reason = textwrap.shorten(str(error), 200)
      raise Damaged(
        f"The checkpoint of step {step} in {self._folder} cannot be restored: {reason}"
      ) from error
    return restored

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


class CheckpointGroup:
  """The checkpoints of runs that are trained together, each in its own folder."""

  def __init__(self, folders: Sequence[Path], *, keep: int = 2):
    self._runs = [
      Checkpoints(folder / "checkpoints", keep=keep, all_processes=True, remove_partial=True)
      for folder in folders
    ]

  def __enter__(self) -> "CheckpointGroup":
    return self

  def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
    for run in self._runs:
      run.__exit__(kind, error, traceback)

  @property
  def latest(self) -> int | None:
    """The newest step that all runs have saved, None if there is none."""
    return min(steps) if (steps := self._latest_steps()) else None

  def save(self, step: int, states: Sequence[PyTree]) -> None:
    """Saves the state of each run, as `Checkpoints.save` does."""
    for k, (run, state) in enumerate(zip(self._runs, states, strict=True)):
      try:
        run.save(step, state)
      except Diverged as error:
        raise Diverged(run=k) from error

  def wait(self) -> None:
    """Waits for the last saves, as `Checkpoints.wait` does."""
    for run in self._runs:
      run.wait()

  def restore(self, fresh: Sequence[T], mesh: Mesh | None) -> tuple[int, list[T]]:
    """Returns the newest step that all runs have saved, and their states.

    Without checkpoints it returns step 0 and the states `fresh`. If the runs were killed during a
    save, some may be one checkpoint ahead of the others.
    """
    if not self._latest_steps():
      return 0, list(fresh)
    states = [run.restore(state, mesh=mesh) for run, state in zip(self._runs, fresh, strict=True)]
    for run in self._runs:
      run.set_damaged_aside()
    latest = self._latest_steps()
    step = min(latest)
    for k, run in enumerate(self._runs):
      if latest[k] > step:
        states[k] = run.restore(fresh[k], step, mesh)
    return step, states

  def _latest_steps(self) -> list[int]:
    """Returns the newest step of each run; an empty list if a run has none."""
    steps = [run.latest for run in self._runs]
    return [] if None in steps else [step for step in steps if step is not None]


def _error_number(error: BaseException | None) -> int | None:
  """Returns the system's error number behind an error of Orbax or TensorStore, if there is one."""
  while error is not None:
    if isinstance(error, OSError) and error.errno is not None:
      return error.errno
    if found := re.search(r"os_error_code='(\d+)'", str(error)):
      return int(found[1])
    error = error.__cause__ or error.__context__
  return None
