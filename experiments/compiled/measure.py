"""Compiles a program for a target and counts the work of the result."""

import dataclasses
import math
import re
import time
from typing import Any

import jax

from compiled import counts, hlo, targets
from compiled.programs import Program

__all__ = ["Row", "measure"]


@dataclasses.dataclass(frozen=True)
class Row:
  """One compiled program.

  Attributes:
    target: a name of `targets.TARGETS`.
    program: what it computes.
    sizes: its sizes in words, such as "n 8192, D 64".
    kernels: kernels (GPU) or operations (TPU) of one call; of a training loop, of one step.
    cycles: XLA's estimated cycles on a TPU, without sorts, scatters and transfers; 0 on a GPU.
    traffic: bytes read and written by all kernels, without regard to caches.
    temporaries: bytes of buffers except arguments and results, for each device.
    collectives: executions by kind.
    collective_bytes: bytes of their results.
    scatters: scatter instructions.
    dilated: convolutions over an input filled up with zeros between its pixels; on a TPU, also the
      adjoint of a strided convolution.
    image_copies: instructions that write an array as large as the resident images.
    loops: loops whose trip count is not in the program; each is counted once.
    seconds: CPU seconds of the compilation.
    error: why it did not compile; empty if it did.
  """

  target: str
  program: str
  sizes: str
  kernels: int = 0
  cycles: int = 0
  traffic: int = 0
  temporaries: int = 0
  collectives: dict[str, int] = dataclasses.field(default_factory=dict)
  collective_bytes: int = 0
  scatters: int = 0
  dilated: int = 0
  image_copies: int = 0
  loops: int = 0
  seconds: float = 0.0
  error: str = ""


def measure(program: Program, target: str, *, sizes: str = "") -> Row:
  """Compiles a program for a target, and counts.

  A program that the compiler refuses is a row with the first line of its error.
  """
  layout = program.layout or (None,) * len(program.arguments)
  arguments = [
    targets.place(target, tree, where)
    for tree, where in zip(program.arguments, layout, strict=True)
  ]
  function: Any = program.function
  function = function if hasattr(function, "lower") else jax.jit(function)
  start = time.process_time()
  try:
    compiled = function.lower(*arguments).compile()
  except Exception as error:  # each compiler has its own type
    return Row(target, program.name, sizes, error=str(error).strip().splitlines()[0][:200])
  seconds = time.process_time() - start
  text, memory = compiled.as_text(), compiled.memory_analysis()
  module = hlo.parse(text)
  found = counts.count(module)
  return Row(
    target,
    program.name,
    sizes,
    found.kernels,
    found.cycles,
    found.bytes,
    0 if memory is None else memory.temp_size_in_bytes,
    found.collectives,
    found.collective_bytes,
    found.of("scatter"),
    _dilated(text),
    _image_copies(program, module),
    found.unknown_loops,
    seconds,
  )


def _dilated(text: str) -> int:
  """Convolutions with a dilated input, and paddings with zeros between elements."""
  interior = re.findall(r" pad\([^)]*\), padding=([\dx_\-]+)", text)
  between = [p for p in interior if any(len(d.split("_")) == 3 for d in p.split("x"))]
  return len(re.findall(r"lhs_dilate=", text)) + len(between)


def _image_copies(program: Program, module: hlo.Module) -> int:
  """Instructions outside fusions whose result holds as many bytes as the images do."""
  images = [
    leaf.size
    for tree in program.arguments
    for leaf in jax.tree.leaves(tree)
    if leaf.dtype == "uint8"
  ]
  if not images:
    return 0
  moved = ("copy", "copy-start", "fusion", "transpose", "all-gather")
  return sum(
    instruction.opcode in moved
    and any(kind == "u8" and math.prod(dims) >= max(images) for kind, dims in instruction.shapes)
    for instruction, *_ in counts.executed(module)
  )
