"""What a run is made of, in full; config.json holds it."""

import dataclasses
import json
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from aejax import checks, data, networks, objectives
from aejax.files import write_json
from aejax.networks.layers import check_image_shape
from aejax.objectives import check_method
from aejax.training.options import Options, Precision, Schedule

__all__ = [
  "DEFAULTS",
  "HELD",
  "MAY_CHANGE",
  "Configuration",
  "check_settings",
  "differences",
  "members",
  "read",
  "write",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Configuration:
  """A run in full: what config.json holds."""

  method: str
  objective: dict[str, Any]
  dataset: str
  data_dir: str | None
  image_size: int | None
  image_shape: tuple[int, int, int]
  train_images: int
  network: str
  latent_dim: int
  epochs: int
  batch_size: int
  learning_rate: float
  schedule: str
  precision: str
  seed: int
  seeds: int = 1
  accumulate: int = 1
  skip_nonfinite: bool = False
  checkpoint_minutes: float = 2.0
  checkpoint_epochs: int = 0
  keep_checkpoints: int = 2

  def make_objective(self) -> objectives.Objective:
    """The objective of the run."""
    return objectives.make(self.method, self.objective)


DEFAULTS = {
  field.name: field.default
  for field in dataclasses.fields(Configuration)
  if field.default is not dataclasses.MISSING
}
"""Fields that older runs do not have, and what they were without them."""
HELD = {field.name for field in dataclasses.fields(Configuration)}
"""Names of the fields of a configuration."""

# Of what this code writes, in config.json; that of a run without a number is 1.
_FORMAT = 2

# What a run may be resumed with another value of: it does not change what was computed so far.
MAY_CHANGE = (
  "data_dir",
  "epochs",
  "accumulate",
  "skip_nonfinite",
  "checkpoint_minutes",
  "checkpoint_epochs",
  "keep_checkpoints",
)


def differences(
  configuration: Configuration, method: str, objective: dict[str, Any], options: Options
) -> list[str]:
  """What was asked for that the run in `configuration` is not, as 'name is A, not B'."""
  if method != configuration.method:
    return [f"method is {configuration.method}, not {method}"]
  asked = {**objective, **dataclasses.asdict(options)}
  if options.dataset is not None and options.dataset not in data.NAMES:
    asked["dataset"] = str(checks.path("dataset", options.dataset).resolve())
  held = {**configuration.objective, **dataclasses.asdict(configuration)}
  return [
    f"{name} is {held[name]}, not {value}"
    for name, value in asked.items()
    if value is not None and name in held and name not in MAY_CHANGE and held[name] != value
  ]


def members(configuration: Configuration, workdir: Path) -> list[tuple[Configuration, Path]]:
  """The runs that are trained together, one a seed, and their work directories."""
  if configuration.seeds == 1:
    return [(configuration, workdir)]
  seeds = range(configuration.seed, configuration.seed + configuration.seeds)
  return [
    (dataclasses.replace(configuration, seed=seed, seeds=1), workdir / f"seed-{seed}")
    for seed in seeds
  ]


def write(workdir: Path, configuration: Configuration) -> None:
  """Writes config.json."""
  values = dataclasses.asdict(configuration)
  write_json(workdir / "config.json", {"format": _FORMAT, **values})


def read(workdir: Path) -> Configuration:
  """Reads config.json.

  Raises:
    ValueError: if there is none, or it does not describe a run.
  """
  path = workdir / "config.json"
  if not os.path.isfile(path):  # Path's own raises for names that are too long
    raise ValueError(f"{checks.shown(workdir)} holds no run: there is no config.json in it.")
  try:
    values = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
  except (ValueError, RecursionError) as error:
    raise ValueError(f"{path} is damaged: {error}.") from None
  if isinstance(values, dict):
    format = values.pop("format", 1)
    if not isinstance(format, int) or format > _FORMAT:
      raise ValueError(
        f"{path} was written by a newer aejax: its format is {format!r}, and this one reads up to "
        f"{_FORMAT}."
      )
    values = {**DEFAULTS, **values}
  if not isinstance(values, dict) or set(values) != HELD:
    found = set(values) if isinstance(values, dict) else set()
    wrong = textwrap.shorten(", ".join(sorted(HELD ^ found)), 200)
    raise ValueError(f"{path} does not describe a run: missing or unknown entries {wrong}.")
  try:
    _check_read(values)
    configuration = Configuration(**values)
    configuration.make_objective()
  except ValueError as error:
    raise ValueError(f"{path} does not describe a run: {error}") from error
  return configuration


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  values = dict(pairs)
  if len(values) < len(pairs):
    raise ValueError("an entry is there twice")
  return values


def _check_read(values: dict[str, Any]) -> None:
  """Checks what `resolve` makes right by itself, and a file may have wrong."""
  check_method(values["method"])
  if not isinstance(values["dataset"], str) or not values["dataset"]:
    raise ValueError(f"dataset must be a name or a path, but is {checks.shown(values['dataset'])}.")
  if not isinstance(values["data_dir"], str | None):
    raise ValueError(f"data_dir must be null or a path, but is {checks.shown(values['data_dir'])}.")
  if values["image_size"] is not None:
    checks.whole("image_size", values["image_size"])
  checks.whole("train_images", values["train_images"])
  values["image_shape"] = check_image_shape(values["image_shape"])
  check_settings(values)
  if values["batch_size"] > values["train_images"]:
    raise ValueError(
      f"batch_size is {values['batch_size']}, but train_images {values['train_images']}."
    )


def check_settings(settings: Mapping[str, Any]) -> None:
  """Raises a ValueError if a setting is out of range, or a name unknown."""
  for name in ("latent_dim", "epochs", "batch_size", "seeds", "accumulate", "keep_checkpoints"):
    checks.whole(name, settings[name])
  checks.positive("learning_rate", settings["learning_rate"])
  checks.not_negative("checkpoint_minutes", settings["checkpoint_minutes"])
  checks.whole("checkpoint_epochs", settings["checkpoint_epochs"], least=0)
  checks.switch("skip_nonfinite", settings["skip_nonfinite"])
  checks.seed(settings["seed"])
  checks.seed(settings["seed"] + settings["seeds"] - 1)
  checks.known("network", settings["network"], networks.ARCHITECTURES)
  checks.known("schedule", settings["schedule"], get_args(Schedule))
  checks.known("precision", settings["precision"], get_args(Precision))
