"""The one equation: COST = reconstruction(X, D(E(X))) + λ · d(P_E(X), P_Z).

An objective is a small frozen dataclass that says what d is; objectives can be added. Its weight is
λ, and means the same at every batch size and on any number of devices.
"""

import dataclasses
from typing import Any

from aejax import checks
from aejax.objectives.base import AE, Combined, Objective
from aejax.objectives.matched import CWAE, SWAE, WAEMMD, Energy, SIGReg, Sinkhorn
from aejax.objectives.regularised import RAE
from aejax.objectives.variational import VAE, InfoVAE

__all__ = [
  "AE",
  "BY_NAME",
  "CWAE",
  "RAE",
  "SWAE",
  "VAE",
  "WAEMMD",
  "Combined",
  "Energy",
  "InfoVAE",
  "Objective",
  "SIGReg",
  "Sinkhorn",
  "check_method",
  "make",
  "term_fields",
]

BY_NAME: dict[str, type[Objective]] = {
  "ae": AE,
  "vae": VAE,
  "wae-mmd": WAEMMD,
  "cwae": CWAE,
  "swae": SWAE,
  "sigreg": SIGReg,
  "energy": Energy,
  "infovae": InfoVAE,
  "sinkhorn": Sinkhorn,
  "rae": RAE,
}
"""The objectives by their names on the command line."""


def make(method: str, fields: dict[str, Any]) -> Objective:
  """The objective of a name of `BY_NAME`, or the sum of several, "cwae+energy".

  Args:
    method: the name, or names joined by "+".
    fields: of the objective; of a sum, each with its term's name before it: `cwae_weight`.

  Raises:
    ValueError: if a name or a field is unknown, or a field out of range.
  """
  terms = [BY_NAME[name](**own) for name, own in term_fields(method, fields).items()]
  return terms[0] if len(terms) == 1 else Combined.of(*terms)


def term_fields(method: str, fields: dict[str, Any]) -> dict[str, dict[str, Any]]:
  """The fields of each term of a method, without their prefixes.

  Raises:
    ValueError: if a name or a field is unknown.
  """
  check_method(method)
  if not isinstance(fields, dict):
    raise ValueError(f"fields must be a dict, but is {checks.kind(fields)}.")
  names = method.split("+")
  prefixes = {name: name.replace("-", "_") + "_" if len(names) > 1 else "" for name in names}
  own = {
    name: {
      prefix + field.name: field.name for field in dataclasses.fields(BY_NAME[name]) if field.init
    }
    for name, prefix in prefixes.items()
  }
  every = [field for settable in own.values() for field in settable]
  for field in fields:
    checks.known(f"field of {method}", field, every)
  return {
    name: {settable[k]: v for k, v in fields.items() if k in settable}
    for name, settable in own.items()
  }


def check_method(method: str) -> None:
  """Raises a ValueError if `method` is no name of an objective, nor a sum of different ones."""
  names = method.split("+") if isinstance(method, str) else [method]
  for name in names:
    checks.known("method", name, BY_NAME)
  if len(set(names)) < len(names):
    raise ValueError(f"A sum names each method once, but this is {method!r}.")
