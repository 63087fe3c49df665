"""Reads what a GPU's host starts: CUDA graphs, and kernels outside of them."""

import dataclasses
import re

__all__ = ["Launches", "loop_launches"]

_LINE = re.compile(r"^(\s*)(?:\d+: k(\w+)|(\w+):)")


@dataclasses.dataclass(frozen=True)
class Launches:
  """What the host starts in one turn of a loop.

  Attributes:
    graphs: CUDA graphs, each of several kernels.
    others: kernels, convolutions and copies outside of a graph.
  """

  graphs: int
  others: int


def loop_launches(text: str) -> Launches | None:
  """Counts the launches of one turn of the first loop in a sequence of XLA's thunks.

  Args:
    text: XLA's file `thunk_sequence_after_thunk_passes.txt`.

  Returns:
    The launches in the loop's body, or None if there is no loop outside of a graph.
  """
  graphs = others = 0
  body: int | None = None  # indentation of the line "body:"
  inside: int | None = None  # indentation of a graph in it
  looped = False
  for line in text.splitlines():
    found = _LINE.match(line)
    if found is None:
      continue
    indentation, thunk, label = len(found.group(1)), found.group(2), found.group(3)
    if body is None:
      looped = looped or thunk == "While"
      if looped and label == "body":
        body = indentation
      continue
    if indentation <= body:
      break
    if inside is not None and indentation > inside:
      continue
    inside = indentation if thunk == "CommandBuffer" else None
    graphs += thunk == "CommandBuffer"
    others += thunk is not None and thunk not in ("CommandBuffer", "While")
  return None if body is None else Launches(graphs, others)
