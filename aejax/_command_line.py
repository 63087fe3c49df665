"""Reads options from the command line, from dataclasses and their docstrings."""

import contextlib
import dataclasses
import os
import sys
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict, TypeVar

import jax
import tyro

from aejax import objectives
from aejax.objectives import names
from aejax.training.defaults import describe_default

__all__ = ["choose_method", "compilation_cache", "parse"]

T = TypeVar("T")

# Sections of the help, in its order. Options that are listed nowhere follow last.
_SECTIONS = {
  "data": ("dataset", "data_dir", "image_size", "standardise", "data"),
  "model": ("network", "latent_dim", "prior"),
  "optimisation": (
    *("epochs", "batch_size", "accumulate", "optimizer", "learning_rate", "schedule"),
    *("warmup_steps", "weight_decay", "clip_norm", "ema_decay", "precision", "skip_nonfinite"),
    *("seed", "seeds", "test_epochs", "patience"),
  ),
  "output": (
    *("workdir", "resume", "checkpoint_minutes", "checkpoint_epochs", "keep_checkpoints"),
    "quiet",
  ),
  "processes": ("distributed", "coordinator", "num_processes", "process_id"),
}

_PLAIN = (bool, int, float, str, Path)


def compilation_cache() -> None:
  """Keeps compiled programs on disk between runs, unless the user configured JAX's cache."""
  if "JAX_COMPILATION_CACHE_DIR" in os.environ:
    return
  base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
  if not os.path.isabs(base):  # a user without a home has "~" itself; relative ones are ruled out
    return
  folder = Path(base) / "aejax" / "xla"
  with contextlib.suppress(OSError):
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):  # JAX would warn at every program
      return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def parse(options: type[T], arguments: Sequence[str] | None = None, **settings: Any) -> T:
  """Fills the dataclass `options` from the command line; tyro reports errors and prints --help."""
  return tyro.cli(options, args=arguments, config=(tyro.conf.OmitArgPrefixes,), **settings)


def choose_method(
  options: type[T], arguments: Sequence[str], *, prog: str
) -> tuple[str, dict[str, Any], T]:
  """Reads `METHOD --option …`: the method, the given fields of its objective, the other options.

  Each method offers the plain fields of its objective (numbers, switches, names) as options, so a
  new objective needs no further code to be on the command line.

  Args:
    options: dataclass of the options that all methods share; each has a default.
    arguments: arguments of the command line.
    prog: the name of the program, for the help.

  Raises:
    ValueError: if the method is unknown.
  """
  if not arguments or arguments[0] in ("-h", "--help"):
    print(_overview(prog), file=sys.stdout if arguments else sys.stderr)
    sys.exit(0 if arguments else 2)
  method, arguments = _method(arguments)
  terms = names.parse(method)
  offered = {"objective": _offered_terms(method), **_offered_sections(options, method)}
  given = parse(
    dataclasses.make_dataclass("Given", offered.items()),
    arguments,
    prog=f"{prog} {method}",
    description=" ".join((term.objective.__doc__ or "").split("\n\n")[0] for term in terms),
  )
  settings = {
    name: value
    for section in offered
    if section != "objective"
    for name, value in getattr(given, section).items()
  }
  return method, given.objective, options(**settings)


def _method(arguments: Sequence[str]) -> tuple[str, Sequence[str]]:
  """Returns the method, which may be given as --objective, and the other arguments."""
  first, equals, value = arguments[0].partition("=")
  if first != "--objective":
    return arguments[0], arguments[1:]
  if equals:
    return value, arguments[1:]
  if len(arguments) < 2:
    raise ValueError("--objective needs the name of a method, or package.module:Class.")
  return arguments[1], arguments[2:]


def _overview(prog: str) -> str:
  methods = [
    f"  {name:10}{(objective.__doc__ or '').splitlines()[0]}"
    for name, objective in objectives.BY_NAME.items()
  ]
  return "\n".join(
    [
      "Trains an autoencoder, scores it on the test set and plots what it generates.",
      "",
      f"usage: {prog} METHOD [--option value ...]",
      "",
      "methods:",
      *methods,
      "",
      f"{prog} METHOD --help shows a method's options; cwae+energy adds two penalties.",
      "An objective of your own: --objective package.module:Class in place of METHOD.",
    ]
  )


def _offered_terms(method: str) -> Any:
  """Returns the plain fields of the objective; in a sum, of each term with its prefix."""
  terms = names.parse(method)
  if len(terms) == 1:
    return _offered(terms[0].objective, method)
  options = {
    term.prefix + field: kind
    for term in terms
    for field, kind in _plain_fields(term.objective, term.name).items()
    if field != "reconstruction"
  }
  make: Any = TypedDict
  return make("Sum", options, total=False)


def _offered_sections(options: type, method: str) -> dict[str, Any]:
  """Returns the plain fields of the options by section of the help, as TypedDicts."""
  fields = _plain_fields(options, method)
  make: Any = TypedDict
  sections = {
    name: {field: fields.pop(field) for field in listed if field in fields}
    for name, listed in _SECTIONS.items()
  }
  sections["other"] = fields
  return {name: make(name, found, total=False) for name, found in sections.items() if found}


def _offered(fields: type, method: str) -> Any:
  """Returns the plain fields of a dataclass as a TypedDict, which holds only given fields."""
  make: Any = TypedDict
  return make(fields.__name__, _plain_fields(fields, method), total=False)


def _plain_fields(fields: type, method: str) -> dict[str, Any]:
  """Returns the plain fields of a dataclass, with their help texts."""
  hints, documentation = typing.get_type_hints(fields), _documentation(fields)
  options = {}
  for field in dataclasses.fields(fields):
    if not field.init:
      continue
    kind = _without_none(hints[field.name])
    if kind not in _PLAIN and typing.get_origin(kind) is not Literal:
      continue
    default = describe_default(method, field.name) or field.default
    argument = tyro.conf.arg(
      help=documentation.get(field.name, ""),
      help_behavior_hint="" if default is None or default is False else f"(default: {default})",
    )
    options[field.name] = Annotated[kind, argument]
  return options


def _documentation(fields: type) -> dict[str, str]:
  """Returns the descriptions of fields in the docstrings of a dataclass and its bases."""
  import docstring_parser

  return {
    parameter.arg_name: " ".join((parameter.description or "").split())
    for base in reversed(fields.__mro__[:-1])
    for parameter in docstring_parser.parse(base.__doc__ or "").params
  }


def _without_none(kind: Any) -> Any:
  kinds = [k for k in typing.get_args(kind) if k is not type(None)]
  union = typing.get_origin(kind) in (types.UnionType, typing.Union)
  return kinds[0] if union and len(kinds) == 1 else kind
