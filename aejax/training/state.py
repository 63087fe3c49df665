"""The state of a run: what it carries between calls of the compiled loop, and saves."""

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, PyTree

from aejax import networks
from aejax.autoencoder import Autoencoder
from aejax.objectives import Objective
from aejax.training.augmentation import check_flip, with_flips
from aejax.training.configuration import Configuration
from aejax.training.epoch import Sums, zero_sums
from aejax.training.optimizers import make_optimizer, trained_parameters, with_ema
from aejax.training.options import GIVEN
from aejax.training.step import (
  TrainState,
  TrainStep,
  create,
  pytree_node,
  with_exact_products,
)
from aejax.training.weight_schedules import WeightSchedule, weight_schedule

__all__ = [
  "NOTHING_GIVEN",
  "Best",
  "Given",
  "RunState",
  "build",
  "end_epoch",
  "fresh",
  "stack",
  "unstack",
  "weight_schedule_of",
]

T = TypeVar("T")


@pytree_node
@dataclasses.dataclass(frozen=True)
class Best:
  """The parameters after the best epoch so far.

  It is the epoch with the lowest loss on the test set or, if a run does not compute that, with the
  lowest mean training loss.

  Attributes:
    loss: loss of that epoch; the largest float32 before the first epoch ends.
    step: number of steps taken at its end; 0 before the first epoch ends.
    params: parameters of the model at its end.
  """

  loss: Float[Array, ""]
  step: Int[Array, ""]
  params: PyTree


@pytree_node
@dataclasses.dataclass(frozen=True)
class RunState:
  """Everything that a run needs to continue as if it had never stopped.

  Attributes:
    train: state of the train step.
    sums: sums of the metrics over the current epoch.
    best: best epoch so far.
  """

  train: TrainState
  sums: Sums
  best: Best


def fresh(train: TrainState) -> RunState:
  """Returns the state of a run that starts with the train state `train`."""
  # The loop donates the buffers of the train state.
  params = jax.tree.map(jnp.copy, train.params)
  largest = jnp.full((), jnp.finfo(jnp.float32).max, jnp.float32)
  best = Best(largest, jnp.zeros((), jnp.int32), params)
  return RunState(train, zero_sums(), best)


@jax.jit
def end_epoch(
  state: RunState,
  steps_per_epoch: Int[Array, ""] | int,
  test_loss: Float[Array, ""] | None = None,
) -> RunState:
  """Returns the state for the next epoch: best epoch updated, sums at zero.

  Args:
    state: state at the end of an epoch.
    steps_per_epoch: number of steps in it.
    test_loss: loss on the test set, which then decides which epoch is the best; infinite at the end
      of an epoch that has none.
  """
  steps = steps_per_epoch - state.sums.skipped
  loss = (
    state.sums.totals["loss"] / jnp.maximum(steps, 1).astype(jnp.float32)
    if test_loss is None
    else test_loss
  )
  # False for a NaN, and for an epoch in which every step was skipped.
  better = (loss < state.best.loss) & (steps > 0)
  current = Best(loss.astype(jnp.float32), state.train.step, trained_parameters(state.train))
  best = jax.tree.map(lambda new, old: jnp.where(better, new, old), current, state.best)
  return RunState(state.train, zero_sums(), best)


def stack(trees: Sequence[T]) -> T:
  """Returns pytrees as one with a leading axis; a single pytree is returned as it is."""
  return trees[0] if len(trees) == 1 else jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def unstack(tree: T, count: int) -> list[T]:
  """Returns the `count` pytrees that `stack` combined."""
  if count == 1:
    return [tree]
  return [jax.tree.map(lambda leaf, k=k: leaf[k], tree) for k in range(count)]


@dataclasses.dataclass(frozen=True)
class Given:
  """Objects that replace what a configuration names.

  Attributes:
    model: networks with their initial parameters.
    objective: cost to minimise.
    optimizer: any optax transformation.
    weight_schedule: function from the number of steps taken to a factor of the penalty's weight.
  """

  model: Autoencoder | None = None
  objective: Objective | None = None
  optimizer: optax.GradientTransformation | None = None
  weight_schedule: WeightSchedule | None = None


NOTHING_GIVEN = Given()
"""What stands for a run that its configuration describes."""


def weight_schedule_of(configuration: Configuration, given: Given) -> WeightSchedule | None:
  """Returns the schedule of the penalty's weight of a run; None for a constant weight.

  Raises:
    ValueError: if it was given as an object, but is not given here.
  """
  if given.weight_schedule is not None:
    return given.weight_schedule
  if configuration.weight_schedule == GIVEN:
    raise ValueError(
      "The weight schedule of this run was given as an object: continue it from Python, with "
      "aejax.fit(..., weight_schedule=..., resume=True)."
    )
  steps_per_epoch = configuration.train_images // configuration.batch_size
  return weight_schedule(configuration.weight_schedule, steps_per_epoch)


def build(
  configuration: Configuration, *, steps: int = 1, given: Given = NOTHING_GIVEN
) -> tuple[Autoencoder, TrainState, TrainStep]:
  """Returns the model, its initial training state and the train step of a configuration.

  Args:
    configuration: settings of the run.
    steps: number of steps in the whole run, for the learning-rate schedule.
    given: objects that replace what the configuration names.

  Raises:
    ValueError: if the network or the optimizer was given as an object, but is not given here; or if
      the output of the network does not suit the data.
  """
  keys = jax.random.split(jax.random.key(configuration.seed), 3)
  objective = configuration.make_objective() if given.objective is None else given.objective
  if given.model is not None:
    model = nnx.merge(*nnx.split(given.model))  # the user's object stays as it is
  elif configuration.network == GIVEN:
    raise ValueError(
      "The network of this run was given as an object: pass an equal one as model=, or train with "
      "the import path of a function, package.module:function."
    )
  else:
    model = networks.build(
      configuration.network,
      configuration.image_shape,
      latent_dim=configuration.latent_dim,
      gaussian=objective.gaussian_encoder,
      dtype=jnp.bfloat16 if configuration.precision == "bfloat16" else jnp.float32,
      output=configuration.make_scaling().output,
      key=keys[0],
    )
  output = configuration.make_scaling().output
  if output is not None and model.output != output:
    raise ValueError(
      f'The data have values outside [0, 1], which an Autoencoder with output="{model.output}" '
      'cannot return: use output="identity".'
    )
  optimizer = given.optimizer
  if optimizer is None:
    optimizer = make_optimizer(configuration, steps)
  if configuration.ema_decay:
    optimizer = with_ema(optimizer, configuration.ema_decay)
  state, train_step = create(
    model,
    objective,
    optimizer,
    key=keys[1],
    accumulate=configuration.accumulate,
    skip_nonfinite=configuration.skip_nonfinite,
    weight_schedule=weight_schedule_of(configuration, given),
  )
  check_flip(configuration.flip, configuration.image_shape)
  if configuration.flip:
    train_step = with_flips(train_step)
  if configuration.precision == "highest":
    train_step = with_exact_products(train_step)
  return model, state, train_step
