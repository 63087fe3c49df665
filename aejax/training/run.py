"""A run: its configuration, data set and work directory; how to make one and to open it again."""

import contextlib
import dataclasses
import functools
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from aejax import _checks, data
from aejax._files import locked
from aejax._messages import warn
from aejax.data import Dataset
from aejax.training.configuration import (
  MUTABLE_ON_RESUME,
  Configuration,
  Options,
  check_settings,
  dataset_name,
  differences,
  read,
  seed_runs,
  write,
)
from aejax.training.defaults import complete
from aejax.training.distributed import run_on_all_processes, run_on_process_zero_first
from aejax.training.loop import train
from aejax.training.sharding import check_batch_size
from aejax.training.state import build
from aejax.training.trained import TrainedAutoencoder, load

__all__ = ["Run", "prepare"]


class Run:
  """A training run in its work directory.

  `prepare` makes a new run or resumes one; `Run.open` opens one that exists.

  Attributes:
    configuration: all settings of the run, as in config.json.
    workdir: the work directory, which holds everything that the run writes.
  """

  def __init__(self, configuration: Configuration, workdir: Path, dataset: Dataset | None = None):
    """Makes the object without reading or writing anything.

    Args:
      configuration: all settings of the run.
      workdir: the work directory.
      dataset: the data set, if it is loaded already; by default it is loaded on first use.
    """
    self.configuration = configuration
    self.workdir = workdir
    if dataset is not None:
      self.__dict__["dataset"] = dataset

  @classmethod
  def open(
    cls, workdir: str | os.PathLike[str], *, dataset: str | os.PathLike[str] | None = None
  ) -> "Run":
    """Opens the run in a work directory, without loading its data set.

    Args:
      workdir: the work directory.
      dataset: path or name of the data that the run was trained on, if they have moved.

    Raises:
      ValueError: if the folder holds no run, or its config.json is damaged.
    """
    path = _checks.path("workdir", workdir)
    configuration = read(path)
    if dataset is not None:
      configuration = dataclasses.replace(configuration, dataset=dataset_name(os.fspath(dataset)))
      if configuration.data_digest is None:
        warn(f"{path} does not record which data it was trained on: {dataset} may be others")
    return cls(configuration, path)

  @functools.cached_property
  def dataset(self) -> Dataset:
    """The data set that the run is trained on, loaded on first use.

    Raises:
      ValueError: if it is no longer there, or its examples have another number, shape, content or
        order. Another order has another split, whose test images the run was trained on.
    """
    configuration = self.configuration
    if configuration.dataset not in data.NAMES and not os.path.exists(configuration.dataset):
      raise ValueError(
        f"{self.workdir} was trained on {configuration.dataset}, which is no longer there: if the "
        "data have moved, name them with --dataset."
      )
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
    if configuration.data_digest not in (None, dataset.digest):
      raise ValueError(
        f"{configuration.dataset} does not hold the data that {self.workdir} was trained on, or "
        "not in their order: if they are elsewhere, name them with --dataset."
      )
    return dataset

  @property
  def seeds(self) -> list["Run"]:
    """The runs that are trained together, one per seed; this run itself if there is only one."""
    if self.configuration.seeds == 1:
      return [self]
    return [
      Run(configuration, workdir, self.__dict__.get("dataset"))
      for configuration, workdir in seed_runs(self.configuration, self.workdir)
    ]

  def train(self) -> dict[str, float]:
    """Trains to the last epoch, from the newest checkpoint if there is one.

    It uses all devices; with several processes, each must call it. An `AejaxWarning` says if
    latents collapse, a checkpoint is damaged or the disk fails. If a filter turns it into an error,
    training ends, and the next call continues from the newest checkpoint.

    Returns:
      `seconds` of this call and `images_per_second`; empty if nothing was left to train.

    Raises:
      Diverged: if the loss or a parameter is no longer finite.
      Interrupted: after SIGINT or SIGTERM, once the state is saved.
    """
    return train(self.configuration, self.dataset, self.workdir)

  def load(self, *, best: bool = False) -> TrainedAutoencoder:
    """Loads the model from the newest checkpoint, as `aejax.load` does."""
    return load(self.workdir, best=best)


def prepare(method: str, objective: dict[str, Any], options: Options) -> Run:
  """Makes a new run, or opens one to resume it: completes settings, loads data, writes config.json.

  With several processes, the first prepares the data set before the others load it; each keeps
  only those training images that its devices need.

  Args:
    method: a name of `objectives.BY_NAME`, or several joined by "+".
    objective: given fields of the objective.
    options: given options.

  Raises:
    ValueError: if an option is wrong, the data set is not there, or the work directory is not
      empty; with `options.resume`, if the work directory holds no such run.
  """
  run = run_on_process_zero_first(lambda: _resolve_run(method, objective, options))
  run_on_all_processes(lambda: _write_configuration(run, resume=options.resume))
  return run


def _write_configuration(run: Run, *, resume: bool) -> None:
  if jax.process_index() == 0:
    with locked(run.workdir) if resume else contextlib.nullcontext():
      write(run.workdir, run.configuration)


def _resolve_run(method: str, objective: dict[str, Any], options: Options) -> Run:
  name = "digits" if options.dataset is None else options.dataset
  stem = _checks.path("dataset", name).resolve().stem
  workdir = options.workdir or Path("runs") / f"{method}-{stem}"
  if options.resume:
    configuration = _resumed(workdir, method, objective, options)
    run = Run(configuration, workdir)
    _ = run.dataset  # raises now if the data set has changed
    return run
  if workdir.exists() and (not workdir.is_dir() or any(workdir.iterdir())):
    raise ValueError(
      f"{workdir} exists already: choose another --workdir, or continue its run with --resume."
    )
  dataset = data.load(
    name,
    data_dir=options.data_dir,
    image_size=options.image_size,
    in_memory=jax.process_count() == 1,
  )
  if len(dataset.test) < 2:
    raise ValueError(f"{name} has only one test image, but scoring needs at least two.")
  configuration = complete(
    method,
    objective,
    options,
    dataset=dataset_name(name),
    image_shape=dataset.image_shape,
    num_images=len(dataset.train),
  )
  configuration = dataclasses.replace(
    configuration,
    data_digest=dataset.digest,
    scaling=data.choose_scaling(dataset, options.standardise).to_json(),
  )
  check_batch_size(configuration.batch_size, jax.device_count(), configuration.accumulate)
  _check_step(configuration)
  return Run(configuration, workdir, dataset)


def _check_step(configuration: Configuration) -> None:
  """Traces a step without computing it, so that an error comes before anything is written."""

  def step(images):
    _, state, train_step = build(configuration)
    return train_step(state, images)[1]

  shape = (configuration.batch_size, *configuration.image_shape)
  try:
    jax.eval_shape(step, jax.ShapeDtypeStruct(shape, jnp.float32))
  except ValueError as error:
    raise ValueError(f"{configuration.method} cannot train with these options: {error}") from error


def _resumed(
  workdir: Path, method: str, objective: dict[str, Any], options: Options
) -> Configuration:
  configuration = read(workdir)
  if options.standardise is not None and options.standardise != isinstance(
    configuration.scaling, dict
  ):
    raise ValueError(f"{workdir} holds another run: standardise cannot change on --resume.")
  different = differences(configuration, method, objective, options)
  if different:
    raise ValueError(f"{workdir} holds another run: {'; '.join(different)}.")
  if options.dataset is not None:
    configuration = dataclasses.replace(configuration, dataset=dataset_name(options.dataset))
  if options.data_dir is not None:
    configuration = dataclasses.replace(configuration, data_dir=str(options.data_dir.absolute()))
  if options.epochs is not None and options.epochs != configuration.epochs:
    if configuration.schedule != "constant":
      raise ValueError("epochs cannot change on --resume: the schedule of the run depends on them.")
    if options.epochs < configuration.epochs:
      raise ValueError(f"epochs can only grow on --resume, from {configuration.epochs}.")
    configuration = dataclasses.replace(configuration, epochs=options.epochs)
  given = {
    name: value
    for name in MUTABLE_ON_RESUME
    if name not in ("data_dir", "epochs") and (value := getattr(options, name)) is not None
  }
  configuration = dataclasses.replace(configuration, **given)
  check_settings(dataclasses.asdict(configuration))
  check_batch_size(configuration.batch_size, jax.device_count(), configuration.accumulate)
  return configuration
