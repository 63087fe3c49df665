"""Training: the pure train step, whole runs with checkpoints, and trained models."""

from aejax._extras import require, require_flax

require("train", "orbax", "rich")
require_flax()

from aejax.training.configuration import Configuration
from aejax.training.defaults import complete
from aejax.training.distributed import processes
from aejax.training.divergence import Diverged
from aejax.training.interruption import Interrupted
from aejax.training.options import Options
from aejax.training.prepare import prepare
from aejax.training.run import Run
from aejax.training.step import TrainState, TrainStep, create, merge
from aejax.training.trained import TrainedAutoencoder
from aejax.training.weight_schedules import weight_schedule

__all__ = [
  "Configuration",
  "Diverged",
  "Interrupted",
  "Options",
  "Run",
  "TrainState",
  "TrainStep",
  "TrainedAutoencoder",
  "complete",
  "create",
  "merge",
  "prepare",
  "processes",
  "weight_schedule",
]
