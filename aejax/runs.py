"""The calls of the Python API: `fit` trains a model, `load` opens a trained one."""

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aejax._extras import require, require_flax

require("train", "orbax", "rich")
require_flax()

import jax
import numpy as np
import optax
from jaxtyping import Array, Num

from aejax import _checks
from aejax import training as _training
from aejax._import_paths import path_of
from aejax.autoencoder import Autoencoder, mark_untrained
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
from aejax.training.prepare import resolve_run
from aejax.training.state import Given

__all__ = ["Run", "fit", "load"]

Data = Num[Array | np.ndarray, "n ..."] | Dataset | str | os.PathLike[str] | Source
Networks = Autoencoder | str | tuple[Any, Any] | Callable[..., Any]


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
  seed: int = 0,
  workdir: str | os.PathLike[str] | None = None,
  resume: bool = False,
  callbacks: Sequence[Callback] = (),
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
    seed: random seed of the parameters, the order of the data, and every draw.
    workdir: folder to write to; a new or an empty one.
    resume: whether to continue the run in `workdir`.
    callbacks: functions that are called at the end of each epoch with its metrics and the
      `TrainState`; `training.merge(model, state.params)` is the model then.
    options: further fields of `training.Options`, such as `precision` or `ema_decay`.

  Raises:
    ValueError: if an argument is wrong, or an object cannot be recorded in a work directory.
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
    workdir=None if workdir is None else _checks.path("workdir", workdir),
    resume=_checks.boolean("resume", resume),
  )
  given_options |= _further_options(options, given_options)
  if resume and workdir is None:
    raise ValueError("resume needs the workdir of the run to continue.")
  for callback in callbacks:
    if not callable(callback):
      raise ValueError(f"callbacks must be functions, but one is {_checks.type_name(callback)}.")
  dataset = _dataset(data, given_options)
  if isinstance(optimizer, str) or optimizer is None:
    given_options["optimizer"], optimizer = optimizer, None
  else:
    _checks.instance(
      "optimizer", optimizer, optax.GradientTransformation, "an optax transformation"
    )
    if learning_rate is not None:
      raise ValueError("learning_rate is that of a named optimizer; give it to yours instead.")
  method, fields, cost = _objective(objective, prior, given_options, dataset, bool(workdir))
  if dataset is None and _is_own(model):
    dataset = _named(given_options)  # its shape is needed now
  network, name = _model(model, cost or make(method, {}), given_options, dataset)
  if name is not None:
    given_options["network"] = name
  given = Given(network, cost, optimizer)
  arguments = method, fields, Options(**given_options)
  if workdir is None:
    found = resolve_run(*arguments, dataset=dataset, given=given, writes=False)
    run = Run(*found, given=given)
  else:
    run = _training.prepare(*arguments, dataset=dataset, given=given, run_class=Run)
  run.train(callbacks=callbacks)
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


def _further_options(options: Mapping[str, Any], taken: Mapping[str, Any]) -> dict[str, Any]:
  known = {name for name in Options.__dataclass_fields__ if name not in taken}
  known -= {"dataset", "network", "prior", "optimizer", "distributed", "coordinator", "seeds"}
  # `data` is where the data lie; arrays are streamed if they do not fit the devices.
  known -= {"num_processes", "process_id", "data"}
  for name in options:
    _checks.one_of("option", name, sorted(known))
  if options.get("data_dir") is not None:
    return {**options, "data_dir": _checks.path("data_dir", options["data_dir"])}
  return dict(options)


def _dataset(given: Any, options: dict[str, Any]) -> Dataset | None:
  """Returns the data set of an object; a name or a path goes into the options."""
  if isinstance(given, str | os.PathLike):
    options["dataset"] = os.fspath(given)
    return None
  if options.get("image_size") is not None:
    raise ValueError("image_size is for data sets by name or path; resize the arrays instead.")
  return given_dataset(given, workdir=options["workdir"], resume=options["resume"])


def _is_own(model: Any) -> bool:
  return isinstance(model, Autoencoder | tuple | list)


def _named(options: dict[str, Any]) -> Dataset:
  return run_on_process_zero_first(
    lambda: named_dataset(
      options["dataset"],
      placement=None,
      data_dir=options.get("data_dir"),
      image_size=options.get("image_size"),
    )
  )


def _objective(
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


def _model(
  given: Networks | None, objective: Objective, options: dict[str, Any], dataset: Dataset | None
) -> tuple[Autoencoder | None, str | None]:
  """Returns the networks that were given as an object, or the name of an architecture."""
  if given is None or isinstance(given, str):
    return None, given
  if not _is_own(given):
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
