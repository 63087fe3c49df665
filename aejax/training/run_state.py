"""All that a run carries from one call of the compiled loop to the next, and saves."""

import dataclasses
from typing import Any, no_type_check

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from aejax.training.epoch import Sums, zero_sums
from aejax.training.step import TrainState

__all__ = ["Best", "RunState", "end_epoch", "fresh", "from_format_1", "to_format_1"]


@no_type_check  # JAX makes them of shapes and of shardings too
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Best:
  """The parameters after the epoch with the lowest mean loss so far.

  Attributes:
    loss: its mean loss; the largest number before the first.
    step: how many steps had been taken.
    params: the parameters.
  """

  loss: Float[Array, ""]
  step: Int[Array, ""]
  params: Any


@no_type_check
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class RunState:
  """What a run needs to go on as if it had never stopped.

  Attributes:
    train: the state of the train step.
    sums: of the epoch so far.
    best: of the epochs so far.
  """

  train: TrainState
  sums: Sums
  best: Best


def fresh(train: TrainState) -> RunState:
  """The state of a run that starts."""
  params = jax.tree.map(jnp.copy, train.params)  # the train state is donated
  best = Best(jnp.full((), jnp.finfo(jnp.float32).max), jnp.zeros((), jnp.int32), params)
  return RunState(train, zero_sums(), best)


@jax.jit
def end_epoch(state: RunState, steps_per_epoch: Int[Array, ""] | int) -> RunState:
  """Remembers the epoch if it was the best, and starts the sums anew."""
  steps = steps_per_epoch - state.sums.skipped
  loss = state.sums.totals["loss"] / jnp.maximum(steps, 1)
  # Not with NaN, which is never less; nor where every step was skipped.
  better = (loss < state.best.loss) & (steps > 0)
  now = Best(loss, state.train.step, state.train.params)
  best = jax.tree.map(lambda new, old: jnp.where(better, new, old), now, state.best)
  return RunState(state.train, zero_sums(), best)


def to_format_1(state: RunState) -> tuple[TrainState, dict[str, Array]]:
  """The parts that the first format has."""
  return state.train, state.sums.totals


def from_format_1(saved: tuple[TrainState, dict[str, Array]]) -> RunState:
  """A state that was saved in the first format: its best epochs are those to come."""
  train, totals = saved
  state = fresh(train)
  return dataclasses.replace(state, sums=dataclasses.replace(state.sums, totals=totals))
