"""The state of a run: what it carries between calls of the compiled loop, and saves."""

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree

from aejax import networks
from aejax.autoencoder import Autoencoder
from aejax.training.configuration import Configuration
from aejax.training.epoch import Sums, zero_sums
from aejax.training.step import (
  TrainState,
  TrainStep,
  create,
  pytree_node,
  with_exact_products,
)

__all__ = ["Best", "RunState", "build", "end_epoch", "fresh", "stack", "unstack"]

T = TypeVar("T")


@pytree_node
@dataclasses.dataclass(frozen=True)
class Best:
  """The parameters after the epoch with the lowest mean loss so far.

  Attributes:
    loss: mean loss of that epoch; the largest float32 before the first epoch ends.
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
  best = Best(jnp.full((), jnp.finfo(jnp.float32).max), jnp.zeros((), jnp.int32), params)
  return RunState(train, zero_sums(), best)


@jax.jit
def end_epoch(state: RunState, steps_per_epoch: Int[Array, ""] | int) -> RunState:
  """Returns the state for the next epoch: best epoch updated, sums at zero."""
  steps = steps_per_epoch - state.sums.skipped
  loss = state.sums.totals["loss"] / jnp.maximum(steps, 1)
  # False for a NaN, and for an epoch in which every step was skipped.
  better = (loss < state.best.loss) & (steps > 0)
  current = Best(loss, state.train.step, state.train.params)
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


def build(
  configuration: Configuration, *, steps: int = 1
) -> tuple[Autoencoder, TrainState, TrainStep]:
  """Returns the model, its initial training state and the train step of a configuration.

  Args:
    configuration: settings of the run.
    steps: number of steps in the whole run, for the learning-rate schedule.
  """
  keys = jax.random.split(jax.random.key(configuration.seed), 3)
  objective = configuration.make_objective()
  model = networks.build(
    configuration.network,
    configuration.image_shape,
    latent_dim=configuration.latent_dim,
    gaussian=objective.gaussian_encoder,
    output=configuration.make_scaling().output,
    dtype=jnp.bfloat16 if configuration.precision == "bfloat16" else jnp.float32,
    key=keys[0],
  )
  rate = configuration.learning_rate
  schedule = (
    optax.cosine_decay_schedule(rate, steps) if configuration.schedule == "cosine" else rate
  )
  state, train_step = create(
    model,
    objective,
    optax.adam(schedule),
    key=keys[1],
    accumulate=configuration.accumulate,
    skip_nonfinite=configuration.skip_nonfinite,
  )
  if configuration.precision == "highest":
    train_step = with_exact_products(train_step)
  return model, state, train_step
