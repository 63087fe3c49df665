"""Arguments of `aejax.fit`, from what users give to settings, data, an objective and networks."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

import jax
import numpy as np
from jaxtyping import Array, Num

from aejax import _checks
from aejax._import_paths import path_of
from aejax.autoencoder import Autoencoder
from aejax.data import Dataset
from aejax.data.sources import Source
from aejax.networks.own import check_model, from_modules
from aejax.objectives import Objective, with_prior
from aejax.objectives.names import check_method, describe, make
from aejax.priors import Prior
from aejax.training import Options
from aejax.training.defaults import objective_fields
from aejax.training.distributed import run_on_process_zero_first
from aejax.training.given_data import given_dataset, named_dataset
from aejax.training.loop import Callback
from aejax.training.options import Callback as CallbackName
from aejax.training.weight_schedules import WeightSchedule

__all__ = [
  "Data",
  "Networks",
  "callbacks_of",
  "dataset_of",
  "further_options",
  "is_own",
  "model_of",
  "named_dataset_of",
  "objective_of",
  "weight_schedule_of",
]

Data = Num[Array | np.ndarray, "n ..."] | Dataset | str | os.PathLike[str] | Source
Networks = Autoencoder | str | tuple[Any, Any] | Callable[..., Any]


def further_options(options: Mapping[str, Any], taken: Mapping[str, Any]) -> dict[str, Any]:
  """Returns further options, or raises a ValueError for one that `fit` does not take."""
  known = {name for name in Options.__dataclass_fields__ if name not in taken}
  known -= {"dataset", "network", "prior", "optimizer", "distributed", "coordinator", "callback"}
  # `data` is where the data lie; arrays are streamed if they do not fit the devices.
  known -= {"num_processes", "process_id", "data"}
  for name in options:
    _checks.one_of("option", name, sorted(known))
  if options.get("data_dir") is not None:
    return {**options, "data_dir": _checks.path("data_dir", options["data_dir"])}
  return dict(options)


def weight_schedule_of(
  given: WeightSchedule | str | None, options: dict[str, Any]
) -> WeightSchedule | None:
  """Returns a schedule that was given as an object; the name of one goes into the options."""
  if given is None or isinstance(given, str):
    options["weight_schedule"] = given
    return None
  if not callable(given):
    raise ValueError(
      f"weight_schedule must be a name or a function, but is {_checks.type_name(given)}."
    )
  return given


def callbacks_of(given: Sequence[Callback | str], options: dict[str, Any]) -> Sequence[Callback]:
  """Returns the callbacks that are functions; the name of another goes into the options."""
  if isinstance(given, str):
    raise ValueError(f'callbacks must be a list, such as ["{given}"], not a text.')
  names = [callback for callback in given if isinstance(callback, str)]
  if len(names) > 1:
    raise ValueError(f"callbacks may hold one name, but hold {', '.join(names)}.")
  for name in names:
    options["callback"] = _checks.one_of("callback", name, get_args(CallbackName))
  functions = [callback for callback in given if not isinstance(callback, str)]
  for callback in functions:
    if not callable(callback):
      raise ValueError(
        f"callbacks must be functions or names, but one is {_checks.type_name(callback)}."
      )
  return functions


def dataset_of(given: Any, options: dict[str, Any]) -> Dataset | None:
  """Returns the data set of an object; a name or a path goes into the options."""
  if isinstance(given, str | os.PathLike):
    options["dataset"] = os.fspath(given)
    return None
  if options.get("image_size") is not None:
    raise ValueError("image_size is for data sets by name or path; resize the arrays instead.")
  return given_dataset(given, workdir=options["workdir"], resume=options["resume"])


def named_dataset_of(options: dict[str, Any]) -> Dataset:
  """Returns the data set that the options name."""
  return run_on_process_zero_first(
    lambda: named_dataset(
      options["dataset"],
      placement=None,
      data_dir=options.get("data_dir"),
      image_size=options.get("image_size"),
    )
  )


def objective_of(
  objective: Objective | str,
  prior: Prior | str | None,
  options: dict[str, Any],
  dataset: Dataset | None,
  recorded: bool,
) -> tuple[str, dict[str, Any], Objective | None]:
  """Returns method and fields for config.json, and the objective if it was given as an object."""
  if isinstance(prior, str):
    options["prior"] = prior
  elif prior is not None:
    _checks.instance("prior", prior, Prior, "a prior or the name of one")
    options["latent_dim"] = options["latent_dim"] or prior.dim
  if isinstance(objective, str):
    check_method(objective)
    if prior is None or isinstance(prior, str):
      return objective, {}, None
    name = "" if dataset is not None else options.get("dataset", "digits")
    objective = make(objective, objective_fields(objective, {}, name))
  _checks.instance("objective", objective, Objective, "an objective or the name of one")
  if isinstance(prior, Prior):
    objective = with_prior(objective, prior)
  elif prior is not None:
    raise ValueError("prior must be an object for an objective that is one, not a name.")
  own = getattr(objective, "prior", None)
  if own is not None and options["latent_dim"] is None:
    options["latent_dim"] = own.dim
  try:
    return *describe(objective), objective
  except ValueError:
    if recorded:
      raise
    return type(objective).__name__, {}, objective


def is_own(model: Any) -> bool:
  """Whether networks are given as objects."""
  return isinstance(model, Autoencoder | tuple | list)


def model_of(
  given: Networks | None, objective: Objective, options: dict[str, Any], dataset: Dataset | None
) -> tuple[Autoencoder | None, str | None]:
  """Returns the networks that were given as an object, or the name of an architecture."""
  if given is None or isinstance(given, str):
    return None, given
  if not is_own(given):
    path = path_of(given)
    if path is None:
      raise ValueError(
        "model must be a name, an Autoencoder, a pair (encoder, decoder) or a function that can be "
        f"imported from a module, but is {_checks.type_name(given)}."
      )
    return None, path
  assert dataset is not None
  shape = dataset.image_shape
  if not isinstance(given, Autoencoder):
    from_modules("model", given, 1)  # raises now if it is no pair of functions
    latent_dim = options["latent_dim"] or _latent_dim(given, shape)
    given = from_modules("model", given, latent_dim)
  latent_dim = options["latent_dim"] or given.latent_dim
  check_model(given, shape, latent_dim=latent_dim, gaussian=objective.gaussian_encoder)
  return given, None


def _latent_dim(modules: Any, shape: tuple[int, ...]) -> int:
  """Returns the number of columns that an encoder returns."""
  encoder = modules[0]
  batch = jax.ShapeDtypeStruct((2, *shape), np.float32)
  try:
    encoded = jax.eval_shape(lambda images: encoder(images), batch)
    mean = encoded[0] if isinstance(encoded, tuple | list) else encoded
    return int(mean.shape[-1])
  except Exception as error:  # networks of users may raise anything
    raise ValueError(
      f"The encoder does not take examples of shape {list(shape)}: {_checks.short_message(error)}"
    ) from error
