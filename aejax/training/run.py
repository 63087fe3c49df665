"""A run: its settings, its data, its log and its trained model."""

import dataclasses
import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from aejax import _checks, data
from aejax._messages import warn
from aejax.autoencoder import Autoencoder
from aejax.data import Dataset
from aejax.networks.own import from_modules
from aejax.objectives import Objective
from aejax.training.configuration import (
  Configuration,
  dataset_name,
  read,
  seed_runs,
)
from aejax.training.given_data import kept_dataset, named_dataset
from aejax.training.log import read_lines
from aejax.training.loop import Callback, Trainer, train
from aejax.training.optimizers import trained_parameters
from aejax.training.options import GIVEN
from aejax.training.state import NOTHING_GIVEN, Given, unstack
from aejax.training.step import merge
from aejax.training.trained import TrainedAutoencoder, load_model

__all__ = ["Run", "RunType", "check_data"]


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
    best: whether the model is that of the best epoch, instead of the last one.
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
    self.best = False
    self._history: list[dict[str, Any]] = []
    self._members: list[Run] = []
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
      check_data(configuration, given, path)
    elif dataset is not None:
      configuration = dataclasses.replace(configuration, dataset=dataset_name(os.fspath(dataset)))
      if configuration.data_digest is None:
        warn(f"{path} does not record which data it was trained on: {dataset} may be others")
    if model is not None and not isinstance(model, Autoencoder):
      model = from_modules("model", model, configuration.latent_dim)
    return cls(configuration, path, given, given=Given(model))

  def __getstate__(self) -> dict[str, Any]:
    # Transformations and schedules of optax are closures, which cannot be pickled.
    given = dataclasses.replace(self.given, optimizer=None, weight_schedule=None)
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
      name = configuration.dataset.partition(":")[2]
      kept = None if self.workdir is None else kept_dataset(self.workdir, name=name)
      if kept is not None:
        check_data(configuration, kept, self.workdir)
        return kept
      raise ValueError(
        f"The data of this run ({configuration.dataset}) were given as an object: "
        "pass them as dataset=."
      )
    if configuration.dataset not in data.NAMES and not os.path.exists(configuration.dataset):
      raise ValueError(
        f"{self.workdir} was trained on {configuration.dataset}, which is no longer there: if the "
        "data have moved, name them with --dataset."
      )
    dataset = named_dataset(
      configuration.dataset,
      placement=configuration.data,
      data_dir=configuration.data_dir,
      image_size=configuration.image_size,
    )
    check_data(configuration, dataset, self.workdir)
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
      if self._members:
        raise ValueError("This object holds several runs: take one of the list `seeds`.")
      raise ValueError("This run is not trained yet.")
    trained = self.load()
    self.__dict__.update(model=trained.model, step=trained.step)

  @property
  def history(self) -> list[dict[str, Any]]:
    """The mean metrics of each epoch, as in metrics.jsonl: step, epoch, loss and the others."""
    return self._history if self.workdir is None else read_lines(self.workdir / "metrics.jsonl")

  @property
  def seeds(self) -> list["Run"]:
    """The runs that are trained together, one per seed; this run itself if there is only one."""
    if self.configuration.seeds == 1:
      return [self]
    if self.workdir is None:
      return list(self._members)
    runs: list[Run] = [
      type(self)(configuration, workdir, self.__dict__.get("dataset"), given=self.given)
      for configuration, workdir in seed_runs(self.configuration, self.workdir)
    ]
    for run in runs:
      run.best = self.best
    return runs

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
    self.best = False
    configuration, dataset = self.configuration, self.dataset
    if self.workdir is not None:
      return train(configuration, dataset, self.workdir, given=self.given, callbacks=callbacks)
    trainer = Trainer(configuration, dataset, None, given=self.given, callbacks=callbacks)
    timing = trainer.train()
    runs = [self]
    if len(trainer.runs) > 1:
      runs = [type(self)(member, None, dataset, given=self.given) for member, _ in trainer.runs]
      self._members = list(runs)
    states = unstack(trainer.final.train, len(runs))
    for run, model, state, history in zip(
      runs, trainer.models, states, trainer.histories, strict=True
    ):
      model = merge(model, trained_parameters(state))
      run.__dict__.update(model=model, step=int(state.step), _history=history)
    return timing

  def load(self, *, best: bool | None = None) -> TrainedAutoencoder:
    """Loads the model from the newest checkpoint, or that of the best epoch.

    Args:
      best: whether to take the parameters after the best epoch; by default the field `best`.
    """
    if self.workdir is None:
      raise ValueError("This run has no work directory, and hence no checkpoint.")
    model, step = load_model(
      self.workdir,
      self.configuration,
      best=self.best if best is None else best,
      model=self.given.model,
      objective=self.objective,
    )
    trained = TrainedAutoencoder(self.configuration, model, step)
    trained.__dict__["objective"] = self.objective
    return trained


def check_data(configuration: Configuration, dataset: Dataset, workdir: Path | None) -> None:
  """Raises a ValueError if a data set is not the one that a run was trained on."""
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
