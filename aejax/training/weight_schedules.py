"""Schedules of the weight of the penalty: λ or β times a factor for each step."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from aejax import _checks

__all__ = ["WeightSchedule", "check_weight_schedule", "factor_of", "weight_schedule"]

WeightSchedule = Callable[[Int[Array, ""] | int], Float[Array, ""] | float]
"""A function from the number of steps taken to the factor of the weight, as those of optax are."""

_KINDS = ("constant", "warmup", "cyclic")
_FORMS = "constant, warmup:EPOCHS or cyclic:EPOCHS"

# Fraction of a cycle over which the weight rises; Fu et al., section 4.
_RISING = 0.5


def weight_schedule(name: str, steps_per_epoch: int) -> WeightSchedule | None:
  """Returns the schedule of a name: a function from the number of steps taken to a factor.

  - "constant": None, for the full weight in every step.
  - "warmup:EPOCHS": the factor rises linearly from 0 to 1 over this number of epochs.
  - "cyclic:EPOCHS": the factor repeats every EPOCHS epochs. It rises linearly from 0 to 1 over the
    first half of them, and is 1 over the second half.

  Args:
    name: one of these; EPOCHS is a positive number, such as 10 or 0.5.
    steps_per_epoch: number of steps in an epoch.

  Raises:
    ValueError: if the name has another form, or `steps_per_epoch` is no whole number from 1 up.

  Reference: Fu et al., Cyclical Annealing Schedule, 2019; arXiv 1903.10145, eq. (6).

  Example:
    >>> schedule = weight_schedule("warmup:2", steps_per_epoch=10)
    >>> [float(schedule(step)) for step in (0, 5, 20, 100)]
    [0.0, 0.25, 1.0, 1.0]
  """
  kind, epochs = _parse(name)
  steps = epochs * _checks.integer("steps_per_epoch", steps_per_epoch)
  match kind:
    case "constant":
      return None
    case "warmup":
      return lambda step: _rise(step, steps)
    case _:
      period = max(1, round(steps))
      return lambda step: _rise(jnp.asarray(step, jnp.int32) % period, _RISING * period)


def factor_of(schedule: WeightSchedule | None, step: Int[Array, ""]) -> dict[str, Float[Array, ""]]:
  """Returns the factor of a step as an argument of an objective; none without a schedule.

  Raises:
    ValueError: if the schedule does not return a number.
  """
  if schedule is None:
    return {}
  with jax.numpy_dtype_promotion("standard"):  # schedules of optax mix floats and integers
    factor = jnp.asarray(schedule(step), jnp.float32)
  if factor.shape:
    raise ValueError(f"weight_schedule must return a number, but returned {factor.shape}.")
  return {"weight_factor": factor}


def check_weight_schedule(name: Any) -> None:
  """Raises a ValueError if a name is not one that `weight_schedule` takes."""
  _parse(name)


def _rise(step: Int[Array, ""] | int, steps: float) -> Float[Array, ""]:
  return jnp.minimum(jnp.asarray(step, jnp.float32) / steps, 1.0)


def _parse(name: Any) -> tuple[str, float]:
  """Returns the kind of a schedule and its number of epochs."""
  kind, colon, number = name.partition(":") if isinstance(name, str) else ("", "", "")
  wrong = f"weight_schedule must be {_FORMS}, but is {_checks.short_repr(name)}."
  if kind not in _KINDS or (kind == "constant") == bool(colon):
    raise ValueError(wrong)
  if kind == "constant":
    return kind, 0.0
  try:
    return kind, _checks.positive("EPOCHS", float(number))
  except ValueError:
    raise ValueError(wrong) from None
