"""Objectives by name: "cwae", an import path "package.module:Class", or a sum "cwae+energy".

Only this file reads method names and the prefixes of the fields of a sum.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, NamedTuple

from aejax import _checks
from aejax._import_paths import is_import_path, path_of, resolve
from aejax.objectives.base import AE, Combined, Objective
from aejax.objectives.matched import CWAE, SWAE, WAEMMD, Energy, SIGReg, Sinkhorn
from aejax.objectives.recording import decode, encode
from aejax.objectives.regularised import RAE
from aejax.objectives.variational import VAE, InfoVAE

__all__ = ["BY_NAME", "Term", "check_method", "describe", "make", "parse", "term_fields"]

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
    name: key of `BY_NAME`, or an import path.
    objective: class of that name.
    prefix: prefix of the term's fields: "" for a single term, "cwae_" in "cwae+energy"; that of an
      import path is the name of the class in lower case.
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
    method: name in `BY_NAME` or import path of a class, or several joined by "+".

  Raises:
    ValueError: if a name is unknown or occurs twice, or a path does not lead to an objective.
  """
  names = method.split("+") if isinstance(method, str) else [method]
  classes = [_objective_class(name) for name in names]
  if len(set(names)) < len(names):
    raise ValueError(f"A sum names each method once, but this is {method!r}.")
  return tuple(
    Term(name, objective, _prefix(name) if len(names) > 1 else "")
    for name, objective in zip(names, classes, strict=True)
  )


def _objective_class(name: str) -> type[Objective]:
  if not is_import_path(name):
    return BY_NAME[_checks.one_of("method", name, BY_NAME)]
  found = resolve("objective", name)
  if not (isinstance(found, type) and issubclass(found, Objective)):
    raise ValueError(
      f"The objective {name} must be a subclass of aejax.objectives.Objective, but is "
      f"{_checks.type_name(found)}."
    )
  if not dataclasses.is_dataclass(found) or "__dataclass_fields__" not in vars(found):
    raise ValueError(f"The objective {name} must be a dataclass: add @dataclasses.dataclass.")
  return found


def _prefix(name: str) -> str:
  return f"{name.rpartition(':')[2].lower()}_".replace("-", "_").replace(".", "_")


def check_method(method: str) -> None:
  """Raises a ValueError if `method` is not the name of an objective or a sum of different ones."""
  parse(method)


def make(method: str, fields: dict[str, Any]) -> Objective:
  """Returns the objective named by `method`.

  Args:
    method: name in `BY_NAME` or import path of a class, or several joined by "+".
    fields: fields of the objective; in a sum, each has the prefix of its term: `cwae_weight`. A
      field that is no number or name may be as `describe` records it.

  Raises:
    ValueError: if a name or a field is unknown, or a value is out of range.
  """
  by_term = term_fields(method, fields)
  terms = [_make_term(term, by_term[term.name]) for term in parse(method)]
  return terms[0] if len(terms) == 1 else Combined.of(*terms)


def _make_term(term: Term, fields: dict[str, Any]) -> Objective:
  decoded = {name: decode(name, v) if isinstance(v, dict) else v for name, v in fields.items()}
  try:
    return term.objective(**decoded)
  except TypeError as error:
    raise ValueError(f"{term.name} cannot be made: {_checks.short_message(error)}.") from error


def describe(objective: Objective) -> tuple[str, dict[str, Any]]:
  """Returns the method and the fields from which `make` makes an equal objective.

  Raises:
    ValueError: if a class has no import path, or a field cannot be recorded.
  """
  terms = objective.terms if isinstance(objective, Combined) else (objective,)
  by_class = {kind: name for name, kind in BY_NAME.items()}
  names = []
  for term in terms:
    name = by_class.get(type(term)) or path_of(type(term))
    if name is None:
      raise ValueError(
        f"The objective {type(term).__name__} cannot be recorded in config.json, because it has no "
        "import path: define it in a module of its own, or train without a workdir."
      )
    names.append(name)
  method = "+".join(names)
  fields = {
    prefixed: encode(name, getattr(value, name))
    for term, value in zip(parse(method), terms, strict=True)
    for prefixed, name in term.fields()
    if not _is_default(value, name)
  }
  return method, fields


def _is_default(objective: Objective, name: str) -> bool:
  """Whether a field that is no number or name has its default, which need not be recorded."""
  value = getattr(objective, name)
  field = next(f for f in dataclasses.fields(objective) if f.name == name)
  return not isinstance(value, bool | int | float | str) and value is field.default


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
