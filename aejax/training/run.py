"""A run: its configuration, data set and work directory; how to make one and to open it again."""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

from aejax import _checks, data
from aejax._files import locked
from aejax._messages import warn
from aejax.autoencoder import Autoencoder
from aejax.data import Dataset
from aejax.networks.own import from_modules
from aejax.objectives import Objective
from aejax.training.configuration import (
  MUTABLE_ON_RESUME,
  Configuration,
  check_settings,
  dataset_name,
  differences,
  read,
  seed_runs,
  write,
)
from aejax.training.defaults import complete
from aejax.training.distributed import run_on_all_processes, run_on_process_zero_first
from aejax.training.log import read_lines
from aejax.training.loop import Callback, Trainer, train
from aejax.training.optimizers import trained_parameters
from aejax.training.options import GIVEN, Options
from aejax.training.sharding import check_batch_size
from aejax.training.state import NOTHING_GIVEN, Given, build
from aejax.training.step import merge
from aejax.training.streaming import fits_host
from aejax.training.trained import TrainedAutoencoder, load_model

__all__ = ["Run", "prepare", "resolve_run"]


RunType = TypeVar("RunType", bound="Run")


class Run(TrainedAutoencoder):
  """A training run: its settings, its data, its log and its trained model.

  `prepare` makes a new run or resumes one; `Run.open` opens one that exists. The model is that of
  the newest checkpoint, loaded on first use.

  Attributes:
    configuration: all settings of the run, as in config.json.
    workdir: the work directory, which holds everything that the run writes; None for a run that
      writes nothing.
    given: objects that replace what the configuration names.
  """

  def __init__(
    self,
    configuration: Configuration,
    workdir: Path | None,
    dataset: Dataset | None = None,
    *,
    given: Given = NOTHING_GIVEN,
  ):
    """Makes the object without reading or writing anything.

    Args:
      configuration: all settings of the run.
      workdir: the work directory.
      dataset: the data set, if it is loaded already; by default it is loaded on first use.
      given: objects that replace what the configuration names.
    """
    self.configuration = configuration
    self.workdir = workdir
    self.given = given
    self._history: list[dict[str, Any]] = []
    if dataset is not None:
      self.__dict__["dataset"] = dataset

  @classmethod
  def open(
    cls: type[RunType],
    workdir: str | os.PathLike[str],
    *,
    model: Any = None,
    dataset: Dataset | str | os.PathLike[str] | None = None,
  ) -> RunType:
    """Opens the run in a work directory, without loading its data set.

    Args:
      workdir: the work directory.
      model: networks of the run, if they were given as an object.
      dataset: data that the run was trained on, if they were given as an object, or their path if
        they have moved.

    Raises:
      ValueError: if the folder holds no run, its config.json is damaged, or the data are others.
    """
    path = _checks.path("workdir", workdir)
    configuration = read(path)
    given = None
    if isinstance(dataset, Dataset):
      given = dataset
      _check_data(configuration, given, path)
    elif dataset is not None:
      configuration = dataclasses.replace(configuration, dataset=dataset_name(os.fspath(dataset)))
      if configuration.data_digest is None:
        warn(f"{path} does not record which data it was trained on: {dataset} may be others")
    if model is not None and not isinstance(model, Autoencoder):
      model = from_modules("model", model, configuration.latent_dim)
    return cls(configuration, path, given, given=Given(model))

  def __getstate__(self) -> dict[str, Any]:
    # Transformations of optax are closures, which cannot be pickled.
    given = dataclasses.replace(self.given, optimizer=None)
    return super().__getstate__() | {"given": given}

  @functools.cached_property
  def dataset(self) -> Dataset:
    """The data set that the run is trained on, loaded on first use.

    Raises:
      ValueError: if it is no longer there, or its examples have another number, shape, content or
        order. Another order has another split, whose test images the run was trained on.
    """
    configuration = self.configuration
    if configuration.dataset.startswith(f"{GIVEN}:"):
      raise ValueError(
        f"The data of this run ({configuration.dataset}) were given as an object: "
        "pass them as dataset=."
      )
    if configuration.dataset not in data.NAMES and not os.path.exists(configuration.dataset):
      raise ValueError(
        f"{self.workdir} was trained on {configuration.dataset}, which is no longer there: if the "
        "data have moved, name them with --dataset."
      )
    dataset = data.load(
      configuration.dataset,
      data_dir=configuration.data_dir,
      image_size=configuration.image_size,
      in_memory=_in_memory(configuration.dataset, configuration.data),
      cache=jax.process_count() == 1,
    )
    _check_data(configuration, dataset, self.workdir)
    return dataset

  @functools.cached_property
  def model(self) -> Autoencoder:  # pyright: ignore[reportIncompatibleVariableOverride]
    """The trained model, from the newest checkpoint."""
    self._load()
    return self.__dict__["model"]

  @functools.cached_property
  def step(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
    """The number of steps that the model was trained for."""
    self._load()
    return self.__dict__["step"]

  @functools.cached_property
  def objective(self) -> Objective:
    """The cost that the model is trained for."""
    given = self.given.objective
    return self.configuration.make_objective() if given is None else given

  def _load(self) -> None:
    if self.workdir is None:
      raise ValueError("This run is not trained yet.")
    self.__dict__["model"], self.__dict__["step"] = load_model(
      self.workdir, self.configuration, model=self.given.model, objective=self.objective
    )

  @property
  def history(self) -> list[dict[str, Any]]:
    """The mean metrics of each epoch, as in metrics.jsonl: step, epoch, loss and the others."""
    return self._history if self.workdir is None else read_lines(self.workdir / "metrics.jsonl")

  @property
  def seeds(self) -> list["Run"]:
    """The runs that are trained together, one per seed; this run itself if there is only one."""
    if self.configuration.seeds == 1 or self.workdir is None:
      return [self]
    return [
      type(self)(configuration, workdir, self.__dict__.get("dataset"), given=self.given)
      for configuration, workdir in seed_runs(self.configuration, self.workdir)
    ]

  def train(self, *, callbacks: Sequence[Callback] = ()) -> dict[str, float]:
    """Trains to the last epoch, from the newest checkpoint if there is one.

    It uses all devices; with several processes, each must call it. An `AejaxWarning` says if
    latents collapse, a checkpoint is damaged or the disk fails. If a filter turns it into an error,
    training ends, and the next call continues from the newest checkpoint.

    Args:
      callbacks: functions that are called at the end of each epoch with its metrics, as in
        metrics.jsonl, and the train state; `merge(run.model, state.params)` is the model then.

    Returns:
      `seconds` of this call and `images_per_second`; empty if nothing was left to train.

    Raises:
      Diverged: if the loss or a parameter is no longer finite.
      Interrupted: after SIGINT or SIGTERM, once the state is saved.
    """
    for name in ("model", "step", "_posterior", "_decode"):
      self.__dict__.pop(name, None)
    configuration, dataset = self.configuration, self.dataset
    if self.workdir is not None:
      return train(configuration, dataset, self.workdir, given=self.given, callbacks=callbacks)
    trainer = Trainer(configuration, dataset, None, given=self.given, callbacks=callbacks)
    timing = trainer.train()
    state = trainer.final.train
    self.model, self.step = merge(trainer.models[0], trained_parameters(state)), int(state.step)
    self._history = trainer.histories[0]
    return timing

  def load(self, *, best: bool = False) -> TrainedAutoencoder:
    """Loads the model from the newest checkpoint, or that of the best epoch; see `load`."""
    if self.workdir is None:
      raise ValueError("This run has no work directory, and hence no checkpoint.")
    model, step = load_model(
      self.workdir,
      self.configuration,
      best=best,
      model=self.given.model,
      objective=self.objective,
    )
    trained = TrainedAutoencoder(self.configuration, model, step)
    trained.__dict__["objective"] = self.objective
    return trained


def _in_memory(name: str, placement: str | None) -> bool:
  """Returns whether to read all training data into the memory of this process."""
  if jax.process_count() > 1:
    if placement == "stream":
      raise ValueError("data cannot be stream for several processes: each holds its own part.")
    return False
  return placement == "resident" or (placement is None and fits_host(name))


def _check_data(configuration: Configuration, dataset: Dataset, workdir: Path | None) -> None:
  found = (len(dataset.train), *dataset.image_shape)
  expected = (configuration.train_images, *configuration.image_shape)
  if found != expected:
    raise ValueError(
      f"The training images of {configuration.dataset} have shape {list(found)}, but the run was "
      f"started with {list(expected)}."
    )
  if configuration.data_digest not in (None, dataset.digest):
    raise ValueError(
      f"{configuration.dataset} does not hold the data that {workdir} was trained on, or "
      "not in their order: if they are elsewhere, name them with --dataset."
    )


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
    dataset: data set to train on, instead of that of the options.
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
  if options.resume:
    configuration = _resumed(workdir, method, objective, options)
    run = Run(configuration, workdir, dataset)
    _check_data(configuration, run.dataset, workdir)  # raises now if the data set has changed
    return configuration, workdir, run.dataset
  if writes and workdir.exists() and (not workdir.is_dir() or any(workdir.iterdir())):
    raise ValueError(
      f"{workdir} exists already: choose another --workdir, or continue its run with --resume."
    )
  if dataset is None:
    dataset = data.load(
      name,
      data_dir=options.data_dir,
      image_size=options.image_size,
      in_memory=_in_memory(name, options.data),
      cache=jax.process_count() == 1,
    )
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
