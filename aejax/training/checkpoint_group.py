"""The checkpoints of runs that are trained together, and of a run that writes none."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from jax.sharding import Mesh
from jaxtyping import PyTree

from aejax.training.checkpoints import Checkpoints
from aejax.training.divergence import Diverged

__all__ = ["CheckpointGroup", "NoCheckpoints"]

T = TypeVar("T")


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


class NoCheckpoints(CheckpointGroup):
  """The checkpoints of a run without a work directory: nothing is saved."""

  def __init__(self) -> None:
    super().__init__([])

  @property
  def latest(self) -> int | None:
    """None, because there is no checkpoint."""
    return None

  def save(self, step: int, states: Sequence[PyTree]) -> None:
    """Does nothing."""

  def restore(self, fresh: Sequence[T], mesh: Mesh | None) -> tuple[int, list[T]]:
    """Returns step 0 and the states `fresh`."""
    return 0, list(fresh)
