"""All settings of a run, in config.json."""

import dataclasses
import json
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from aejax import _checks, data, networks, objectives
from aejax._files import write_json
from aejax._import_paths import is_import_path
from aejax.data import Scaling
from aejax.networks._layers import check_image_shape
from aejax.objectives import named_priors
from aejax.objectives.names import check_method
from aejax.training.options import (
  GIVEN,
  OPTIMIZERS,
  Callback,
  Options,
  Placement,
  Precision,
  Schedule,
)
from aejax.training.weight_schedules import check_weight_schedule

__all__ = [
  "DEFAULTS",
  "FIELD_NAMES",
  "MUTABLE_ON_RESUME",
  "Configuration",
  "check_settings",
  "dataset_name",
  "differences",
  "read",
  "seed_runs",
  "write",
]


WorkdirType = TypeVar("WorkdirType", Path, Path | None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Configuration:
  """All settings of a run, as config.json holds them.

  Most are those of `Options`. `scaling` says how the values of the data reach the networks.
  """

  method: str
  objective: dict[str, Any]
  dataset: str
  data_dir: str | None
  image_size: int | None
  image_shape: tuple[int, ...]
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
  data_digest: str | None = None
  scaling: str | dict[str, Any] = "unit"
  data: str | None = None
  flip: bool = False
  prior: str = "normal"
  optimizer: str = "adam"
  warmup_steps: int = 0
  weight_decay: float = 0.0
  clip_norm: float = 0.0
  ema_decay: float = 0.0
  weight_schedule: str = "constant"
  test_epochs: int = 0
  patience: int = 0
  callback: str | None = None

  def make_objective(self) -> objectives.Objective:
    """Returns the objective of the run.

    Raises:
      ValueError: if a field is out of range, or the objective cannot be matched to the prior.
    """
    objective = objectives.make(self.method, self.objective)
    if self.prior == "normal":
      return objective
    return objectives.with_prior(objective, objectives.named_prior(self.prior, self.latent_dim))

  def make_scaling(self) -> Scaling:
    """Returns how the values of the data reach the networks."""
    return Scaling.from_json(self.scaling)


DEFAULTS = {
  field.name: field.default
  for field in dataclasses.fields(Configuration)
  if field.default is not dataclasses.MISSING
}
"""Defaults that do not depend on the data set, by the name of the setting."""
FIELD_NAMES = {field.name for field in dataclasses.fields(Configuration)}
"""Names of the fields of a configuration."""
# Version of the config.json schema.
_FORMAT = 2

# Entries that older files of this format lack; their default is what those runs did.
_ADDED = {
  "prior",
  "optimizer",
  "warmup_steps",
  "weight_decay",
  "clip_norm",
  "ema_decay",
  "weight_schedule",
  "test_epochs",
  "patience",
  "callback",
  "data_digest",
  "scaling",
  "data",
  "flip",
}

# Settings that may differ on --resume, because they do not affect the steps already taken.
MUTABLE_ON_RESUME = (
  "data_dir",
  "epochs",
  "accumulate",
  "skip_nonfinite",
  "checkpoint_minutes",
  "checkpoint_epochs",
  "keep_checkpoints",
  "patience",
  "callback",
  "data",
)


def differences(
  configuration: Configuration, method: str, objective: dict[str, Any], options: Options
) -> list[str]:
  """Returns what was asked for and differs from the configuration, as 'name is A, not B'."""
  if method != configuration.method:
    return [f"method is {configuration.method}, not {method}"]
  given = {**objective, **dataclasses.asdict(options)}
  # Data that moved have the digest of those that the run was trained on; see Run.dataset.
  if configuration.data_digest is not None:
    given["dataset"] = None
  elif options.dataset is not None:
    given["dataset"] = dataset_name(options.dataset)
  current = {**configuration.objective, **dataclasses.asdict(configuration)}
  return [
    f"{name} is {current[name]}, not {value}"
    for name, value in given.items()
    if value is not None
    and name in current
    and name not in MUTABLE_ON_RESUME
    and current[name] != value
  ]


def dataset_name(dataset: str) -> str:
  """Returns what config.json calls a data set: its name, or the absolute path of its files."""
  return dataset if dataset in data.NAMES else str(_checks.path("dataset", dataset).resolve())


def seed_runs(
  configuration: Configuration, workdir: WorkdirType
) -> list[tuple[Configuration, WorkdirType]]:
  """Returns the runs that are trained together, one per seed, and their work directories."""
  if configuration.seeds == 1:
    return [(configuration, workdir)]
  seeds = range(configuration.seed, configuration.seed + configuration.seeds)
  return [
    (
      dataclasses.replace(configuration, seed=seed, seeds=1),
      workdir if workdir is None else workdir / f"seed-{seed}",
    )
    for seed in seeds
  ]


def write(workdir: Path, configuration: Configuration) -> None:
  """Writes config.json."""
  values = dataclasses.asdict(configuration)
  write_json(workdir / "config.json", {"format": _FORMAT, **values})


def read(workdir: Path) -> Configuration:
  """Reads config.json.

  Raises:
    ValueError: if it is missing, damaged, of another format, or does not describe a run.
  """
  path = workdir / "config.json"
  if not os.path.isfile(path):  # Path.is_file raises for names that are too long
    raise ValueError(f"{_checks.short_repr(workdir)} holds no run: there is no config.json in it.")
  try:
    values = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
  except (ValueError, RecursionError) as error:
    raise ValueError(f"{path} is damaged: {error}.") from None
  if isinstance(values, dict):
    format = values.pop("format", None)
    if format != _FORMAT or isinstance(format, bool):
      raise ValueError(
        f"{path} was written by another version of aejax, or for another purpose: its format is "
        f"{format!r}, and this one reads {_FORMAT}."
      )
  if isinstance(values, dict):
    values = {name: DEFAULTS[name] for name in sorted(_ADDED)} | values
  if not isinstance(values, dict) or set(values) != FIELD_NAMES:
    found = set(values) if isinstance(values, dict) else set()
    wrong = textwrap.shorten(", ".join(sorted(FIELD_NAMES ^ found)), 200)
    raise ValueError(f"{path} does not describe a run: missing or unknown entries {wrong}.")
  try:
    _check_read(values)
    configuration = Configuration(**values)
    configuration.make_objective()
  except ValueError as error:
    raise ValueError(f"{path} does not describe a run: {error}") from error
  return configuration


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
  """Returns a JSON object as a dict; `json` itself keeps the last of several equal names."""
  values = dict(pairs)
  if len(values) < len(pairs):
    raise ValueError("an entry occurs twice")
  return values


def _check_read(values: dict[str, Any]) -> None:
  """Checks the entries that `complete` fills in correctly, but that a file may have wrong."""
  check_method(values["method"])
  if not isinstance(values["dataset"], str) or not values["dataset"]:
    raise ValueError(
      f"dataset must be a name or a path, but is {_checks.short_repr(values['dataset'])}."
    )
  if not isinstance(values["data_dir"], str | None):
    raise ValueError(
      f"data_dir must be null or a path, but is {_checks.short_repr(values['data_dir'])}."
    )
  digest = values.get("data_digest")
  if not isinstance(digest, str | None):
    raise ValueError(f"data_digest must be null or a digest, but is {_checks.short_repr(digest)}.")
  Scaling.from_json(values.get("scaling", "unit"))
  if values["image_size"] is not None:
    _checks.integer("image_size", values["image_size"])
  _checks.integer("train_images", values["train_images"])
  values["image_shape"] = check_image_shape(values["image_shape"])
  check_settings(values)
  if values["batch_size"] > values["train_images"]:
    raise ValueError(
      f"batch_size is {values['batch_size']}, but train_images {values['train_images']}."
    )


def check_settings(settings: Mapping[str, Any]) -> None:
  """Raises a ValueError if a setting is out of range or a name is unknown."""
  for name in ("latent_dim", "epochs", "batch_size", "seeds", "accumulate", "keep_checkpoints"):
    _checks.integer(name, settings[name])
  for name in ("warmup_steps", "test_epochs", "patience"):
    _checks.integer(name, settings[name], least=0)
  if settings["data"] is not None:
    _checks.one_of("placement of data", settings["data"], get_args(Placement))
  if settings["callback"] is not None:
    _checks.one_of("callback", settings["callback"], get_args(Callback))
  _checks.positive("learning_rate", settings["learning_rate"])
  for name in ("weight_decay", "clip_norm", "ema_decay"):
    _checks.not_negative(name, settings[name])
  if settings["ema_decay"] >= 1:
    raise ValueError(f"ema_decay must be less than 1, but is {settings['ema_decay']}.")
  if settings["optimizer"] != GIVEN:
    _checks.one_of("optimizer", settings["optimizer"], OPTIMIZERS)
    if settings["weight_decay"] and not OPTIMIZERS[settings["optimizer"]]:
      raise ValueError(f"weight_decay needs adamw or lion, not {settings['optimizer']}.")
  if settings["weight_schedule"] != GIVEN:
    check_weight_schedule(settings["weight_schedule"])
  if settings["patience"] and not settings["test_epochs"]:
    raise ValueError("patience needs test_epochs of 1 or more.")
  named_priors.check_name(settings["prior"])
  _checks.not_negative("checkpoint_minutes", settings["checkpoint_minutes"])
  _checks.integer("checkpoint_epochs", settings["checkpoint_epochs"], least=0)
  _checks.boolean("skip_nonfinite", settings["skip_nonfinite"])
  _checks.boolean("flip", settings["flip"])
  _checks.seed(settings["seed"])
  _checks.seed(settings["seed"] + settings["seeds"] - 1)
  if not is_import_path(settings["network"]) and settings["network"] != GIVEN:
    _checks.one_of("network", settings["network"], networks.ARCHITECTURES)
  _checks.one_of("schedule", settings["schedule"], get_args(Schedule))
  _checks.one_of("precision", settings["precision"], get_args(Precision))
