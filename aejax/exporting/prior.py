"""Priors as JSON."""

import inspect
from typing import Any

import numpy as np

from aejax import _checks, priors

__all__ = ["describe_prior", "make_prior"]


def describe_prior(prior: priors.Prior) -> dict[str, Any]:
  """Returns a prior of `aejax.priors` as JSON: its name and the arguments that make it.

  For a prior of another library, the result has its name only.
  """
  kind = type(prior)
  names = inspect.signature(kind).parameters
  if getattr(priors, kind.__name__, None) is not kind or not all(
    hasattr(prior, name) for name in names
  ):
    return {"name": f"{kind.__module__}.{kind.__qualname__}"}
  arguments = {name: np.asarray(getattr(prior, name)).tolist() for name in names}
  return {"name": kind.__name__, "arguments": arguments}


def make_prior(description: dict[str, Any]) -> priors.Prior | None:
  """Returns the prior that `describe_prior` described; None for one of another library.

  Raises:
    ValueError: if the description is damaged.
  """
  if "arguments" not in description:
    return None
  name = _checks.one_of("prior", description["name"], priors.__all__)
  return getattr(priors, name)(
    **{
      key: np.asarray(value, np.float32) if isinstance(value, list) else value
      for key, value in description["arguments"].items()
    }
  )
