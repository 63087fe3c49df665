"""The work directory of a run: a new one, or one to go on with; never one to overwrite."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from aejax import checks, data
from aejax.data import Dataset
from aejax.training.build import build
from aejax.training.configuration import (
  MAY_CHANGE,
  Configuration,
  check_settings,
  differences,
  read,
  write,
)
from aejax.training.devices import check_batch_size
from aejax.training.lock import locked
from aejax.training.options import Options
from aejax.training.processes import everyone, first
from aejax.training.published import resolve

__all__ = ["load_dataset", "prepare"]


def prepare(
  method: str, objective: dict[str, Any], options: Options
) -> tuple[Configuration, Dataset, Path]:
  """Settles what will run, on which data, and where; config.json is written last.

  Of several processes the first loads the data set before the others, who then find it prepared;
  each keeps of the training images what its devices are to have.

  Args:
    method: a name of `objectives.BY_NAME`.
    objective: fields of the objective that were given.
    options: the other options that were given.

  Raises:
    ValueError: if an option is wrong, the data are not to be had, the work directory is in use
      already (or, with `options.resume`, holds no such run).
  """
  configuration, dataset, workdir = first(lambda: _settle(method, objective, options))
  everyone(lambda: _describe(workdir, configuration, resume=options.resume))
  return configuration, dataset, workdir


def _describe(workdir: Path, configuration: Configuration, *, resume: bool) -> None:
  if jax.process_index() == 0:
    with locked(workdir) if resume else contextlib.nullcontext():
      write(workdir, configuration)


def _settle(
  method: str, objective: dict[str, Any], options: Options
) -> tuple[Configuration, Dataset, Path]:
  name = "digits" if options.dataset is None else options.dataset
  path = str(checks.path("dataset", name).resolve())
  workdir = options.workdir or Path("runs") / f"{method}-{Path(path).stem}"
  if options.resume:
    configuration = _resumed(workdir, method, objective, options)
    return configuration, load_dataset(configuration), workdir
  if workdir.exists() and (not workdir.is_dir() or any(workdir.iterdir())):
    raise ValueError(
      f"{workdir} exists already: choose another --workdir, or go on with its run by --resume."
    )
  dataset = data.load(
    name,
    data_dir=options.data_dir,
    image_size=options.image_size,
    in_memory=jax.process_count() == 1,
  )
  if len(dataset.test) < 2:
    raise ValueError(f"{name} has one test image only: two are the least that can be scored.")
  configuration = resolve(
    method,
    objective,
    options,
    dataset=name if name in data.NAMES else path,
    image_shape=dataset.image_shape,
    num_images=len(dataset.train),
  )
  check_batch_size(configuration.batch_size, jax.device_count(), configuration.accumulate)
  _try(configuration)
  return configuration, dataset, workdir


def load_dataset(configuration: Configuration) -> Dataset:
  """The data set that a run was trained on.

  Raises:
    ValueError: if it is not to be had any more, or has changed its shape.
  """
  dataset = data.load(
    configuration.dataset,
    data_dir=configuration.data_dir,
    image_size=configuration.image_size,
    in_memory=jax.process_count() == 1,
  )
  found = (len(dataset.train), *dataset.image_shape)
  expected = (configuration.train_images, *configuration.image_shape)
  if found != expected:
    raise ValueError(
      f"The training images of {configuration.dataset} have shape {list(found)}, but the run was "
      f"started with {list(expected)}."
    )
  return dataset


def _try(configuration: Configuration) -> None:
  """Traces a step, on no device: what cannot work fails before anything is written."""

  def step(images):
    _, state, train_step = build(configuration)
    return train_step(state, images)[1]

  shape = (configuration.batch_size, *configuration.image_shape)
  try:
    jax.eval_shape(step, jax.ShapeDtypeStruct(shape, jnp.uint8))
  except ValueError as error:
    raise ValueError(f"{configuration.method} cannot train with these options: {error}") from error


def _resumed(
  workdir: Path, method: str, objective: dict[str, Any], options: Options
) -> Configuration:
  configuration = read(workdir)
  different = differences(configuration, method, objective, options)
  if different:
    raise ValueError(f"{workdir} holds another run: {'; '.join(different)}.")
  if options.data_dir is not None:
    configuration = dataclasses.replace(configuration, data_dir=str(options.data_dir.absolute()))
  if options.epochs is not None and options.epochs != configuration.epochs:
    if configuration.schedule != "constant":
      raise ValueError("epochs cannot change on --resume: the schedule of the run depends on them.")
    if options.epochs < configuration.epochs:
      raise ValueError(f"epochs can only grow on --resume, from {configuration.epochs}.")
    configuration = dataclasses.replace(configuration, epochs=options.epochs)
  others = [name for name in MAY_CHANGE if name not in ("data_dir", "epochs")]
  given = {name: getattr(options, name) for name in others if getattr(options, name) is not None}
  configuration = dataclasses.replace(configuration, **given)
  check_settings(dataclasses.asdict(configuration))
  check_batch_size(configuration.batch_size, jax.device_count(), configuration.accumulate)
  return configuration
