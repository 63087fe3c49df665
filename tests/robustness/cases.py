"""Bad calls as (name of the function, pattern of the error sentence, call)."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = ["each"]


def each(
  name: str, pattern: str, call: Callable[[Any], object], values: Iterable[Any]
) -> Iterator[tuple[str, str, Callable[[Any], object]]]:
  """Yields a case for each bad value of one argument."""
  for value in values:
    yield name, pattern, lambda _, v=value: call(v)
