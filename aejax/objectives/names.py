"""Objectives by name: "cwae", or a sum such as "cwae+energy".

This file is the only reader of method names and of the prefixes that the fields of a sum have.
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
"""The objectives by their names on the command line."""


class Term(NamedTuple):
  """One term of a method.

  Attributes:
    name: a key of `BY_NAME`.
    objective: the class of that name.
    prefix: what the term's fields begin with: "" for a single term, "cwae_" in "cwae+energy".
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
    method: a name of `BY_NAME`, or several joined by "+".

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
    method: a name of `BY_NAME`, or names joined by "+".
    fields: fields of the objective; in a sum, each with its term's prefix: `cwae_weight`.

  Raises:
    ValueError: if a name or a field is unknown, or a value is out of range.
  """
  own = term_fields(method, fields)
  terms = [term.objective(**own[term.name]) for term in parse(method)]
  return terms[0] if len(terms) == 1 else Combined.of(*terms)


def term_fields(method: str, fields: dict[str, Any]) -> dict[str, dict[str, Any]]:
  """Returns the given fields of each term, without their prefixes.

  Raises:
    ValueError: if a name or a field is unknown.
  """
  terms = parse(method)
  if not isinstance(fields, dict):
    raise ValueError(f"fields must be a dict, but is {_checks.type_name(fields)}.")
  every = [prefixed for term in terms for prefixed, _ in term.fields()]
  for field in fields:
    _checks.one_of(f"field of {method}", field, every)
  return {
    term.name: {name: fields[prefixed] for prefixed, name in term.fields() if prefixed in fields}
    for term in terms
  }
