"""What a run is made of: the options that a user gives, completed by the published settings."""

import dataclasses
import json
import os
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from aejax import checks, data, networks, objectives
from aejax.files import write_json
from aejax.networks.layers import check_image_shape
from aejax.objectives import check_method

__all__ = [
  "MAY_CHANGE",
  "Configuration",
  "Options",
  "check_name",
  "check_seed",
  "check_settings",
  "describe_default",
  "differences",
  "members",
  "read",
  "resolve",
  "write",
]

Schedule = Literal["constant", "cosine"]
Precision = Literal["float32", "bfloat16"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """How to train. Whatever is left out takes the published setting for the data set, else ours.

  Attributes:
    dataset: digits (the default), mnist, fashion_mnist, cifar10 or celeb_a; or the path of an .npy
      or .npz file, or of a folder of images.
    workdir: folder for everything that the run writes. Default: runs/METHOD-DATASET.
    resume: go on with the run in workdir from its last checkpoint; more epochs make it longer.
    data_dir: folder with the data set's original files, where they are on disk already.
    image_size: resize and centre-crop the images to so many pixels a side.
    network: linear, mlp, convolutional, cifar10 or celeb_a. Default: the paper's for the data set,
      else one that suits the size of the images.
    latent_dim: dimension of the latents.
    epochs: passes over the training set.
    batch_size: images a step. A distance sees the whole batch.
    accumulate: let the networks see each batch in so many parts, one after the other, where memory
      is short. The distance is still that of the whole batch, and so is its gradient.
    learning_rate: Adam's.
    schedule: what becomes of the learning rate: it stays, or falls to zero along a cosine.
    precision: in which the networks compute. Parameters and distances are float32 always.
    skip_nonfinite: pass over a step whose loss or gradient is not finite, and count it in
      metrics.jsonl, rather than stop.
    checkpoint_minutes: save so often.
    checkpoint_epochs: save after every so many epochs too; 0 for never.
    keep_checkpoints: so many of the newest are kept. The parameters of the best epoch are kept
      always, see aejax.load.
    seed: of the parameters, the order of the data, and every draw.
    seeds: train so many runs at once, of this seed and the next ones, each in a folder of its own
      in workdir.
    distributed: this is one of several processes of a run, on one or many hosts; the cluster says
      which (Slurm, Open MPI, Kubernetes, TPU pods). All write to the same workdir.
    coordinator: HOST:PORT of the first process, where no cluster says it.
    num_processes: how many processes there are, likewise.
    process_id: which of them this is, from 0, likewise.
  """

  dataset: str | None = None
  workdir: Path | None = None
  resume: bool = False
  data_dir: Path | None = None
  image_size: int | None = None
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


# Fields that older runs do not have.
_LATER = {
  field.name: field.default
  for field in dataclasses.fields(Configuration)
  if field.default is not dataclasses.MISSING
}
_HELD = {field.name for field in dataclasses.fields(Configuration)}

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

# Network, D and epochs of gmum/cwae-pytorch, reproduce_table1.sh, and ours for other data.
_DEFAULTS = dict(
  latent_dim=8,
  epochs=200,
  batch_size=128,
  learning_rate=1e-3,
  schedule="constant",
  precision="float32",
  seed=0,
  seeds=1,
  accumulate=1,
  skip_nonfinite=False,
  checkpoint_minutes=2.0,
  checkpoint_epochs=0,
  keep_checkpoints=2,
)
_BY_DATASET: dict[str, dict[str, Any]] = {
  "digits": dict(latent_dim=4, epochs=400),
  "mnist": dict(network="mlp", latent_dim=8, epochs=500),
  "fashion_mnist": dict(network="mlp", latent_dim=8, epochs=500),
  "cifar10": dict(network="cifar10", latent_dim=64, epochs=500),
  "celeb_a": dict(network="celeb_a", latent_dim=64, epochs=55),
}
# Learning rates and weights of the same script, where they are not 1e-3 and 1.
_BY_METHOD: dict[tuple[str, str], dict[str, Any]] = {
  ("mnist", "wae-mmd"): dict(learning_rate=5e-4),
  ("fashion_mnist", "swae"): dict(weight=100.0),
  ("fashion_mnist", "wae-mmd"): dict(weight=100.0),
  ("fashion_mnist", "cwae"): dict(weight=10.0),
  ("celeb_a", "swae"): dict(learning_rate=5e-4, weight=100.0),
  ("celeb_a", "wae-mmd"): dict(learning_rate=5e-4, weight=100.0),
  ("celeb_a", "cwae"): dict(learning_rate=5e-4, weight=5.0),
}


def resolve(
  method: str,
  objective: dict[str, Any],
  options: Options,
  *,
  dataset: str,
  image_shape: tuple[int, int, int],
  num_images: int,
) -> Configuration:
  """Completes the options: first what was given, then the published setting, then ours.

  Args:
    method: a name of `objectives.BY_NAME`, or several joined by "+".
    objective: fields of the objective that were given.
    options: the other options.
    dataset: the data set's name, or its absolute path.
    image_shape: height, width, channels.
    num_images: size of the training set.

  Raises:
    ValueError: if a value is out of range, a name unknown, or a batch larger than the data.
  """
  check_method(method)
  given = {
    name: value
    for name, value in dataclasses.asdict(options).items()
    if value is not None and name in _HELD and name not in ("dataset", "data_dir")
  }
  published = {**_BY_DATASET.get(dataset, {}), **_BY_METHOD.get((dataset, method), {})}
  published.pop("weight", None)
  network = {"network": networks.default_architecture(image_shape), "image_size": None}
  settings = {**network, **_DEFAULTS, **published, **given}
  check_settings(settings)
  if settings["batch_size"] > num_images:
    raise ValueError(
      f"batch_size is {settings['batch_size']}, but the training set has {num_images} images only."
    )
  return Configuration(
    method=method,
    objective=_fill(method, objective, dataset),
    dataset=dataset,
    data_dir=None if options.data_dir is None else str(options.data_dir.absolute()),
    image_shape=image_shape,
    train_images=num_images,
    **settings,
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
    values = {**_LATER, **values}
  if not isinstance(values, dict) or set(values) != _HELD:
    found = set(values) if isinstance(values, dict) else set()
    wrong = textwrap.shorten(", ".join(sorted(_HELD ^ found)), 200)
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


def _fill(method: str, objective: dict[str, Any], dataset: str) -> dict[str, Any]:
  """All plain fields of the objective: as given, else as published, else by default."""
  filled = {}
  for name, given in objectives.term_fields(method, objective).items():
    published = _BY_METHOD.get((dataset, name), {})
    weight = {"weight": published["weight"]} if "weight" in published else {}
    term = objectives.BY_NAME[name]
    values = dataclasses.asdict(term(**{**weight, **given}))
    prefix = "" if name == method else name.replace("-", "_") + "_"
    settable = {field.name for field in dataclasses.fields(term) if field.init}
    filled |= {prefix + k: v for k, v in values.items() if k in settable and _is_plain(v)}
  return filled


def describe_default(method: str, name: str) -> str:
  """What a setting is if it is left out, '8; cifar10 64'; empty where only a docstring can tell."""
  weight = getattr(objectives.BY_NAME.get(method), "weight", None)  # a sum has several
  defaults = {**_DEFAULTS, "weight": weight}
  if (default := defaults.get(name)) is None:
    return ""
  published = {
    dataset: {**settings, **_BY_METHOD.get((dataset, method), {})}.get(name, default)
    for dataset, settings in _BY_DATASET.items()
  }
  return "; ".join([f"{default}", *(f"{d} {v}" for d, v in published.items() if v != default)])


def check_name(what: str, name: str, names: Iterable[str]) -> None:
  """Raises a ValueError that tells the nearest names if `name` is none of `names`."""
  checks.known(what, name, names)


def check_seed(seed: int) -> int:
  """Returns `seed`; JAX would drop what exceeds 32 bits, and give two seeds the same draws."""
  if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
    raise ValueError(
      f"seed must be a whole number from 0 to 2^32 − 1, but is {checks.shown(seed)}."
    )
  return seed


def check_settings(settings: Mapping[str, Any]) -> None:
  """Raises a ValueError if a setting is out of range, or a name unknown."""
  for name in ("latent_dim", "epochs", "batch_size", "seeds", "accumulate", "keep_checkpoints"):
    checks.whole(name, settings[name])
  checks.positive("learning_rate", settings["learning_rate"])
  checks.not_negative("checkpoint_minutes", settings["checkpoint_minutes"])
  checks.whole("checkpoint_epochs", settings["checkpoint_epochs"], least=0)
  checks.switch("skip_nonfinite", settings["skip_nonfinite"])
  check_seed(settings["seed"])
  check_seed(settings["seed"] + settings["seeds"] - 1)
  check_name("network", settings["network"], networks.ARCHITECTURES)
  check_name("schedule", settings["schedule"], get_args(Schedule))
  check_name("precision", settings["precision"], get_args(Precision))


def _is_plain(value: Any) -> bool:
  return isinstance(value, bool | int | float | str)
