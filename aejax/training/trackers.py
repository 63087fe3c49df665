"""Writers of the metrics for other tools: TensorBoard and Weights & Biases."""

import dataclasses
import importlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from aejax import _checks
from aejax._extras import require
from aejax._files import read_json, write_json
from aejax.training.configuration import Configuration

__all__ = ["TensorBoard", "Tracker", "WeightsAndBiases", "check_tracker", "make_tracker"]

Lines = Sequence[Mapping[str, Any]]

# The module that each tracker imports, which its extra of the same name installs.
_MODULES = {"tensorboard": "tensorboardX", "wandb": "wandb"}


@runtime_checkable
class Tracker(Protocol):
  """What receives the lines of metrics.jsonl as well."""

  def update(self, history: Lines) -> None:
    """Writes the lines that are new since the last call."""
    ...

  def close(self) -> None:
    """Writes what is left, and releases the files."""
    ...


class TensorBoard:
  """Event files for TensorBoard, in the folder `tensorboard` of a work directory.

  Each training writes the whole history again, so that no epoch is there twice after a resume.
  """

  def __init__(self, workdir: Path, configuration: Configuration) -> None:
    tensorboard: Any = importlib.import_module("tensorboardX")
    folder = workdir / "tensorboard"
    for path in folder.glob("events.out.tfevents.*"):
      path.unlink()
    self._writer: Any = tensorboard.SummaryWriter(str(folder))
    settings = json.dumps(_settings(configuration), indent=2)
    self._writer.add_text("configuration", f"```\n{settings}\n```", 0)
    self._written = 0

  def update(self, history: Lines) -> None:
    """Writes the lines that are new since the last call."""
    while self._written < len(history):
      line = history[self._written]
      for name, value in line.items():
        if name != "step":
          self._writer.add_scalar(name, value, line["step"])
      self._written += 1

  def close(self) -> None:
    """Writes what is left, and closes the file."""
    self._writer.close()


class WeightsAndBiases:
  """A run of Weights & Biases, online or offline as the environment of wandb says.

  `wandb.json` in the work directory has the identity of the run and the last step that it got. A
  run that is resumed continues there, and steps that are taken again are not sent again.
  """

  def __init__(self, workdir: Path, configuration: Configuration) -> None:
    wandb: Any = importlib.import_module("wandb")
    self._about = workdir / "wandb.json"
    known = read_json(self._about) if self._about.is_file() else {"id": None, "step": 0}
    self._sent = int(known["step"])
    try:
      self._run = wandb.init(
        project=os.environ.get("WANDB_PROJECT", "aejax"),
        name=_name(workdir),
        dir=str(workdir),
        id=known["id"],
        resume="allow",
        config=_settings(configuration),
        reinit="create_new",  # several seeds have a run each
      )
    except wandb.Error as error:
      raise ValueError(
        f"Weights & Biases does not start: {_checks.short_message(error)}"
      ) from error
    write_json(self._about, {"id": self._run.id, "step": self._sent})
    self._read = 0

  def update(self, history: Lines) -> None:
    """Sends the lines that are new since the last call."""
    while self._read < len(history):
      line = dict(history[self._read])
      step = line.pop("step")
      if step > self._sent:
        self._run.log(line, step=step)
        self._sent = step
        write_json(self._about, {"id": self._run.id, "step": step})
      self._read += 1

  def close(self) -> None:
    """Sends what is left."""
    self._run.finish()


def check_tracker(name: str | None) -> None:
  """Raises an error if the name of a tracker is unknown, or its extra is not installed.

  Raises:
    ValueError: if the name is unknown.
    ImportError: if its package is not installed.
  """
  if name is not None:
    require(name, _MODULES[_checks.one_of("callback", name, _MODULES)])


def make_tracker(workdir: Path | None, configuration: Configuration) -> Tracker | None:
  """Returns the tracker of a run, or None if it has none."""
  if workdir is None:
    return None
  check_tracker(configuration.callback)
  match configuration.callback:
    case "tensorboard":
      return TensorBoard(workdir, configuration)
    case "wandb":
      return WeightsAndBiases(workdir, configuration)
    case _:
      return None


def _settings(configuration: Configuration) -> dict[str, Any]:
  """Returns the settings of a run, without the folders of the user's machine."""
  settings = dataclasses.asdict(configuration) | {"dataset": Path(configuration.dataset).name}
  del settings["data_dir"]
  return settings


def _name(workdir: Path) -> str:
  """Returns the name of a work directory; for one of several seeds, with that of its parent."""
  path = workdir.resolve()
  return f"{path.parent.name}/{path.name}" if path.name.startswith("seed-") else path.name
