"""The settings of a run: the options that a user gives, and the full list in config.json."""

import dataclasses
import json
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from aejax import _checks, data, networks, objectives
from aejax._files import write_json
from aejax.networks._layers import check_image_shape
from aejax.objectives.names import check_method

__all__ = [
  "DEFAULTS",
  "FIELD_NAMES",
  "MUTABLE_ON_RESUME",
  "Configuration",
  "Options",
  "Precision",
  "Schedule",
  "check_settings",
  "dataset_name",
  "differences",
  "read",
  "seed_runs",
  "write",
]


Schedule = Literal["constant", "cosine"]
Precision = Literal["float32", "highest", "bfloat16"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """How to train; an option left out has the published setting for the data set, or else ours.

  Attributes:
    dataset: digits (the default), mnist, fashion_mnist, cifar10 or celeb_a; or the path of an .npy
      or .npz file, or of a folder of images.
    workdir: work directory, for everything that the run writes. Default: runs/METHOD-DATASET.
    resume: continue the run in workdir from its last checkpoint; with more epochs it gets longer.
    data_dir: folder with the original files of the data set, if they are on disk already.
    image_size: height and width in pixels to which the images are resized and centre-cropped.
    standardise: subtract the mean of each feature or channel and divide by its standard deviation,
      both of the training set; results have the units of the data again. Default: if the data are
      vectors, signals or volumes with values outside [0, 1].
    network: linear, mlp, convolutional, cifar10 or celeb_a. Default: the paper's for the data set,
      or else one that suits the shape of the data.
    latent_dim: dimension of the latents.
    epochs: number of passes over the training set.
    batch_size: number of images in a step. A distance sees the whole batch.
    accumulate: number of parts in which the networks process each batch, one after the other. More
      parts need less memory; the distance is still that of the whole batch, and so is the gradient.
    learning_rate: learning rate of Adam.
    schedule: learning rate over the run: constant, or falling to zero along a cosine.
    precision: how the networks compute: float32, whose products a GPU takes in TF32 and a TPU in
      bfloat16; highest, with float32 products in training, several times slower there and the same
      as float32 on a CPU; or bfloat16. Parameters and distances are always float32.
    skip_nonfinite: skip a step whose loss or gradient is not finite, and count it in metrics.jsonl,
      instead of stopping.
    checkpoint_minutes: time between two checkpoints, in minutes.
    checkpoint_epochs: number of epochs after which there is another checkpoint; 0 for none.
    keep_checkpoints: number of checkpoints to keep, the newest ones. The parameters of the best
      epoch are always kept, see aejax.load.
    seed: random seed of the parameters, the order of the data, and every draw.
    seeds: number of runs to train at once, with this seed and the next ones, each in a folder of
      its own in workdir.
    distributed: connect with the other processes of this run, on one or many hosts, through the
      cluster (Slurm, Open MPI, Kubernetes, TPU pods). All write to the same workdir.
    coordinator: HOST:PORT of the first process, where there is no such cluster.
    num_processes: number of processes, where there is no such cluster.
    process_id: number of this process, from 0, where there is no such cluster.
  """

  dataset: str | None = None
  workdir: Path | None = None
  resume: bool = False
  data_dir: Path | None = None
  image_size: int | None = None
  standardise: bool | None = None
  network: str | None = None
  latent_dim: int | None = None
  epochs: int | None = None
  batch_size: int | None = None
  accumulate: int | None = None
  learning_rate: float | None = None
  schedule: Schedule | None = None
  precision: Precision | None = None
  skip_nonfinite: bool | None = None
  checkpoint_minutes: float | None = None
  checkpoint_epochs: int | None = None
  keep_checkpoints: int | None = None
  seed: int | None = None
  seeds: int | None = None
  distributed: bool = False
  coordinator: str | None = None
  num_processes: int | None = None
  process_id: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Configuration:
  """All settings of a run, as config.json holds them."""

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

  def make_objective(self) -> objectives.Objective:
    """Returns the objective of the run."""
    return objectives.make(self.method, self.objective)

  def make_scaling(self) -> data.Scaling:
    """Returns how the values of the data reach the networks."""
    return data.Scaling.from_json(self.scaling)


DEFAULTS = {
  field.name: field.default
  for field in dataclasses.fields(Configuration)
  if field.default is not dataclasses.MISSING
}
"""Defaults that do not depend on the data set, by the name of the setting."""
FIELD_NAMES = {field.name for field in dataclasses.fields(Configuration)}
"""Names of the fields of a configuration."""
# Fields that a config.json of an earlier version lacks.
_LATER_FIELDS = {"data_digest", "scaling"}

# Version of the config.json schema.
_FORMAT = 2

# Settings that may differ on --resume, because they do not affect the steps already taken.
MUTABLE_ON_RESUME = (
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


def seed_runs(configuration: Configuration, workdir: Path) -> list[tuple[Configuration, Path]]:
  """Returns the runs that are trained together, one per seed, and their work directories."""
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
  found = set(values) if isinstance(values, dict) else set()
  wrong = (FIELD_NAMES - _LATER_FIELDS - found) | (found - FIELD_NAMES)
  if not isinstance(values, dict) or wrong:
    wrong = textwrap.shorten(", ".join(sorted(wrong)), 200)
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
  data.Scaling.from_json(values.get("scaling", "unit"))
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
  _checks.positive("learning_rate", settings["learning_rate"])
  _checks.not_negative("checkpoint_minutes", settings["checkpoint_minutes"])
  _checks.integer("checkpoint_epochs", settings["checkpoint_epochs"], least=0)
  _checks.boolean("skip_nonfinite", settings["skip_nonfinite"])
  _checks.seed(settings["seed"])
  _checks.seed(settings["seed"] + settings["seeds"] - 1)
  _checks.one_of("network", settings["network"], networks.ARCHITECTURES)
  _checks.one_of("schedule", settings["schedule"], get_args(Schedule))
  _checks.one_of("precision", settings["precision"], get_args(Precision))
