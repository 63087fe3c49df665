"""Default settings: the published ones, and ours for other data."""

import dataclasses
from typing import Any

from aejax import _checks, networks, objectives
from aejax.objectives.names import check_method, make, parse, term_fields
from aejax.training.configuration import (
  DEFAULTS,
  FIELD_NAMES,
  Configuration,
  check_settings,
)
from aejax.training.options import GIVEN, OPTIMIZERS, Options
from aejax.training.state import NOTHING_GIVEN, Given

__all__ = ["complete", "describe_default", "objective_fields"]

# Our defaults for data sets without published settings.
_DEFAULTS: dict[str, Any] = dict(
  latent_dim=8,
  epochs=200,
  batch_size=128,
  learning_rate=1e-3,
  schedule="constant",
  precision="float32",
  seed=0,
  **DEFAULTS,
)
# A default batch size gives an epoch at least this many steps, unless it were smaller than this.
_MIN_STEPS = 8
_MIN_BATCH_SIZE = 16
# A run has about this many evaluations on the test set.
_EVALUATIONS = 50
# Network, latent dimension and epochs of gmum/cwae-pytorch, reproduce_table1.sh; digits are ours.
_BY_DATASET: dict[str, dict[str, Any]] = {
  "digits": dict(latent_dim=4, epochs=400),
  "mnist": dict(network="mlp", latent_dim=8, epochs=500),
  "fashion_mnist": dict(network="mlp", latent_dim=8, epochs=500),
  "cifar10": dict(network="cifar10", latent_dim=64, epochs=500),
  "celeb_a": dict(network="celeb_a", latent_dim=64, epochs=55),
}
# Learning rates and weights of the same script that differ from 1e-3 and 1.
_BY_METHOD: dict[tuple[str, str], dict[str, Any]] = {
  ("mnist", "wae-mmd"): dict(learning_rate=5e-4),
  ("fashion_mnist", "swae"): dict(weight=100.0),
  ("fashion_mnist", "wae-mmd"): dict(weight=100.0),
  ("fashion_mnist", "cwae"): dict(weight=10.0),
  ("celeb_a", "swae"): dict(learning_rate=5e-4, weight=100.0),
  ("celeb_a", "wae-mmd"): dict(learning_rate=5e-4, weight=100.0),
  ("celeb_a", "cwae"): dict(learning_rate=5e-4, weight=5.0),
}


def complete(
  method: str,
  objective: dict[str, Any],
  options: Options,
  *,
  dataset: str,
  image_shape: tuple[int, ...],
  num_images: int,
  given: Given = NOTHING_GIVEN,
) -> Configuration:
  """Returns all settings of a run: each as given, or else as published, or else our default.

  Args:
    method: a name of `objectives.BY_NAME` or an import path, or several joined by "+".
    objective: given fields of the objective.
    options: given options.
    dataset: name or absolute path of the data set.
    image_shape: shape of one example, as height, width and channels of images.
    num_images: number of training images.
    given: objects that replace what method and options name; the fields of an objective are then
      recorded as they are.

  Raises:
    ValueError: if a value is out of range, a name is unknown, or the batch is larger than the data.
  """
  if given.objective is None:
    check_method(method)
  chosen = {
    name: value
    for name, value in dataclasses.asdict(options).items()
    if value is not None and name in FIELD_NAMES and name not in ("dataset", "data_dir")
  }
  if given.model is not None and "network" not in chosen:
    chosen |= {"network": GIVEN, "latent_dim": given.model.latent_dim}
  if given.optimizer is not None:
    chosen["optimizer"] = GIVEN
  if given.weight_schedule is not None:
    chosen["weight_schedule"] = GIVEN
  published = {**_BY_DATASET.get(dataset, {}), **_BY_METHOD.get((dataset, method), {})}
  published.pop("weight", None)
  network = {"network": networks.default_architecture(image_shape), "image_size": None}
  settings = {**network, **_DEFAULTS, **published, **chosen}
  if "batch_size" not in chosen:
    settings["batch_size"] = _suitable_batch_size(settings["batch_size"], num_images)
  if "weight_decay" not in chosen:
    settings["weight_decay"] = OPTIMIZERS.get(settings["optimizer"], 0.0)
  if "test_epochs" not in chosen:
    settings["test_epochs"] = max(1, _checks.integer("epochs", settings["epochs"]) // _EVALUATIONS)
  check_settings(settings)
  if settings["batch_size"] > num_images:
    raise ValueError(
      f"batch_size is {settings['batch_size']}, but the training set has {num_images} images only."
    )
  configuration = Configuration(
    method=method,
    objective=objective
    if given.objective is not None
    else objective_fields(method, objective, dataset),
    dataset=dataset,
    data_dir=None if options.data_dir is None else str(options.data_dir.absolute()),
    image_shape=image_shape,
    train_images=num_images,
    **settings,
  )
  if given.objective is None:
    configuration.make_objective()  # raises now if it cannot be matched to the prior
  return configuration


def _suitable_batch_size(batch_size: int, num_images: int) -> int:
  """Returns the batch size, halved while an epoch of so many images has too few steps."""
  while batch_size > _MIN_BATCH_SIZE and num_images // batch_size < _MIN_STEPS:
    batch_size //= 2
  while batch_size > num_images > 0:
    batch_size //= 2
  return batch_size


def objective_fields(method: str, objective: dict[str, Any], dataset: str) -> dict[str, Any]:
  """Returns all plain fields of the objective: as given, or else as published or by default."""
  given = term_fields(method, objective)
  filled = {}
  for term in parse(method):
    published = _BY_METHOD.get((dataset, term.name), {})
    weight = {"weight": published["weight"]} if "weight" in published else {}
    example = make(term.name, {**weight, **given[term.name]})
    for prefixed, name in term.fields():
      value = getattr(example, name)
      if isinstance(value, bool | int | float | str):
        filled[prefixed] = value
      elif prefixed in objective:
        filled[prefixed] = objective[prefixed]
  return filled


def describe_default(method: str, name: str) -> str:
  """Returns the default of a setting in words, such as '8; cifar10 64'.

  The result is empty for a setting without a fixed default, which its docstring describes.
  """
  weight = getattr(objectives.BY_NAME.get(method), "weight", None)  # a sum of methods has several
  defaults = {**_DEFAULTS, "weight": weight, "test_epochs": None, "weight_decay": None}
  if (default := defaults.get(name)) is None:
    return ""
  published = {
    dataset: {**settings, **_BY_METHOD.get((dataset, method), {})}.get(name, default)
    for dataset, settings in _BY_DATASET.items()
  }
  return "; ".join([f"{default}", *(f"{d} {v}" for d, v in published.items() if v != default)])
