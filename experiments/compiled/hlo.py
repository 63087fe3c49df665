"""Parses the text of an optimised XLA program."""

import dataclasses
import math
import re

__all__ = ["Computation", "Instruction", "Module", "parse"]

_BYTES = {
  **dict.fromkeys(("pred", "s8", "u8", "f8e4m3fn", "f8e5m2", "s4", "u4"), 1),
  **dict.fromkeys(("s16", "u16", "bf16", "f16"), 2),
  **dict.fromkeys(("s32", "u32", "f32"), 4),
  **dict.fromkeys(("s64", "u64", "f64", "c64"), 8),
}
_SHAPE = re.compile(rf"\b({'|'.join(_BYTES)})\[([\d,<=]*)\]")
_ASSIGNMENT = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = ")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+)")


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One instruction of a computation.

  Attributes:
    name: its name, unique in the computation.
    opcode: such as "fusion"; of a custom call, "custom-call:TARGET".
    shapes: (element type, dimensions) of each result.
    operands: names of the operands.
    arguments: the text between the parentheses.
    attributes: the text after the parentheses.
    is_root: whether the computation returns it.
  """

  name: str
  opcode: str
  shapes: tuple[tuple[str, tuple[int, ...]], ...]
  operands: tuple[str, ...]
  arguments: str
  attributes: str
  is_root: bool

  @property
  def result_bytes(self) -> list[int]:
    """Size of each result."""
    return [_BYTES[kind] * math.prod(dims) for kind, dims in self.shapes]

  @property
  def bytes(self) -> int:
    """Size of all results."""
    return sum(self.result_bytes)

  def called(self, attribute: str) -> str | None:
    """The name of the computation that an attribute names, such as `calls` or `body`."""
    found = re.search(rf"\b{attribute}=%?([\w.\-]+)", self.attributes)
    return found.group(1) if found else None


Computation = dict[str, Instruction]


@dataclasses.dataclass(frozen=True)
class Module:
  """A compiled program.

  Attributes:
    computations: its computations by name.
    entry: name of the computation that runs.
    partitions: number of devices that share the work.
  """

  computations: dict[str, Computation]
  entry: str
  partitions: int


def parse(text: str) -> Module:
  """Parses the text of an optimised HLO module, as `compiled.as_text()` gives it.

  Raises:
    ValueError: if the text has no entry computation.
  """
  computations: dict[str, Computation] = {}
  current: Computation | None = None
  entry = None
  for line in text.splitlines():
    if line and not line[0].isspace() and line.rstrip().endswith("{") and "->" in line:
      header = _HEADER.match(line)
      assert header is not None
      current = computations.setdefault(header.group(2), {})
      entry = header.group(2) if header.group(1) else entry
    elif current is not None and (instruction := _instruction(line)) is not None:
      current[instruction.name] = instruction
  if entry is None:
    raise ValueError("The text has no ENTRY computation.")
  partitions = re.search(r"^HloModule .*\bnum_partitions=(\d+)", text, re.MULTILINE)
  return Module(computations, entry, int(partitions.group(1)) if partitions else 1)


def _instruction(line: str) -> Instruction | None:
  assignment = _ASSIGNMENT.match(line)
  if assignment is None:
    return None
  rest = line[assignment.end() :]
  end = _closing(rest, 0) if rest[0] == "(" else rest.index(" ")
  types, rest = rest[:end], rest[end:].lstrip()
  opcode = re.match(r"([\w\-]+)\(", rest)
  if opcode is None:
    return None
  end = _closing(rest, opcode.end() - 1)
  arguments, attributes = rest[opcode.end() : end - 1], rest[end:]
  name = opcode.group(1)
  if name == "custom-call":
    target = re.search(r'custom_call_target="([^"]*)"', attributes)
    name = f"custom-call:{target.group(1) if target else '?'}"
  return Instruction(
    assignment.group(2),
    name,
    tuple((kind, _dimensions(dims)) for kind, dims in _SHAPE.findall(types)),
    tuple(re.findall(r"%([\w.\-]+)", arguments)),
    arguments,
    attributes,
    bool(assignment.group(1)),
  )


def _closing(text: str, start: int) -> int:
  """The position after the parenthesis that closes the one at `start`."""
  depth = 0
  for position in range(start, len(text)):
    depth += (text[position] in "({[") - (text[position] in ")}]")
    if depth == 0:
      return position + 1
  return len(text)


def _dimensions(text: str) -> tuple[int, ...]:
  return tuple(int(d.replace("<=", "")) for d in text.split(",") if d)
