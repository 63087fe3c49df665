"""The edge between the scripts and the library: options in, one sentence when they are wrong."""

import contextlib
import dataclasses
import os
import sys
import traceback
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict, TypeVar

import jax
import tyro

from aejax import objectives
from aejax.objectives import check_method
from aejax.training.published import describe_default

__all__ = ["choose_method", "compilation_cache", "parse", "user_errors"]

T = TypeVar("T")

_PLAIN = (bool, int, float, str, Path)


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
  """Turns what a user can mend into one sentence on stderr and exit code 2.

  A ValueError or ImportError that aejax itself raised (the latter for an extra that is not
  installed), or an OSError, is the user's; any other error is a defect, and keeps its traceback.
  """
  try:
    yield
  except (ValueError, ImportError, OSError) as error:
    frames = traceback.extract_tb(error.__traceback__)
    ours = str(Path(__file__).parent) + os.sep
    if not isinstance(error, OSError) and not frames[-1].filename.startswith(ours):
      raise
    sentence = " ".join(str(error).split())  # names of files may hold anything
    shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in sentence)
    print(f"error: {shown}", file=sys.stderr)
    sys.exit(2)
  except KeyboardInterrupt:
    sys.exit(130)


def compilation_cache() -> None:
  """Keeps compiled programs on disk between runs, unless JAX was told where (or not) to."""
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
  """Fills the dataclass `options` from the command line; errors and --help are tyro's."""
  return tyro.cli(options, args=arguments, config=(tyro.conf.OmitArgPrefixes,), **settings)


def choose_method(
  options: type[T], arguments: Sequence[str], *, description: str
) -> tuple[str, dict[str, Any], T]:
  """Reads `METHOD --option …`: the method's name, its objective's fields that were given, the rest.

  Each method offers the plain fields of its objective (numbers, switches, names) as options, so a
  new objective is on the command line without a line more.

  Args:
    options: a dataclass of the options that all methods share; each has a default.
    arguments: of the command line.
    description: for the help.

  Raises:
    ValueError: if the method is unknown.
  """
  if not arguments or arguments[0] in ("-h", "--help"):
    print(_overview(description), file=sys.stdout if arguments else sys.stderr)
    sys.exit(0 if arguments else 2)
  method = arguments[0]
  check_method(method)
  terms = [objectives.BY_NAME[name] for name in method.split("+")]
  offered = {"objective": _offered_terms(method), "training": _offered(options, method)}
  given = parse(
    dataclasses.make_dataclass("Given", offered.items()),
    arguments[1:],
    prog=f"train.py {method}",
    description=" ".join((term.__doc__ or "").split("\n\n")[0] for term in terms),
  )
  return method, given.objective, options(**given.training)


def _overview(description: str) -> str:
  methods = [
    f"  {name:10}{(objective.__doc__ or '').splitlines()[0]}"
    for name, objective in objectives.BY_NAME.items()
  ]
  usage = f"{description.strip()}\n\nusage: train.py METHOD [--option value ...]\n\nmethods:"
  hint = "\ntrain.py METHOD --help shows a method's options; cwae+energy adds two penalties."
  return "\n".join([usage, *methods, hint])


def _offered_terms(method: str) -> Any:
  """The plain fields of the objective; of a sum, those of each term behind the term's name."""
  names = method.split("+")
  if len(names) == 1:
    return _offered(objectives.BY_NAME[method], method)
  options = {
    f"{name.replace('-', '_')}_{field}": kind
    for name in names
    for field, kind in _plain_fields(objectives.BY_NAME[name], name).items()
    if field != "reconstruction"
  }
  make: Any = TypedDict
  return make("Sum", options, total=False)


def _offered(fields: type, method: str) -> Any:
  """The plain fields of a dataclass as a TypedDict: what is not given is not in it."""
  make: Any = TypedDict
  return make(fields.__name__, _plain_fields(fields, method), total=False)


def _plain_fields(fields: type, method: str) -> dict[str, Any]:
  """The plain fields of a dataclass, with their help."""
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
  """What the docstrings of a dataclass and of its bases say about each field."""
  import docstring_parser  # tyro's own

  return {
    parameter.arg_name: " ".join((parameter.description or "").split())
    for base in reversed(fields.__mro__[:-1])
    for parameter in docstring_parser.parse(base.__doc__ or "").params
  }


def _without_none(kind: Any) -> Any:
  kinds = [k for k in typing.get_args(kind) if k is not type(None)]
  union = typing.get_origin(kind) in (types.UnionType, typing.Union)
  return kinds[0] if union and len(kinds) == 1 else kind
