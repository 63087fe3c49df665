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
from aejax._import_paths import is_import_path
from aejax.networks._layers import check_example_shape
from aejax.objectives import named_priors
from aejax.objectives.names import check_method

__all__ = [
  "DEFAULTS",
  "FIELD_NAMES",
  "GIVEN",
  "MUTABLE_ON_RESUME",
  "OPTIMIZERS",
  "Configuration",
  "Options",
  "Precision",
  "Schedule",
  "check_settings",
  "differences",
  "read",
  "seed_runs",
  "write",
]


Schedule = Literal["constant", "cosine"]
Precision = Literal["float32", "bfloat16"]
Optimizer = Literal["adam", "adamw", "lion", "sgd"]

OPTIMIZERS = {"adam": 0.0, "adamw": 1e-4, "lion": 1e-3, "sgd": 0.0}
"""Optimizers by name, with their default weight decay, which is optax's."""

GIVEN = "given"
"""What config.json has in place of a network, an optimizer or data that were given as objects."""


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
    network: linear, mlp, convolutional, cifar10 or celeb_a, or package.module:function for your own
      (see networks.build). Default: the paper's for the data set, or else one that suits the size
      of the images.
    latent_dim: dimension of the latents.
    prior: distribution that the latents are matched to, and that samples come from: normal, sphere,
      ball, cube, or mixture:K with K components; see objectives.named_prior.
    epochs: number of passes over the training set.
    batch_size: number of images in a step. A distance sees the whole batch.
    accumulate: number of parts in which the networks process each batch, one after the other. More
      parts need less memory; the distance is still that of the whole batch, and so is the gradient.
    optimizer: adam, adamw, lion, or sgd with momentum 0.9.
    learning_rate: learning rate of the optimizer.
    schedule: learning rate over the run: constant, or falling to zero along a cosine.
    warmup_steps: number of steps over which the learning rate first rises from zero.
    weight_decay: decay of the parameters in adamw and lion, in units of the learning rate.
    clip_norm: largest norm of a gradient, which is scaled down to it; 0 for no limit.
    ema_decay: decay of a moving average of the parameters, which then is the trained model; 0 for
      the parameters themselves.
    precision: number format in which the networks compute. Parameters and distances are always
      float32.
    skip_nonfinite: skip a step whose loss or gradient is not finite, and count it in metrics.jsonl,
      instead of stopping.
    test_epochs: number of epochs between two evaluations of the cost on the test set, which
      metrics.jsonl has as test_loss; 0 for none. The best epoch is the one with the lowest.
    patience: number of evaluations without a lower test_loss after which training stops; 0 for
      never.
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
  network: str | None = None
  latent_dim: int | None = None
  prior: str | None = None
  epochs: int | None = None
  batch_size: int | None = None
  accumulate: int | None = None
  optimizer: Optimizer | None = None
  learning_rate: float | None = None
  schedule: Schedule | None = None
  warmup_steps: int | None = None
  weight_decay: float | None = None
  clip_norm: float | None = None
  ema_decay: float | None = None
  precision: Precision | None = None
  skip_nonfinite: bool | None = None
  test_epochs: int | None = None
  patience: int | None = None
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
  """All settings of a run, as config.json holds them.

  Most are those of `Options`. `data_range` is "unit" for bytes and floats in [0, 1], and "real" for
  other floats, for which the networks have no output activation.
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
  prior: str = "normal"
  optimizer: str = "adam"
  warmup_steps: int = 0
  weight_decay: float = 0.0
  clip_norm: float = 0.0
  ema_decay: float = 0.0
  test_epochs: int = 0
  patience: int = 0
  data_range: str = "unit"

  def make_objective(self) -> objectives.Objective:
    """Returns the objective of the run.

    Raises:
      ValueError: if a field is out of range, or the objective cannot be matched to the prior.
    """
    objective = objectives.make(self.method, self.objective)
    if self.prior == "normal":
      return objective
    return objectives.with_prior(objective, objectives.named_prior(self.prior, self.latent_dim))


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
  "test_epochs",
  "patience",
  "data_range",
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
)


def differences(
  configuration: Configuration, method: str, objective: dict[str, Any], options: Options
) -> list[str]:
  """Returns what was asked for and differs from the configuration, as 'name is A, not B'."""
  if method != configuration.method:
    return [f"method is {configuration.method}, not {method}"]
  given = {**objective, **dataclasses.asdict(options)}
  if options.dataset is not None and options.dataset not in data.NAMES:
    given["dataset"] = str(_checks.path("dataset", options.dataset).resolve())
  current = {**configuration.objective, **dataclasses.asdict(configuration)}
  return [
    f"{name} is {current[name]}, not {value}"
    for name, value in given.items()
    if value is not None
    and name in current
    and name not in MUTABLE_ON_RESUME
    and current[name] != value
  ]


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
  if values["image_size"] is not None:
    _checks.integer("image_size", values["image_size"])
  _checks.integer("train_images", values["train_images"])
  values["image_shape"] = check_example_shape(values["image_shape"])
  _checks.one_of("data_range", values["data_dtype"], ("uint8", "float32"))
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
  _checks.positive("learning_rate", settings["learning_rate"])
  for name in ("weight_decay", "clip_norm", "ema_decay"):
    _checks.not_negative(name, settings[name])
  if settings["ema_decay"] >= 1:
    raise ValueError(f"ema_decay must be less than 1, but is {settings['ema_decay']}.")
  if settings["optimizer"] != GIVEN:
    _checks.one_of("optimizer", settings["optimizer"], OPTIMIZERS)
    if settings["weight_decay"] and not OPTIMIZERS[settings["optimizer"]]:
      raise ValueError(f"weight_decay needs adamw or lion, not {settings['optimizer']}.")
  if settings["patience"] and not settings["test_epochs"]:
    raise ValueError("patience needs test_epochs of 1 or more.")
  named_priors.check_name(settings["prior"])
  _checks.not_negative("checkpoint_minutes", settings["checkpoint_minutes"])
  _checks.integer("checkpoint_epochs", settings["checkpoint_epochs"], least=0)
  _checks.boolean("skip_nonfinite", settings["skip_nonfinite"])
  _checks.seed(settings["seed"])
  _checks.seed(settings["seed"] + settings["seeds"] - 1)
  if not is_import_path(settings["network"]) and settings["network"] != GIVEN:
    _checks.one_of("network", settings["network"], networks.ARCHITECTURES)
  _checks.one_of("schedule", settings["schedule"], get_args(Schedule))
  _checks.one_of("precision", settings["precision"], get_args(Precision))
