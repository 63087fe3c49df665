"""Counts what an optimised XLA program does: kernels, memory traffic, collectives, cycles.

Loops are multiplied by their trip counts. The counts are facts about the program. The estimated
cycles are XLA's own model of a TPU, in which sorts, scatters and transfers cost nothing.
"""

import collections
import dataclasses
import math
import re
from collections.abc import Iterator

from compiled.hlo import Computation, Instruction, Module

__all__ = ["Counts", "count", "executed", "loop_body"]

# These instructions name or regroup values; no kernel runs for them.
_FREE = frozenset(
  (
    *("after-all", "add-dependency", "async-done", "bitcast", "constant", "copy-done"),
    *("copy-start", "domain", "get-tuple-element", "opt-barrier", "parameter"),
    *("partition-id", "replica-id", "slice-done", "tuple"),
  )
)
_COLLECTIVES = (
  "all-gather",
  "all-reduce",
  "all-to-all",
  "collective-permute",
  "reduce-scatter",
)


@dataclasses.dataclass(frozen=True)
class Counts:
  """What one run of a program does.

  Attributes:
    kernels: instructions that run as a kernel or operation of their own.
    bytes: bytes that they read and write, without regard to caches.
    cycles: XLA's estimated cycles; zero on a GPU.
    products: operations of the matrix products, and of convolutions except cuDNN's.
    collectives: number of executions by kind, such as {"all-gather": 1}.
    received: bytes that a device receives from the others, if all take part in each collective.
    opcodes: number of executions by opcode.
    fused: number of instructions by opcode inside fusions, each fusion counted once.
    unknown_loops: loops whose trip count could not be read; each is counted once.
  """

  kernels: int
  bytes: int
  cycles: int
  products: int
  collectives: dict[str, int]
  received: int
  opcodes: dict[str, int]
  fused: dict[str, int]
  unknown_loops: int

  def of(self, opcode: str) -> int:
    """Number of instructions with an opcode, inside fusions and outside."""
    return self.opcodes.get(opcode, 0) + self.fused.get(opcode, 0)


def count(module: Module, start: str | None = None) -> Counts:
  """Counts the kernels, traffic and collectives of one run of a program.

  Args:
    module: the program.
    start: name of the computation to count; by default the whole program.
  """
  kernels = traffic = cycles = products = received = unknown = 0
  opcodes: collections.Counter[str] = collections.Counter()
  fused: collections.Counter[str] = collections.Counter()
  collectives: collections.Counter[str] = collections.Counter()
  for instruction, computation, times in executed(module, start):
    if instruction.opcode == "while":
      unknown += _trip_count(module, computation, instruction) is None
      continue
    kernels += times
    opcodes[instruction.opcode] += times
    traffic += times * _traffic(module, computation, instruction)
    if found := re.search(r'estimated_cycles":"(\d+)"', instruction.attributes):
      cycles += times * int(found.group(1))
    if instruction.opcode == "fusion":
      body = module.computations[instruction.called("calls") or ""]
      fused.update(one.opcode for one in body.values() if one.opcode not in _FREE)
    products += times * _products(module, computation, instruction)
    kind = instruction.opcode.removesuffix("-start")
    if kind in _COLLECTIVES:
      collectives[kind] += times
      sent = sum(computation[name].bytes for name in instruction.operands)
      received += times * _received(kind, sent, module.partitions)
  return Counts(
    kernels,
    traffic,
    cycles,
    products,
    dict(collectives),
    received,
    dict(opcodes),
    dict(fused),
    unknown,
  )


def executed(
  module: Module, start: str | None = None
) -> Iterator[tuple[Instruction, Computation, int]]:
  """Yields each instruction that runs, its computation, and how often it runs."""
  yield from _executed(module, start or module.entry, 1)


def loop_body(module: Module) -> str | None:
  """Name of the body of the first loop whose length is an argument of the program, or None."""
  for instruction, computation, _ in executed(module):
    if instruction.opcode == "while" and _trip_count(module, computation, instruction) is None:
      return instruction.called("body")
  return None


def _executed(
  module: Module, name: str, times: int
) -> Iterator[tuple[Instruction, Computation, int]]:
  computation = module.computations[name]
  for instruction in computation.values():
    opcode = instruction.opcode
    if opcode in _FREE or opcode.endswith("-done"):
      continue
    if opcode == "while":
      yield instruction, computation, times
      trips = _trip_count(module, computation, instruction) or 1
      for part in ("body", "condition"):
        yield from _executed(module, instruction.called(part) or "", times * trips)
    elif opcode == "conditional":
      for branch in _branches(instruction):
        if branch in module.computations:
          yield from _executed(module, branch, times)
    elif opcode in ("call", "async-start"):
      inner = instruction.called("to_apply") or instruction.called("calls")
      if inner in module.computations:
        yield from _executed(module, inner, times)
      else:
        yield instruction, computation, times
    else:
      yield instruction, computation, times


def _branches(instruction: Instruction) -> list[str]:
  if found := re.search(r"branch_computations=\{([^}]*)\}", instruction.attributes):
    return re.findall(r"[\w.\-]+", found.group(1))
  return [
    name
    for branch in ("true_computation", "false_computation")
    if (name := instruction.called(branch)) is not None
  ]


def _trip_count(module: Module, computation: Computation, loop: Instruction) -> int | None:
  """How often a loop runs: as XLA knows it, or the constant that its condition compares with."""
  if found := re.search(r'known_trip_count":\{"n":"(\d+)"', loop.attributes):
    return int(found.group(1))
  condition = module.computations.get(loop.called("condition") or "", {})
  start = computation.get(loop.operands[0]) if loop.operands else None

  def constant(instruction: Instruction | None, inside: Computation) -> int | None:
    if instruction is None:
      return None
    if instruction.opcode == "constant":
      number = re.match(r"-?\d+", instruction.arguments)
      return int(number.group()) if number else None
    if instruction.opcode in ("copy", "bitcast", "convert") and instruction.operands:
      return constant(inside.get(instruction.operands[0]), inside)
    index = re.search(r"index=(\d+)", instruction.attributes)
    carried = inside is condition and start is not None and start.opcode == "tuple"
    if instruction.opcode == "get-tuple-element" and index and carried:
      assert start is not None
      return constant(computation.get(start.operands[int(index.group(1))]), computation)
    return None

  limits = []
  for instruction in condition.values():
    if instruction.opcode == "fusion":
      body = module.computations[instruction.called("calls") or ""]
      limits += [constant(one, body) for one in body.values() if one.opcode == "constant"]
    if instruction.opcode in ("fusion", "compare"):
      limits += [constant(condition.get(name), condition) for name in instruction.operands]
  known = [limit for limit in limits if limit is not None and limit > 0]
  return max(known, default=None)


def _traffic(module: Module, computation: Computation, instruction: Instruction) -> int:
  """Bytes that an instruction reads and writes; slices and updates count what they touch."""
  if instruction.opcode == "fusion":
    return _fusion_traffic(module.computations[instruction.called("calls") or ""])
  if instruction.opcode == "dynamic-slice":
    return 2 * instruction.bytes
  operands = [computation[name] for name in instruction.operands if name in computation]
  if instruction.opcode == "dynamic-update-slice":
    return 2 * (operands[1].bytes if len(operands) > 1 else instruction.bytes)
  return instruction.bytes + sum(operand.bytes for operand in operands)


def _received(kind: str, operand: int, devices: int) -> int:
  """Bytes that each of the devices receives in a collective, for its share of the operand."""
  others = devices - 1
  if kind == "all-gather":
    return others * operand
  if kind == "all-reduce":  # a reduce-scatter and an all-gather
    return 2 * others * operand // devices
  return operand if kind == "collective-permute" else others * operand // devices


def _products(module: Module, computation: Computation, instruction: Instruction) -> int:
  """Operations of the matrix products and convolutions in an instruction: two for each term."""
  if instruction.opcode == "fusion":
    body = module.computations[instruction.called("calls") or ""]
    return sum(_products(module, body, one) for one in body.values())
  operands = [computation.get(name) for name in instruction.operands]
  if instruction.opcode == "convolution":
    labels = re.search(r"dim_labels=\w+_(\w+)->", instruction.attributes)
    if labels is None or len(operands) < 2 or operands[1] is None:
      return 0
    kernel = zip(labels.group(1), operands[1].shapes[0][1], strict=True)
    terms = math.prod(length for label, length in kernel if label != "o")
  elif instruction.opcode == "dot" or "gemm" in instruction.opcode:
    found = re.search(
      r'lhs_contracting_dim(?:ension)?s(?:=\{|":\[)([\d,"]+)', instruction.attributes
    )
    if found is None or operands[0] is None:
      return 0
    axes = map(int, re.findall(r"\d+", found.group(1)))
    terms = math.prod(operands[0].shapes[0][1][axis] for axis in axes)
  else:
    return 0
  return 2 * terms * math.prod(instruction.shapes[0][1])


def _fusion_traffic(body: Computation) -> int:
  users: dict[str, list[tuple[Instruction, int]]] = collections.defaultdict(list)
  for instruction in body.values():
    for position, operand in enumerate(instruction.operands):
      users[operand].append((instruction, position))

  def uses(name: str) -> Iterator[tuple[Instruction, int]]:
    for user, position in users[name]:
      if user.opcode == "bitcast":
        yield from uses(user.name)
      else:
        yield user, position

  def read(parameter: Instruction) -> int:
    sliced = 0
    for user, position in uses(parameter.name):
      if position == 0 and user.opcode in ("dynamic-slice", "slice", "gather"):
        sliced += user.bytes
      elif not (position == 0 and user.opcode == "dynamic-update-slice"):
        return parameter.bytes
    return min(sliced, parameter.bytes)

  def written(instruction: Instruction | None) -> int:
    if instruction is None:
      return 0
    if instruction.opcode == "bitcast":
      return written(body.get(instruction.operands[0]))
    if instruction.opcode == "tuple":
      return sum(written(body.get(name)) for name in instruction.operands)
    if instruction.opcode == "dynamic-update-slice":
      update = body.get(instruction.operands[1])
      return update.bytes if update else 0
    return instruction.bytes

  parameters = [one for one in body.values() if one.opcode == "parameter"]
  root = next((one for one in body.values() if one.is_root), None)
  return sum(map(read, parameters)) + written(root)
