"""The calls of the Python API: `fit` trains a model, `load` opens a trained one."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aejax._extras import require, require_flax

require("train", "orbax", "rich")
require_flax()

import optax

from aejax import _checks
from aejax import training as _training
from aejax._fit_arguments import (
  Data,
  Networks,
  callbacks_of,
  dataset_of,
  further_options,
  is_own,
  model_of,
  named_dataset_of,
  objective_of,
  weight_schedule_of,
)
from aejax._untrained import mark_untrained
from aejax.autoencoder import Autoencoder
from aejax.data import Dataset
from aejax.objectives import Objective
from aejax.objectives.names import make
from aejax.priors import Prior
from aejax.training import Options
from aejax.training.loop import Callback
from aejax.training.prepare import resolve_run
from aejax.training.state import Given
from aejax.training.weight_schedules import WeightSchedule

__all__ = ["Run", "fit", "load"]


class Run(_training.Run):
  """A trained run: what `fit` and `load` return.

  `encode`, `decode`, `reconstruct` and `generate` take any number of rows. `model` is the trained
  `Autoencoder` and `history` the metrics of each epoch. `configuration` has all settings.
  """

  def evaluate(self, *, dataset: Dataset | None = None, extractor: Any = None) -> dict[str, Any]:
    """Scores the run on its test set.

    With a work directory, this writes summary.json, the plots and report.html into it, as the
    command does.

    Args:
      dataset: data set of the run, if it was given as an object to a run that was loaded.
      extractor: features to compare generated images by; see `evaluation.evaluate`.

    Returns:
      The metrics by name, as summary.json has them.
    """
    from aejax.evaluation import score

    run = self if dataset is None else self._with(dataset)
    if run.workdir is not None:
      return dict(score(run, extractor=extractor)[0])
    from aejax.evaluation.score import evaluate

    return dict(evaluate(None, run, run.dataset, extractor=extractor))

  def report(self, path: str | os.PathLike[str] | None = None) -> Path:
    """Scores the run and writes a web page about it, with its plots inside.

    Args:
      path: the page to write; by default report.html in the work directory.

    Returns:
      The path of the page.

    Raises:
      ValueError: if there is neither a path nor a work directory.
    """
    from aejax.evaluation import score, write_report
    from aejax.evaluation.score import score_in

    if self.workdir is not None:
      score(self)
      if path is None:
        return self.workdir / "report.html"
      folders = [seed.workdir for seed in self.seeds if seed.workdir is not None]
      return write_report(_checks.path("path", path), folders)
    if path is None:
      raise ValueError("path must name the page to write, because the run has no work directory.")
    target = _checks.path("path", path)
    with tempfile.TemporaryDirectory() as folder:
      place = Path(folder) / target.stem
      place.mkdir()
      score_in(place, self)
      return write_report(target, [place])

  def _with(self, dataset: Dataset) -> "Run":
    if self.workdir is None:
      raise ValueError("dataset is only for a run that was loaded from its work directory.")
    opened = type(self).open(self.workdir, dataset=dataset)
    opened.given, opened.best = self.given, self.best
    return opened


def fit(
  objective: Objective | str,
  data: Data,
  *,
  model: Networks | None = None,
  latent_dim: int | None = None,
  prior: Prior | str | None = None,
  optimizer: optax.GradientTransformation | str | None = None,
  learning_rate: float | None = None,
  epochs: int | None = None,
  batch_size: int | None = None,
  weight_schedule: WeightSchedule | str | None = None,
  seed: int = 0,
  seeds: int | None = None,
  workdir: str | os.PathLike[str] | None = None,
  resume: bool = False,
  callbacks: Sequence[Callback | str] = (),
  **options: Any,
) -> Run:
  """Trains an autoencoder whose latents are matched to a prior.

  Without a work directory, nothing is written. With one, the run is the same as that of the command
  `aejax train`: it holds checkpoints, config.json and metrics.jsonl, and can be resumed.

  Args:
    objective: cost to minimise: a name of `objectives.BY_NAME`, a sum such as "cwae+energy", the
      import path of a class, or an `Objective`.
    data: array of examples `[n, ...]`, a `data.Dataset`, the name or path of a data set, or a data
      pipeline as `data.from_source` takes it: a source with random access, which is streamed, or an
      iterable, which is read once, into memory or into the work directory. A fixed random part of
      an array or a pipeline is its test set.
    model: networks: a name of `networks.ARCHITECTURES`, an `Autoencoder`, a pair of modules
      (encoder, decoder), or a function that `networks.build` can call, itself or its import path.
      The object keeps its initial parameters; the trained ones are in the result. By default, the
      paper's network for the data set, or one that suits the shape of the examples.
    latent_dim: number of latent dimensions.
    prior: distribution that the latents are matched to: a prior, or a name of
      `objectives.named_prior`. By default that of the objective.
    optimizer: any optax transformation, or "adam", "adamw", "lion" or "sgd".
    learning_rate: learning rate, unless `optimizer` is an object.
    epochs: number of passes over the training set.
    batch_size: number of examples in a step.
    weight_schedule: weight of the penalty over the run: "constant", "warmup:EPOCHS" or
      "cyclic:EPOCHS", see `training.weight_schedule`; or a function from the number of steps taken
      to a factor of the weight, such as a schedule of optax.
    seed: random seed of the parameters, the order of the data, and every draw.
    seeds: number of runs to train at once, with this seed and the next ones. The list `seeds` of
      the result has them.
    workdir: folder to write to; a new or an empty one.
    resume: whether to continue the run in `workdir`.
    callbacks: functions that are called at the end of each epoch with its metrics and the
      `TrainState`; `training.merge(model, state.params)` is the model then. With several seeds they
      are called for each, and the metrics have its `seed`. One may be the name "tensorboard" or
      "wandb", which needs a workdir.
    options: further fields of `training.Options`, such as `precision` or `ema_decay`.

  Raises:
    ValueError: if an argument is wrong, or an object cannot be recorded in a work directory.
    ImportError: if the package of a named callback is not installed.
    Diverged: if the loss or a parameter is no longer finite.

  Example:
    run = aejax.fit("cwae", images, latent_dim=8, epochs=50)
    samples = run.generate(jax.random.key(0), 64)
  """
  given_options: dict[str, Any] = dict(
    latent_dim=latent_dim,
    learning_rate=learning_rate,
    epochs=epochs,
    batch_size=batch_size,
    seed=seed,
    seeds=seeds,
    workdir=None if workdir is None else _checks.path("workdir", workdir),
    resume=_checks.boolean("resume", resume),
  )
  given_options |= further_options(options, given_options)
  if resume and workdir is None:
    raise ValueError("resume needs the workdir of the run to continue.")
  functions = callbacks_of(callbacks, given_options)
  schedule = weight_schedule_of(weight_schedule, given_options)
  dataset = dataset_of(data, given_options)
  if isinstance(optimizer, str) or optimizer is None:
    given_options["optimizer"], optimizer = optimizer, None
  else:
    _checks.instance(
      "optimizer", optimizer, optax.GradientTransformation, "an optax transformation"
    )
    if learning_rate is not None:
      raise ValueError("learning_rate is that of a named optimizer; give it to yours instead.")
  method, fields, cost = objective_of(objective, prior, given_options, dataset, bool(workdir))
  if dataset is None and is_own(model):
    dataset = named_dataset_of(given_options)  # its shape is needed now
  network, name = model_of(model, cost or make(method, {}), given_options, dataset)
  if name is not None:
    given_options["network"] = name
  given = Given(network, cost, optimizer, schedule)
  arguments = method, fields, Options(**given_options)
  if workdir is None:
    found = resolve_run(*arguments, dataset=dataset, given=given, writes=False)
    run = Run(*found, given=given)
  else:
    run = _training.prepare(*arguments, dataset=dataset, given=given, run_class=Run)
  run.train(callbacks=functions)
  if isinstance(model, Autoencoder):
    mark_untrained(model)
  return run


def load(
  workdir: str | os.PathLike[str],
  *,
  best: bool = False,
  model: Any = None,
  dataset: Dataset | None = None,
) -> Run:
  """Opens a trained run, with the model of its newest checkpoint.

  Args:
    workdir: work directory of the run.
    best: whether to take the parameters after the best epoch, instead of the last ones. It is the
      epoch with the lowest loss on the test set or, without `test_epochs`, the lowest mean training
      loss.
    model: networks of the run, if they were given as an object: an `Autoencoder` or a pair
      (encoder, decoder) of the same shapes. The object itself stays as it is.
    dataset: data set of the run, if it was given as an object or has moved.

  Raises:
    ValueError: if the folder holds no run, several runs, no checkpoint yet, or for `best` no
      complete epoch yet; or if `model` or `dataset` are others.

  Example:
    run = aejax.load("runs/cwae-digits")
    latents = run.encode(images)
  """
  run = Run.open(workdir, model=model, dataset=dataset)
  run.best = _checks.boolean("best", best)
  _ = run.model  # raises now if there is no checkpoint
  return run
