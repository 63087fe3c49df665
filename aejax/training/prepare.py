"""Makes a new run, or opens one to resume it."""

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from aejax import _checks, data
from aejax._files import locked
from aejax.data import Dataset
from aejax.training.configuration import (
  MUTABLE_ON_RESUME,
  Configuration,
  check_settings,
  dataset_name,
  differences,
  read,
  write,
)
from aejax.training.defaults import complete
from aejax.training.distributed import run_on_all_processes, run_on_process_zero_first
from aejax.training.given_data import check_new, named_dataset
from aejax.training.options import GIVEN, Options
from aejax.training.run import Run, RunType, check_data
from aejax.training.sharding import check_batch_size
from aejax.training.state import NOTHING_GIVEN, Given, build
from aejax.training.trackers import check_tracker

__all__ = ["prepare", "resolve_run"]


def prepare(
  method: str,
  objective: dict[str, Any],
  options: Options,
  *,
  dataset: Dataset | None = None,
  given: Given = NOTHING_GIVEN,
  run_class: type[RunType] = Run,
) -> RunType:
  """Makes a new run, or opens one to resume it: completes settings, loads data, writes config.json.

  With several processes, the first prepares the data set before the others load it; each keeps
  only those training images that its devices need.

  Args:
    method: a name of `objectives.BY_NAME` or an import path, or several joined by "+".
    objective: given fields of the objective.
    options: given options.
    dataset: data set to train on, instead of that of the options; if they name one too, it is this
      one, and its name is recorded.
    given: objects that replace what method and options name.
    run_class: class of the result.

  Raises:
    ValueError: if an option is wrong, the data set is not there, or the work directory is not
      empty; with `options.resume`, if the work directory holds no such run.
  """
  found = run_on_process_zero_first(
    lambda: resolve_run(method, objective, options, dataset=dataset, given=given)
  )
  run = run_class(*found, given=given)
  run_on_all_processes(lambda: _write_configuration(run, resume=options.resume))
  return run


def _write_configuration(run: Run, *, resume: bool) -> None:
  if jax.process_index() == 0 and run.workdir is not None:
    with locked(run.workdir) if resume else contextlib.nullcontext():
      write(run.workdir, run.configuration)


def resolve_run(
  method: str,
  objective: dict[str, Any],
  options: Options,
  *,
  dataset: Dataset | None,
  given: Given,
  writes: bool = True,
) -> tuple[Configuration, Path | None, Dataset]:
  """Returns configuration, work directory and data set of a run, and writes nothing.

  Args:
    method: as in `prepare`.
    objective: as in `prepare`.
    options: as in `prepare`.
    dataset: as in `prepare`.
    given: as in `prepare`.
    writes: whether the run has a work directory.
  """
  name = "digits" if options.dataset is None else options.dataset
  stem = _checks.path("dataset", name).resolve().stem
  workdir = options.workdir or Path("runs") / f"{method}-{stem}"
  check_tracker(options.callback)
  if options.callback is not None and not writes:
    raise ValueError(f"The callback {options.callback} writes files, so it needs a workdir.")
  if options.resume:
    configuration = _resumed(workdir, method, objective, options, given)
    check_tracker(configuration.callback)
    run = Run(configuration, workdir, dataset)
    check_data(configuration, run.dataset, workdir)  # raises now if the data set has changed
    return configuration, workdir, run.dataset
  if writes:
    check_new(workdir)
  if dataset is None:
    dataset = named_dataset(
      name,
      placement=options.data,
      data_dir=options.data_dir,
      image_size=options.image_size,
    )
    recorded = dataset_name(name)
  elif options.dataset is not None:
    recorded = dataset_name(name)
  else:
    name, recorded = dataset.name, f"{GIVEN}:{dataset.name}"
  if len(dataset.test) < 2:
    raise ValueError(f"{name} has only one test image, but scoring needs at least two.")
  configuration = complete(
    method,
    objective,
    options,
    dataset=recorded,
    image_shape=dataset.image_shape,
    num_images=len(dataset.train),
    given=given,
  )
  configuration = dataclasses.replace(
    configuration,
    data_digest=dataset.digest,
    scaling=data.choose_scaling(dataset, options.standardise).to_json(),
  )
  check_batch_size(configuration.batch_size, jax.device_count(), configuration.accumulate)
  _check_step(configuration, given)
  return configuration, workdir if writes else None, dataset


def _check_step(configuration: Configuration, given: Given) -> None:
  """Traces a step without computing it, so that an error comes before anything is written."""

  def step(images):
    _, state, train_step = build(configuration, given=given)
    return train_step(state, images)[1]

  shape = (configuration.batch_size, *configuration.image_shape)
  try:
    jax.eval_shape(step, jax.ShapeDtypeStruct(shape, jnp.float32))
  except ValueError as error:
    raise ValueError(f"{configuration.method} cannot train with these options: {error}") from error


def _resumed(
  workdir: Path, method: str, objective: dict[str, Any], options: Options, given: Given
) -> Configuration:
  configuration = read(workdir)
  if options.standardise is not None and options.standardise != isinstance(
    configuration.scaling, dict
  ):
    raise ValueError(f"{workdir} holds another run: standardise cannot change on --resume.")
  different = differences(configuration, method, objective, options)
  different += [
    f"{name} is {found}, not an object"
    for name, given_object in (
      ("network", given.model),
      ("optimizer", given.optimizer),
      ("weight_schedule", given.weight_schedule),
    )
    if given_object is not None and (found := getattr(configuration, name)) != GIVEN
  ]
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
  changes = {
    name: value
    for name in MUTABLE_ON_RESUME
    if name not in ("data_dir", "epochs") and (value := getattr(options, name)) is not None
  }
  configuration = dataclasses.replace(configuration, **changes)
  check_settings(dataclasses.asdict(configuration))
  check_batch_size(configuration.batch_size, jax.device_count(), configuration.accumulate)
  return configuration
