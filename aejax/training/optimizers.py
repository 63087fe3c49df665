"""Optimizers by the settings of a run, and the moving average of the parameters."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Int, PyTree

from aejax import _checks
from aejax.training.configuration import Configuration
from aejax.training.step import TrainState

__all__ = ["make_optimizer", "trained_parameters", "with_ema"]


def make_optimizer(configuration: Configuration, steps: int) -> optax.GradientTransformation:
  """Returns the optimizer of a run.

  Args:
    configuration: settings of the run; `ema_decay` is not applied here.
    steps: number of steps in the whole run, for the learning-rate schedule.
  """
  rate = _schedule(configuration, steps)
  decay = configuration.weight_decay
  match configuration.optimizer:
    case "adam":
      optimizer = optax.adam(rate)
    case "adamw":
      optimizer = optax.adamw(rate, weight_decay=decay)
    case "lion":
      optimizer = optax.lion(rate, weight_decay=decay)
    case "sgd":
      optimizer = optax.sgd(rate, momentum=0.9)
    case _:
      raise ValueError(
        "The optimizer of this run was given as an object: continue it from Python, with "
        "aejax.fit(..., optimizer=..., resume=True)."
      )
  if configuration.clip_norm:
    optimizer = optax.chain(optax.clip_by_global_norm(configuration.clip_norm), optimizer)
  return optimizer


def _schedule(configuration: Configuration, steps: int) -> float | optax.Schedule:
  rate, warmup = configuration.learning_rate, configuration.warmup_steps
  if configuration.schedule == "constant":
    return optax.linear_schedule(0.0, rate, warmup) if warmup else rate
  if not warmup:
    return optax.cosine_decay_schedule(rate, steps)
  falling = optax.cosine_decay_schedule(rate, max(1, steps - warmup))
  return optax.join_schedules([optax.linear_schedule(0.0, rate, warmup), falling], [warmup])


class EmaState(NamedTuple):
  """State of `with_ema`.

  Attributes:
    inner: state of the optimizer.
    average: moving average of the parameters.
    steps: number of steps.
  """

  inner: PyTree
  average: PyTree
  steps: Int[Array, ""]


def with_ema(
  optimizer: optax.GradientTransformation, decay: float
) -> optax.GradientTransformationExtraArgs:
  """Returns the optimizer with an exponential moving average of the parameters in its state.

  The weight of the average is at most (1 + t) / (10 + t) after t steps, so that the initial
  parameters are soon forgotten.

  Args:
    optimizer: any optax transformation.
    decay: weight of the average in each step.

  Raises:
    ValueError: if `decay` is not between 0 and 1.
  """
  _checks.positive("decay", decay)
  _checks.positive("1 − decay", 1 - decay)
  inner = optax.with_extra_args_support(optimizer)

  def init(params: PyTree) -> EmaState:
    return EmaState(inner.init(params), jax.tree.map(jnp.copy, params), jnp.zeros((), jnp.int32))

  def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
    updates, inner_state = inner.update(updates, state.inner, params, **extra)
    steps = state.steps + 1
    weight = jnp.minimum(decay, (1 + steps) / (10 + steps)).astype(jnp.float32)
    average = jax.tree.map(
      lambda old, now: (weight * old + (1 - weight) * now).astype(old.dtype),
      state.average,
      optax.apply_updates(params, updates),
    )
    return updates, EmaState(inner_state, average, steps)

  return optax.GradientTransformationExtraArgs(init, update)


def trained_parameters(state: TrainState) -> PyTree:
  """Returns the parameters of the trained model: their moving average, if there is one.

  Other state of the networks, such as the statistics of BatchNorm, is the current one.
  """
  if not isinstance(state.optimizer_state, EmaState):
    return state.params
  _, others = nnx.split_state(state.params, nnx.Param, ...)
  average = state.optimizer_state.average
  return nnx.merge_state(average, others) if others else average
