"""Training: the pure step, the compiled loop over the data, checkpoints, and whole runs."""

from aejax.training.configuration import Configuration
from aejax.training.divergence import Diverged
from aejax.training.options import Options
from aejax.training.patience import Interrupted
from aejax.training.processes import processes
from aejax.training.published import resolve
from aejax.training.run import train
from aejax.training.step import TrainState, TrainStep, create, merge, pixels
from aejax.training.workdir import load_dataset, prepare

__all__ = [
  "Configuration",
  "Diverged",
  "Interrupted",
  "Options",
  "TrainState",
  "TrainStep",
  "create",
  "load_dataset",
  "merge",
  "pixels",
  "prepare",
  "processes",
  "resolve",
  "train",
]
