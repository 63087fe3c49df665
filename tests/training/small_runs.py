"""Runs that train in a fraction of a second, from options to the files that they write."""

import json

import jax
import numpy as np

from aejax.training import Options, prepare

__all__ = ["TEST", "TRAIN", "SmallRuns", "checkpoints", "largest_difference", "log", "parameters"]

TRAIN, TEST = 20, 4
"""Numbers of training and test images."""
_BATCH_SIZE = 4


class SmallRuns:
  """Trains linear autoencoders on noise images, by default for one epoch."""

  def __init__(self, folder, monkeypatch=None, standard=None):
    self.folder = folder
    self.monkeypatch = monkeypatch
    self.standard = standard  # a run with the default settings of `prepare` below
    self.count = 0
    self.file = self.save_images("noise", 0)

  def save_images(self, name, seed, shape=(4, 4, 1), num=TRAIN):
    images = np.random.default_rng(seed).integers(0, 256, (num + TEST, *shape), np.uint8)
    path = self.folder / f"{name}.npz"
    np.savez(path, train=images[:num], test=images[num:])
    return str(path)

  def prepare(self, method="ae", objective=None, **options):
    self.count += 1
    settings = dict(dataset=self.file, workdir=self.folder / f"run-{self.count}", network="linear")
    settings |= dict(latent_dim=2, batch_size=_BATCH_SIZE, epochs=1)
    settings |= dict(test_epochs=0)  # saves a compilation for each run
    return prepare(method, objective or {}, Options(**(settings | options)))

  def train(self, method="ae", objective=None, **options):
    run = self.prepare(method, objective, **options)
    run.train()
    return run

  def resume(self, run, method="ae", **options):
    run = prepare(method, {}, Options(workdir=run.workdir, resume=True, **options))
    run.train()
    return run


def log(run):
  return [json.loads(line) for line in (run.workdir / "metrics.jsonl").read_text().splitlines()]


def checkpoints(run):
  """Returns the steps of the checkpoints in the work directory."""
  return sorted(int(path.name) for path in (run.workdir / "checkpoints").iterdir())


def parameters(run):
  return [np.asarray(leaf) for leaf in jax.tree.leaves(run.load().model)]


def largest_difference(run, other):
  pairs = zip(parameters(run), parameters(other), strict=True)
  return max(abs(a - b).max() for a, b in pairs)
