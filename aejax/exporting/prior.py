"""Priors as JSON."""

import inspect
from typing import Any

import numpy as np

from aejax import _checks, priors

__all__ = ["describe_prior", "make_prior"]


def describe_prior(prior: priors.Prior | None) -> dict[str, Any] | None:
  """Returns a prior of `aejax.priors` as JSON: its name and the arguments that make it.

  The result is None for no prior, and has the name only for a prior of another library.
  """
  if prior is None:
    return None
  kind = type(prior)
  if getattr(priors, kind.__name__, None) is not kind:
    return {"name": f"{kind.__module__}.{kind.__qualname__}"}
  arguments = {
    name: np.asarray(getattr(prior, name)).tolist() for name in inspect.signature(kind).parameters
  }
  return {"name": kind.__name__, "arguments": arguments}


def make_prior(description: Any) -> priors.Prior | None:
  """Returns the prior that `describe_prior` described; None for one of another library.

  Raises:
    ValueError: if the description is damaged.
  """
  if description is None or "arguments" not in description:
    return None
  name = _checks.one_of("prior", description["name"], priors.__all__)
  return getattr(priors, name)(
    **{
      key: np.asarray(value, np.float32) if isinstance(value, list) else value
      for key, value in description["arguments"].items()
    }
  )
