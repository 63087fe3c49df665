"""The work directory of a run: a new one, or one to go on with; never one to overwrite."""

import dataclasses
from pathlib import Path
from typing import Any

from aejax import data
from aejax.data import Dataset
from aejax.training.configuration import Configuration, Options, differences, read, resolve, write

__all__ = ["load_dataset", "prepare"]


def prepare(
  method: str, objective: dict[str, Any], options: Options
) -> tuple[Configuration, Dataset, Path]:
  """Settles what will run, on which data, and where; config.json is written last.

  Args:
    method: a name of `objectives.BY_NAME`.
    objective: fields of the objective that were given.
    options: the other options that were given.

  Raises:
    ValueError: if an option is wrong, the data are not to be had, the work directory is in use
      already (or, with `options.resume`, holds no such run).
  """
  name = options.dataset or "digits"
  workdir = options.workdir or Path("runs") / f"{method}-{Path(name).stem}"
  if options.resume:
    configuration = _resumed(workdir, method, objective, options)
    return configuration, load_dataset(configuration), workdir
  if workdir.exists() and (not workdir.is_dir() or any(workdir.iterdir())):
    raise ValueError(
      f"{workdir} exists already: choose another --workdir, or go on with its run by --resume."
    )
  dataset = data.load(name, data_dir=options.data_dir, image_size=options.image_size)
  if name not in data.NAMES:
    name = str(Path(name).expanduser().resolve())
  configuration = resolve(
    method,
    objective,
    options,
    dataset=name,
    image_shape=dataset.image_shape,
    num_images=len(dataset.train),
  )
  write(workdir, configuration)
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
  )
  if dataset.image_shape != configuration.image_shape:
    raise ValueError(
      f"The images of {configuration.dataset} have shape {dataset.image_shape}, but the run was "
      f"started with {configuration.image_shape}."
    )
  return dataset


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
    write(workdir, configuration)
  return configuration
