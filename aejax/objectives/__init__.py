"""The one equation: COST = reconstruction(X, D(E(X))) + λ · d(P_E(X), P_Z).

An objective is a small frozen dataclass that says what d is; objectives can be added. Its weight is
λ, and means the same at every batch size and on any number of devices.
"""

from typing import Any

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
    ValueError: if a field is out of range.
  """
  terms = [BY_NAME[name](**own) for name, own in term_fields(method, fields).items()]
  return terms[0] if len(terms) == 1 else Combined.of(*terms)


def term_fields(method: str, fields: dict[str, Any]) -> dict[str, dict[str, Any]]:
  """The fields of each term of a method, without their prefixes."""
  names = method.split("+")
  if len(names) == 1:
    return {method: fields}
  own = {name: name.replace("-", "_") + "_" for name in names}
  return {
    name: {k.removeprefix(p): v for k, v in fields.items() if k.startswith(p)}
    for name, p in own.items()
  }
