"""Which cells a run measures."""

import dataclasses
import difflib
from collections.abc import Sequence

from aejax import _checks
from benchmarks.cells import Effort
from benchmarks.distances import DISTANCES, Cell

__all__ = ["Plan", "make_plan"]

# n grows at D = 64 and D grows at n = 1024: lines in a figure, slopes in a table.
_SIZES = (
  (128, 8),
  (256, 64),
  (1024, 2),
  (1024, 8),
  (1024, 64),
  (1024, 256),
  (2048, 64),
  (4096, 64),
  (8192, 64),
)
_QUICK_SIZES = ((256, 64), (1024, 64))
_SLICES, _MORE_SLICES, _SWEEP = 50, 1000, (10, 50, 200, 1000)
# Where memory is measured, each in a process of its own.
_MEMORY_DISTANCES = ("cramer_wold", "mmd_imq", "energy_distance", "sliced_wasserstein")
_MEMORY_SIZES = (1024, 4096, 16384, 65536)


@dataclasses.dataclass(frozen=True)
class Plan:
  """What a run measures.

  Attributes:
    cells: to time, small ones first, so that the time of large ones can be guessed.
    memory: distances whose peak memory is measured, ours at `memory_sizes`.
    memory_sizes: numbers of latents.
    effort: how long to measure.
    peers: whether other libraries are set beside.
    torch_compile: whether those in PyTorch are timed a second time, by torch.compile.
    quick: a minute's run, or two.
  """

  cells: tuple[Cell, ...]
  memory: tuple[str, ...]
  memory_sizes: tuple[int, ...]
  effort: Effort
  peers: bool
  torch_compile: bool
  quick: bool

  def settings(self) -> dict[str, bool]:
    """What must be the same for two runs' rows to be comparable."""
    return {"quick": self.quick, "peers": self.peers, "torch.compile": self.torch_compile}


def make_plan(
  *,
  distances: Sequence[str] = (),
  sizes: Sequence[str] = (),
  slices: Sequence[int] = (),
  cutoff: float = 30.0,
  devices: int = 1,
  peers: bool = True,
  torch_compile: bool = False,
  quick: bool = False,
) -> Plan:
  """Makes a plan of a user's wishes; what is left out takes a grid that shows all laws of growth.

  Args:
    distances: names; all by default.
    sizes: as "n,d".
    slices: numbers of directions.
    cutoff: seconds of a call beyond which it is left out.
    devices: if more than one, each distance is measured spread over so many, too.
    peers: whether other libraries are set beside.
    torch_compile: whether those in PyTorch are timed a second time, by torch.compile.
    quick: fewer sizes, less patience, no memory.

  Raises:
    ValueError: if a name, a size or a number is none.
  """
  for name in distances:
    _check_distance(name)
  if not cutoff > 0:
    raise ValueError(f"cutoff must be positive, but is {cutoff:g}.")
  for number in slices:
    _checks.integer("slices", number)
  names = tuple(dict.fromkeys(distances)) or tuple(DISTANCES)
  grid = sorted({_size(text) for text in sizes}) or (_QUICK_SIZES if quick else _SIZES)
  cells = [cell for n, d in grid for name in names for cell in _cells(name, n, d, slices, quick)]
  if not quick:
    cells += _more_cells(names, _reference(grid), slices)
  if devices > 1:
    split = [c for c in cells if c.n % devices == 0 and c.dtype == "float32"]
    cells += [dataclasses.replace(cell, devices=devices) for cell in split]
  return Plan(
    cells=tuple(dict.fromkeys(cells)),
    memory=() if quick else tuple(name for name in _MEMORY_DISTANCES if name in names),
    memory_sizes=_MEMORY_SIZES,
    effort=Effort(seconds=0.03, cutoff=min(cutoff, 0.5)) if quick else Effort(cutoff=cutoff),
    peers=peers,
    torch_compile=torch_compile,
    quick=quick,
  )


def _cells(name, n, d, slices, quick):
  if not DISTANCES[name].slices:
    return [Cell(name, n, d)]
  numbers = slices or (_SLICES,)
  if name == "sliced_wasserstein" and not slices and not quick:
    numbers = _SLICES, _MORE_SLICES
  return [Cell(name, n, d, number) for number in sorted(set(numbers))]


def _more_cells(names, reference, slices):
  """At one size: more numbers of slices, and latents of half the precision."""
  n, d = reference
  for name in names:
    sliced = DISTANCES[name].slices
    for number in _SWEEP if sliced and not slices else ():
      yield Cell(name, n, d, number)
    yield Cell(name, n, d, (slices or [_SLICES])[0] if sliced else None, dtype="bfloat16")


def _reference(grid):
  """The largest size of a thousand latents at most, at D = 64 if there is one."""
  return max(grid, key=lambda size: (size[0] <= 1024, size[1] == 64, size))


def _check_distance(name: str) -> None:
  if name not in DISTANCES:
    close = difflib.get_close_matches(name.replace("-", "_"), DISTANCES, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(DISTANCES)}."
    raise ValueError(f"There is no distance {name!r}: {hint}")


def _size(text: str) -> tuple[int, int]:
  parts = text.split(",")
  try:
    n, d = map(int, parts)
  except ValueError:
    raise ValueError(f"sizes must be pairs n,d such as 256,64, but one is {text!r}.") from None
  if not 2 <= n < 2**31 or not 1 <= d < 2**31:
    raise ValueError(f"sizes must have n from 2 and d from 1 up, below 2^31, but one is {text!r}.")
  return n, d
