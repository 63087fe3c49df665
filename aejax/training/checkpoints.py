"""Checkpoints: the whole state of a run, saved atomically, the newest few kept."""

import contextlib
import os
import re
import secrets
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.sharding import Mesh, SingleDeviceSharding

from aejax._files import check_space
from aejax._messages import warn
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

# Version of the checkpoint layout, in manifest.json.
_FORMAT = 2


class Checkpoints:
  """The checkpoints of one run, in one folder; a context manager that waits for the last save.

  Args:
    folder: on a disk that all processes share, if there are several.
    keep: so many of the newest.
    everyone: whether all processes save and restore together, or this one alone.
    clear: remove what a save left that was killed; not where another may be saving.
  """

  def __init__(self, folder: Path, *, keep: int = 2, everyone: bool = False, clear: bool = False):
    self._folder = folder
    self._damaged: set[int] = set()
    self._leads = jax.process_index() == 0 or not everyone
    self._saving: tuple[int, Any] | None = None
    alone = jax.process_count() > 1 and not everyone
    self._options = ocp.CheckpointManagerOptions(
      max_to_keep=keep,
      create=not alone,
      cleanup_tmp_directories=clear,
      async_options=ocp.AsyncOptions(
        post_finalization_callback=self._describe,
        # Otherwise a save that fails leaves threads that wait for minutes, and the process too.
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
      return  # waiting would be in vain, and who insists does not wait
    try:
      self.wait()
      self._manager.close()
    except OSError as failure:
      if kind is None:
        raise
      warn(str(failure))  # keep the first error visible

  @property
  def latest(self) -> int | None:
    """The step of the newest checkpoint that is not known to be damaged, None if there is none."""
    return max(self._whole(), default=None)

  def save(self, step: int, state: Any) -> None:
    """Saves in the background, if all of it is finite; a step that is saved already is left alone.

    Raises:
      Diverged: if it is no state that one can go on from.
      OSError: if the save before this one failed.
    """
    self.wait()
    if self.latest is not None and step <= self.latest:
      return
    if not _all_finite(state):
      raise Diverged()
    # The next step reuses the donated buffers, which on a CPU the writer would read from.
    copy = jax.tree.map(jnp.copy, state)
    self._saving = step, jax.eval_shape(lambda: state)
    with self._failures():
      if self._leads:
        check_space(self._folder, sum(leaf.nbytes for leaf in jax.tree.leaves(state)))
      self._manager.save(step, args=ocp.args.StandardSave(copy))

  def wait(self) -> None:
    """Waits for the last save.

    Raises:
      OSError: if it failed.
    """
    with self._failures():
      self._manager.wait_until_finished()
    self._saving = None

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
        if self._leads:
          warn(f"{error} Looking for the one before.")
    raise first

  def set_damaged_aside(self) -> None:
    """Moves checkpoints that turned out to be damaged to `damaged-STEP` beside the folder.

    Where they are, they would stand for steps that are yet to be saved.
    """
    for step in sorted(self._damaged):
      if self._leads:
        target = self._folder.with_name(f"damaged-{step}-{secrets.token_hex(2)}")
        (self._folder / str(step)).rename(target)
    if self._damaged:
      self._damaged.clear()
      self._manager.reload()

  def _whole(self) -> set[int]:
    return set(self._manager.all_steps()) - self._damaged

  def _restore(self, like: Any, step: int, mesh: Mesh | None) -> Any:
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
    where = jax.tree.map(lambda _: device, like) if mesh is None else shardings(like, mesh)
    abstract = jax.tree.map(
      lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
      like,
      where,
    )
    try:
      restored: Any = self._manager.restore(step, args=ocp.args.StandardRestore(abstract))
    except Exception as error:  # Orbax has no type for its own.
      reason = textwrap.shorten(str(error), 200)
      raise Damaged(
        f"The checkpoint of step {step} in {self._folder} cannot be restored: {reason}"
      ) from error
    return restored

  def _describe(self) -> None:
    """Called when all files of a checkpoint are written, before it gets its name."""
    if self._saving is None or not self._leads:
      return
    step, state = self._saving
    unnamed = sorted(self._folder.glob(f"{step}.orbax-checkpoint-tmp*"))
    write_manifest(unnamed[0] if unnamed else self._folder / str(step), state, format=_FORMAT)

  @contextlib.contextmanager
  def _failures(self) -> Iterator[None]:
    """Raises what becomes of a save as an OSError, and makes another one possible."""
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
      Checkpoints(folder / "checkpoints", keep=keep, everyone=True, clear=True)
      for folder in folders
    ]

  def __enter__(self) -> "CheckpointGroup":
    return self

  def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
    for run in self._runs:
      run.__exit__(kind, error, traceback)

  def save(self, step: int, states: Sequence[Any]) -> None:
    """Saves each run's state, as `Checkpoints.save` does."""
    for k, (run, state) in enumerate(zip(self._runs, states, strict=True)):
      try:
        run.save(step, state)
      except Diverged as error:
        raise Diverged(run=k) from error

  @property
  def latest(self) -> int | None:
    """The newest step that all runs have saved, None if there is none."""
    steps = [run.latest for run in self._runs]
    return None if None in steps else min(step for step in steps if step is not None)

  def wait(self) -> None:
    """Waits for the last saves, as `Checkpoints.wait` does."""
    for run in self._runs:
      run.wait()

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


def _error_number(error: BaseException | None) -> int | None:
  """The system's error behind one of Orbax or TensorStore, if there is one."""
  while error is not None:
    if isinstance(error, OSError) and error.errno is not None:
      return error.errno
    if found := re.search(r"os_error_code='(\d+)'", str(error)):
      return int(found[1])
    error = error.__cause__ or error.__context__
  return None
