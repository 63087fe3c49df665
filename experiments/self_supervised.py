"""Trains encoders on two views of each image, with seven penalties against collapse.

  python experiments/self_supervised.py --out results/self_supervised

Writes README.md and results.json after each training, and does what they lack; it takes about ten
minutes on two idle CPU cores. XLA_FLAGS=--xla_force_host_platform_device_count=8 runs it on eight
simulated devices, with the same numbers up to rounding.
"""

import dataclasses
import functools
import time
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from benchmarks.environment import environment
from benchmarks.results import Results, select, write_page
from joint_embedding import measures, page
from joint_embedding.penalties import ESTIMATES, PENALTIES, RANDOM, TIMED, scaled
from joint_embedding.training import Trainer, embed

import aejax
from aejax import _checks
from aejax._command_line import parse
from aejax._user_errors import user_errors

_PROBED = 10_000
_SWEEP_SEED = 1000
_DRAWS = 16


@dataclasses.dataclass(frozen=True)
class Options:
  """Compares penalties that match the embeddings of two views to a prior.

  Attributes:
    out: folder for README.md and results.json.
    dataset: name of a labelled data set of images.
    penalties: the penalties.
    network: network of the encoder.
    dim: dimension of the embeddings.
    batch_size: number of images in a batch, and so of embeddings in a penalty.
    steps: number of training steps.
    seeds: number of trainings for each penalty.
    weights: the weights tried for each penalty; that with the best linear probe of held-out
      training images is used.
    sweep_steps: number of training steps for each weight tried.
    time_n: numbers of embeddings for which penalties are timed.
    seconds: number of seconds in which each penalty is timed.
  """

  out: Path = Path("results/self_supervised")
  dataset: Literal["fashion_mnist", "mnist", "digits"] = "fashion_mnist"
  penalties: tuple[str, ...] = tuple(PENALTIES)
  network: Literal["mlp", "conv"] = "mlp"
  dim: int = 64
  batch_size: int = 128
  steps: int = 400
  seeds: int = 3
  weights: tuple[float, ...] = (3.0, 30.0, 300.0)
  sweep_steps: int = 150
  time_n: tuple[int, ...] = (128, 1024)
  seconds: float = 3.0


def main(options: Options) -> None:
  """Measures what is missing, and writes it."""
  for name in ("dim", "batch_size", "steps", "seeds", "sweep_steps"):
    _checks.integer(name, getattr(options, name))
  for n in options.time_n:
    _checks.integer("time_n", n)
  _checks.positive("seconds", options.seconds)
  for weight in options.weights:
    _checks.positive("weights", weight)
  for name in options.penalties:
    _checks.one_of("penalties", name, PENALTIES)
  experiment = Experiment(options)
  experiment.times()
  experiment.references()
  for name in options.penalties:
    experiment.compare(name)
  print((options.out / "README.md").read_text(encoding="utf-8"), end="")


class Experiment:
  """The measurements of one table; each is stored as soon as it is made."""

  def __init__(self, options: Options):
    """Loads the data set and what was measured before."""
    self.options = options
    self.data: Any = aejax.data.load(options.dataset)
    # A tenth of the training images chooses the weights.
    self.num_train = len(self.data.train) * 9 // 10
    settings = {
      key: value
      for key, value in dataclasses.asdict(options).items()
      if key not in ("out", "penalties", "seeds", "weights", "time_n", "seconds")
    }
    self.results = Results(options.out / "results.json", environment([aejax]), settings)
    self._write()

  def times(self) -> None:
    """Times the penalties, before the trainings warm up the machine."""
    names = [*self.options.penalties, *TIMED]
    for n in self.options.time_n:
      timed = {row["penalty"] for row in select(self.results.rows, kind="time", n=n)}
      if not timed >= set(names):
        found = measures.loss_times(names, n, self.options.dim, self.options.seconds)
        rows = [{"penalty": name, **dataclasses.asdict(each)} for name, each in found.items()]
        self._add({"kind": "time", "n": n}, rows)

  def references(self) -> None:
    """Scores pixels, and the embeddings of encoders that are not trained."""
    if not self.results.has({"kind": "reference"}):
      train, test = (v.reshape(len(v), -1) / 255 for v in (self.data.train, self.data.test))
      rows = [self._score(train, test) | {"name": "pixels"}]
      trainer = self._trainer("sigreg")
      for seed in range(self.options.seeds):
        rows.append(self._embedded(trainer, trainer.start(seed), "test") | {"name": "untrained"})
      self._add({"kind": "reference"}, rows)

  def compare(self, name: str) -> None:
    """Chooses the weight of a penalty, and trains with each seed."""
    options, trainer = self.options, functools.cache(self._trainer)
    tried = ESTIMATES.get(name, name)
    for weight in options.weights:
      fields = {"kind": "sweep", "penalty": tried, "weight": weight}
      if not self.results.has(fields):
        start = time.perf_counter()
        params, _ = trainer(tried).train(weight, options.sweep_steps, _SWEEP_SEED)
        row = self._embedded(trainer(tried), params, "held out")
        self._add(fields, [row | {"seconds": time.perf_counter() - start}])
    weight = self._best_weight(tried)
    for seed in range(options.seeds):
      fields = {"kind": "training", "penalty": name, "seed": seed}
      if not self.results.has({**fields, "weight": weight}):
        start = time.perf_counter()
        params, losses = trainer(name).train(weight, options.steps, seed)
        row = {"weight": weight, "loss": float(np.mean(losses[-10:]))}
        row |= self._embedded(trainer(name), params, "test")
        row["seconds"] = time.perf_counter() - start
        if name in RANDOM and seed == 0:
          row |= self._noise(trainer(name), name, params, weight)
        self._add(fields, [row])

  def _best_weight(self, name: str) -> float:
    tried = select(self.results.rows, kind="sweep", penalty=name)
    tried = [row for row in tried if row["weight"] in self.options.weights]
    return max(tried, key=lambda row: row["linear_probe_accuracy"])["weight"]

  def _trainer(self, name: str) -> Trainer:
    options = self.options
    return Trainer(
      np.asarray(self.data.train[: self.num_train]),
      scaled(name, options.batch_size, options.dim),
      dim=options.dim,
      network=options.network,
      batch_size=options.batch_size,
      flip=options.dataset == "fashion_mnist",
    )

  def _embedded(self, trainer: Trainer, params: Any, part: str) -> dict[str, float]:
    """Scores the embeddings of the test set, or of the training images that were held out."""
    known = self.data.train[:_PROBED]
    if part == "test":
      return self._score(*(embed(trainer.graphdef, params, v) for v in (known, self.data.test)))
    known, queries = self.data.train[: self.num_train][:_PROBED], self.data.train[self.num_train :]
    labels = self.data.train_labels
    return measures.accuracies(
      embed(trainer.graphdef, params, known),
      labels[: len(known)],
      embed(trainer.graphdef, params, queries),
      labels[self.num_train :],
    )

  def _score(self, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
    train = np.asarray(train[:_PROBED], np.float32)
    labels = self.data.train_labels[: len(train)]
    return measures.accuracies(train, labels, np.asarray(test, np.float32), self.data.test_labels)

  def _noise(self, trainer: Trainer, name: str, params: Any, weight: float) -> dict[str, float]:
    """Returns the noise of the gradient for three sets of embeddings, and its share in training."""
    options = self.options
    images = self.data.test[: options.batch_size]
    sets = {
      "start": embed(trainer.graphdef, trainer.start(0), images),
      "end": embed(trainer.graphdef, params, images),
      "prior": jax.random.normal(jax.random.key(0), (options.batch_size, options.dim)),
    }
    found = {"share": measures.share_of_directions(trainer, params, weight, _DRAWS)}
    for when, z in sets.items():
      noise = measures.gradient_noise(name, jnp.asarray(z), _DRAWS)
      found |= {f"{key}_{when}": value for key, value in noise.items()}
    return found

  def _add(self, fields: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    self.results.add(fields, rows)
    self._write()

  def _write(self) -> None:
    write_page(self.options.out / "README.md", page.sections(self.results, self.options))


if __name__ == "__main__":
  with user_errors():
    main(parse(Options))
