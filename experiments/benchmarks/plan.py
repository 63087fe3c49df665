"""The plan of a benchmark of distances: cells, limits and peers."""

import dataclasses
import difflib
from collections.abc import Sequence

from aejax import _checks
from benchmarks.cells import Effort
from benchmarks.distances import DISTANCES, Cell

__all__ = ["Plan", "make_plan"]

# n varies at D = 64 and D varies at n = 1024, for plots and for fits of exponents.
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
# Distances and sizes whose peak memory is measured, each distance in a fresh process.
_MEMORY_DISTANCES = ("cramer_wold", "mmd_imq", "energy_distance", "sliced_wasserstein")
_MEMORY_SIZES = (1024, 4096, 16384, 65536)


@dataclasses.dataclass(frozen=True)
class Plan:
  """A plan of a benchmark.

  Attributes:
    cells: cells to time, small ones first, so that their times predict those of large ones.
    memory: names of the distances whose peak memory is measured.
    memory_sizes: numbers of latents for which memory is measured.
    effort: time limits.
    peers: whether other libraries are measured.
    torch_compile: whether PyTorch peers are timed under torch.compile as well.
    quick: whether the run is a short one of a minute or two.
  """

  cells: tuple[Cell, ...]
  memory: tuple[str, ...]
  memory_sizes: tuple[int, ...]
  effort: Effort
  peers: bool
  torch_compile: bool
  quick: bool

  def settings(self) -> dict[str, bool]:
    """Returns the settings that two runs must share for their rows to be comparable."""
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
  """Builds a benchmark plan from options; the defaults allow fits of scaling exponents.

  Args:
    distances: names of distances; all by default.
    sizes: numbers of latents and dimensions, as "n,d".
    slices: numbers of directions.
    cutoff: maximum seconds of a call; slower calls are skipped.
    devices: number of devices; with more than one, cells are also measured on all of them.
    peers: whether other libraries are measured.
    torch_compile: whether PyTorch peers are timed under torch.compile as well.
    quick: whether to use fewer sizes and a short cut-off, and to skip memory.

  Raises:
    ValueError: if a name is unknown, or a size or number is out of range.
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
    divisible = [c for c in cells if c.n % devices == 0 and c.dtype == "float32"]
    cells += [dataclasses.replace(cell, devices=devices) for cell in divisible]
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
  """Yields cells at one size: more numbers of directions, and latents in half precision."""
  n, d = reference
  for name in names:
    sliced = DISTANCES[name].slices
    for number in _SWEEP if sliced and not slices else ():
      yield Cell(name, n, d, number)
    yield Cell(name, n, d, (slices or [_SLICES])[0] if sliced else None, dtype="bfloat16")


def _reference(grid):
  """Returns the largest size with at most 1024 latents, at D = 64 if there is one."""
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
