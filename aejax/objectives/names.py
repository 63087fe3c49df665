"""Objectives by name: "cwae", or a sum such as "cwae+energy".

Only this file reads method names and the prefixes of the fields of a sum.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

from aejax import _checks
from aejax.objectives.base import AE, Combined, Objective
from aejax.objectives.matched import CWAE, SWAE, WAEMMD, Energy, SIGReg, Sinkhorn
from aejax.objectives.regularised import RAE
from aejax.objectives.variational import VAE, InfoVAE

__all__ = ["BY_NAME", "Term", "check_method", "make", "parse", "term_fields"]

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
"""Objectives by their names on the command line."""


class Term(NamedTuple):
  """One term of a method.

  Attributes:
    name: key of `BY_NAME`.
    objective: class of that name.
    prefix: prefix of the term's fields: "" for a single term, "cwae_" in "cwae+energy".
  """

  name: str
  objective: type[Objective]
  prefix: str

  def fields(self) -> Iterator[tuple[str, str]]:
    """Yields the name of each settable field with and without the prefix."""
    for field in dataclasses.fields(self.objective):
      if field.init:
        yield self.prefix + field.name, field.name


def parse(method: str) -> tuple[Term, ...]:
  """Splits a method into its terms.

  Args:
    method: name in `BY_NAME`, or several names joined by "+".

  Raises:
    ValueError: if a name is unknown or occurs twice.
  """
  names = method.split("+") if isinstance(method, str) else [method]
  for name in names:
    _checks.one_of("method", name, BY_NAME)
  if len(set(names)) < len(names):
    raise ValueError(f"A sum names each method once, but this is {method!r}.")
  return tuple(
    Term(name, BY_NAME[name], f"{name.replace('-', '_')}_" if len(names) > 1 else "")
    for name in names
  )


def check_method(method: str) -> None:
  """Raises a ValueError if `method` is not the name of an objective or a sum of different ones."""
  parse(method)


def make(method: str, fields: dict[str, Any]) -> Objective:
  """Returns the objective named by `method`.

  Args:
    method: name in `BY_NAME`, or several names joined by "+".
    fields: fields of the objective; in a sum, each has the prefix of its term: `cwae_weight`.

  Raises:
    ValueError: if a name or a field is unknown, or a value is out of range.
  """
  by_term = term_fields(method, fields)
  terms = [term.objective(**by_term[term.name]) for term in parse(method)]
  return terms[0] if len(terms) == 1 else Combined.of(*terms)


def term_fields(method: str, fields: dict[str, Any]) -> dict[str, dict[str, Any]]:
  """Returns the given fields of each term, without their prefixes.

  Raises:
    ValueError: if a name or a field is unknown.
  """
  terms = parse(method)
  if not isinstance(fields, dict):
    raise ValueError(f"fields must be a dict, but is {_checks.type_name(fields)}.")
  allowed = [prefixed for term in terms for prefixed, _ in term.fields()]
  for field in fields:
    _checks.one_of(f"field of {method}", field, allowed)
  return {
    term.name: {name: fields[prefixed] for prefixed, name in term.fields() if prefixed in fields}
    for term in terms
  }
