"""Compiles a program for a target and counts the work of the result."""

import dataclasses
import math
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import jax

from compiled import counts, hlo, targets, thunks
from compiled.programs import Program

__all__ = ["Row", "measure"]


@dataclasses.dataclass(frozen=True)
class Row:
  """One compiled program, on each of the target's devices.

  Attributes:
    target: a name of `targets.TARGETS`.
    program: what it computes.
    sizes: its sizes in words, such as "n 8192, D 64".
    kernels: kernels (GPU) or operations (TPU) of one call; of a training loop, of one step.
    graphs: CUDA graphs of a training step; 0 for other programs and on a TPU.
    alone: kernels of a training step that the host starts outside of a graph; likewise.
    cycles: XLA's estimated cycles on a TPU, without sorts, scatters and transfers; 0 on a GPU.
    products: operations of the matrix products, and of convolutions except cuDNN's.
    traffic: bytes read and written by all kernels, without regard to caches.
    temporaries: bytes of buffers except arguments and results.
    arguments: bytes of the arguments.
    collectives: executions by kind.
    received: bytes that the device receives in them from the others.
    scatters: scatter instructions.
    dilated: convolutions over an input filled up with zeros between its pixels; on a TPU, also the
      adjoint of a strided convolution.
    reversals: reversals of an array that is not as large as a parameter.
    image_copies: instructions that write an array as large as the resident images.
    loops: loops whose trip count is not in the program; each is counted once.
    seconds: CPU seconds of the compilation.
    error: why it did not compile; empty if it did.
  """

  target: str
  program: str
  sizes: str
  kernels: int = 0
  graphs: int = 0
  alone: int = 0
  cycles: int = 0
  products: int = 0
  traffic: int = 0
  temporaries: int = 0
  arguments: int = 0
  collectives: dict[str, int] = dataclasses.field(default_factory=dict)
  received: int = 0
  scatters: int = 0
  dilated: int = 0
  reversals: int = 0
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
  if not hasattr(function, "lower"):
    results = targets.shardings_of(target, program.results) if program.results else None
    function = jax.jit(function, out_shardings=results)
  with tempfile.TemporaryDirectory() as folder:
    # Only the files of a dump list what the host of a GPU starts.
    options = {"xla_dump_to": folder} if program.is_loop and targets.is_gpu(target) else None
    start = time.process_time()
    try:
      compiled = function.lower(*arguments).compile(compiler_options=options)
    except Exception as error:  # each compiler has its own type
      return Row(target, program.name, sizes, error=str(error).strip().splitlines()[0][:200])
    seconds = time.process_time() - start
    listings = list(Path(folder).glob("*thunk_sequence_after_thunk_passes.txt"))
    launches = thunks.loop_launches(listings[0].read_text(encoding="utf-8")) if listings else None
  text, memory = compiled.as_text(), compiled.memory_analysis()
  module = hlo.parse(text)
  whole = counts.count(module)
  found = counts.count(module, counts.loop_body(module)) if program.is_loop else whole
  return Row(
    target,
    program.name,
    sizes,
    kernels=found.kernels,
    graphs=launches.graphs if launches else 0,
    alone=launches.others if launches else 0,
    cycles=found.cycles,
    products=found.products,
    traffic=found.bytes,
    temporaries=0 if memory is None else memory.temp_size_in_bytes,
    arguments=0 if memory is None else memory.argument_size_in_bytes,
    collectives=found.collectives,
    received=found.received,
    scatters=whole.of("scatter"),
    dilated=_dilated(text),
    reversals=_reversals(program, module),
    image_copies=_image_copies(program, module),
    loops=found.unknown_loops,
    seconds=seconds,
  )


def _dilated(text: str) -> int:
  """Convolutions with a dilated input, and paddings with zeros between elements."""
  interior = re.findall(r" pad\([^)]*\), padding=([\dx_\-]+)", text)
  between = [p for p in interior if any(len(d.split("_")) == 3 for d in p.split("x"))]
  return len(re.findall(r"lhs_dilate=", text)) + len(between)


def _reversals(program: Program, module: hlo.Module) -> int:
  """Reversals of arrays that are no parameters: those of a convolution's kernel are small."""
  sizes = {leaf.size for leaf in jax.tree.leaves(program.arguments)}
  return sum(
    instruction.opcode == "reverse" and math.prod(instruction.shapes[0][1]) not in sizes
    for computation in module.computations.values()
    for instruction in computation.values()
  )


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
