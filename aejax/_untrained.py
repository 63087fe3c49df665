"""Models that still have the parameters that a training started from, and so must not generate."""

import weakref
from typing import Any

import jax
from flax import nnx

__all__ = ["is_untrained", "mark_untrained"]

# The initial parameters of each model that was handed to `training.create`.
_UNTRAINED: weakref.WeakKeyDictionary[nnx.Module, list[Any]] = weakref.WeakKeyDictionary()


def mark_untrained(model: nnx.Module) -> None:
  """Makes `generate` of this model an error until its parameters change."""
  _UNTRAINED[model] = _parameters(model)


def is_untrained(model: nnx.Module) -> bool:
  """Returns whether `mark_untrained` was called and the parameters are still the same objects."""
  initial = _UNTRAINED.get(model)
  if initial is None:
    return False
  if all(now is then for now, then in zip(_parameters(model), initial, strict=True)):
    return True
  del _UNTRAINED[model]
  return False


def _parameters(model: nnx.Module) -> list[Any]:
  return jax.tree.leaves(nnx.state(model, nnx.Param))
