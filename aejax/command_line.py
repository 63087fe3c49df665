"""The edge between the scripts and the library: options in, one sentence when they are wrong."""

import contextlib
import dataclasses
import difflib
import os
import sys
import traceback
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import tyro

from aejax import objectives

__all__ = ["choose_method", "compilation_cache", "parse", "user_errors"]

T = TypeVar("T")

_PLAIN = (bool, int, float, str)


@contextlib.contextmanager
def user_errors() -> Iterator[None]:
  """Turns what a user can mend into one sentence on stderr and exit code 2.

  A ValueError that aejax itself raised, or an OSError, is the user's; any other error is a defect,
  and keeps its traceback.
  """
  try:
    yield
  except (ValueError, OSError) as error:
    frames = traceback.extract_tb(error.__traceback__)
    ours = str(Path(__file__).parent) + os.sep
    if isinstance(error, ValueError) and not frames[-1].filename.startswith(ours):
      raise
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
  except KeyboardInterrupt:
    sys.exit(130)


def compilation_cache() -> None:
  """Keeps compiled programs on disk between runs, unless JAX was told where (or not) to."""
  if "JAX_COMPILATION_CACHE_DIR" in os.environ:
    return
  base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
  folder = Path(base) / "aejax" / "xla"
  with contextlib.suppress(OSError):
    folder.mkdir(parents=True, exist_ok=True)
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

  Raises:
    ValueError: if the method is unknown.
  """
  names = tuple(objectives.BY_NAME)
  if not arguments or arguments[0] in ("-h", "--help"):
    print(f"{description}\n\nusage: train.py METHOD [--option value ...]\n\nmethods:")
    for name, objective in objectives.BY_NAME.items():
      print(f"  {name:10}{(objective.__doc__ or '').splitlines()[0]}")
    print("\ntrain.py METHOD --help shows a method's options.")
    sys.exit(0 if arguments else 2)
  method = arguments[0]
  if method not in names:
    near = difflib.get_close_matches(method, names, n=2)
    meant = f": did you mean {' or '.join(near)}?" if near else "."
    raise ValueError(f"There is no method {method!r}{meant} There are {', '.join(names)}.")
  chosen = parse(
    _with_objective(options, objectives.BY_NAME[method]),
    arguments[1:],
    prog=f"train.py {method}",
    description=(objectives.BY_NAME[method].__doc__ or "").split("\n\n")[0],
  )
  given = {name: v for name, v in vars(chosen.objective).items() if v is not None}
  return method, given, chosen.options


def _with_objective(options: type, objective: type) -> Any:
  """A dataclass of both: the objective's plain fields, None unless given, and `options`."""
  hints = typing.get_type_hints(objective)
  fields = [
    (field.name, hints[field.name] | None, dataclasses.field(default=None))
    for field in dataclasses.fields(objective)
    if hints[field.name] in _PLAIN or typing.get_origin(hints[field.name]) is typing.Literal
  ]
  given = dataclasses.make_dataclass("Objective", fields, frozen=True, kw_only=True)
  given.__doc__ = objective.__doc__
  return dataclasses.make_dataclass(
    "Chosen",
    [("objective", given), ("options", options, dataclasses.field(default_factory=options))],
    kw_only=True,
  )
