"""The log of a run: metrics.jsonl, an object an epoch."""

import json
import os
from pathlib import Path

import jax
import numpy as np

from aejax.files import replacing
from aejax.training.epoch import Sums

__all__ = ["Log"]


class Log:
  """metrics.jsonl: an object an epoch, none twice, none after the step that a run resumes from.

  Of several processes the first writes it.
  """

  def __init__(self, path: Path, steps_per_epoch: int, step: int):
    self._path = path
    self._steps_per_epoch = steps_per_epoch
    self._pending: tuple[int, Sums] | None = None
    self._writes = jax.process_index() == 0
    if not self._writes:
      return
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    with replacing(path) as temporary:
      kept = lines[: step // steps_per_epoch]
      temporary.write_text("".join(line + "\n" for line in kept), encoding="utf-8")

  def add(self, step: int, sums: Sums) -> None:
    """Takes the sums of the epoch that ends with `step`, which may still be computing."""
    self._pending = step, sums

  def flush(self) -> dict[str, float] | None:
    """Waits for the sums that were added last, writes their means, and returns them."""
    if self._pending is None:
      return None
    (step, sums), self._pending = self._pending, None
    means = {name: float(total) / self._steps_per_epoch for name, total in sums.items()}
    epoch = step // self._steps_per_epoch
    for name, value in means.items():
      if not np.isfinite(value):
        raise ValueError(
          f"Training diverged: the {name} became {value} in epoch {epoch}. A smaller learning rate "
          f"or weight may help."
        )
    if self._writes:
      with self._path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step, "epoch": epoch, **means}) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return means
