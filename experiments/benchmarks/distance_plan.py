"""What the benchmark of distances measures, and for how long."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from aejax import _checks
from benchmarks.distances import DISTANCES

__all__ = ["Budget", "Case", "DistancePlan", "plan_distances"]

# n grows at D = 64 and D grows at n = 1024: lines in a figure, exponents in a table.
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
_DIRECTIONS, _MORE_DIRECTIONS, _SWEEP = 50, 1000, (10, 50, 200, 1000)
# Memory is measured for these, each in a process of its own.
_MEMORY_DISTANCES = ("cramer_wold", "mmd_imq", "energy_distance", "sliced_wasserstein")
_MEMORY_SIZES = (1024, 4096, 16384, 65536)


@dataclasses.dataclass(frozen=True)
class Case:
  """One distance at one size: all its implementations are measured together.

  Attributes:
    distance: name of the distance in `DISTANCES`.
    n: number of latents of the global batch.
    d: dimension of the latents.
    slices: number of directions of a sliced distance.
    dtype: dtype of latents and samples.
    devices: number of devices that share the batch.
    kind: kind of its rows in a file of results.
  """

  distance: str
  n: int
  d: int
  slices: int | None = None
  dtype: str = "float32"
  devices: int = 1
  kind: str = "time"

  def fields(self) -> dict[str, Any]:
    """Returns the fields of a row that all rows of this case have."""
    return dataclasses.asdict(self)

  def __str__(self) -> str:
    directions = f", {self.slices} directions" if self.slices else ""
    dtype = "" if self.dtype == "float32" else f", {self.dtype}"
    devices = f", {self.devices} devices" if self.devices > 1 else ""
    return f"{self.distance}  n {self.n}, D {self.d}{directions}{dtype}{devices}"

  def data(self) -> dict[str, np.ndarray]:
    """Returns float32 latents near N(0, I), equal in every run, and what else a distance needs.

    The latents are N(0.2, 0.8² I). Nearer to the prior, cancellation would exceed the precision of
    some libraries' float32; farther away, some terms of a distance would not matter.
    """
    generator = np.random.default_rng(0)
    noise = [generator.standard_normal((self.n, self.d), np.float32) for _ in range(3)]
    directions = generator.standard_normal((self.slices or 1, self.d), np.float32)
    return {
      "latents": 0.8 * noise[0] + np.float32(0.2),
      "log_variance": 0.3 * noise[1] - np.float32(0.5),
      "samples": noise[2],
      "directions": directions / np.linalg.norm(directions, axis=1, keepdims=True),
    }


@dataclasses.dataclass(frozen=True)
class Budget:
  """How long to measure.

  Attributes:
    seconds: seconds to spend on each call.
    cutoff: seconds; a call that takes longer, or should take longer, is left out.
  """

  seconds: float = 0.3
  cutoff: float = 30.0


@dataclasses.dataclass(frozen=True)
class DistancePlan:
  """What a run of the benchmark of distances measures.

  Attributes:
    cases: cases to time, small ones first, because they predict the time of large ones.
    memory: distances whose peak memory is measured.
    memory_sizes: numbers of latents at which memory is measured.
    budget: how long to measure.
    peers: whether to compare with other libraries.
    torch_compile: whether PyTorch functions are also timed with torch.compile.
    quick: whether this is the short version.
  """

  cases: tuple[Case, ...]
  memory: tuple[str, ...]
  memory_sizes: tuple[int, ...]
  budget: Budget
  peers: bool
  torch_compile: bool
  quick: bool

  def settings(self) -> dict[str, bool]:
    """Returns the settings that must be equal for the rows of two runs to be comparable."""
    return {"quick": self.quick, "peers": self.peers, "torch.compile": self.torch_compile}


def plan_distances(
  *,
  distances: Sequence[str] = (),
  sizes: Sequence[str] = (),
  slices: Sequence[int] = (),
  cutoff: float = 30.0,
  devices: int = 1,
  peers: bool = True,
  torch_compile: bool = False,
  quick: bool = False,
) -> DistancePlan:
  """Makes a plan; the default sizes suffice to fit exponents in n, D and the number of directions.

  Args:
    distances: names of distances; all by default.
    sizes: sizes as "n,d".
    slices: numbers of directions.
    cutoff: seconds; a call that takes longer is left out.
    devices: if more than one, each distance is also measured with the batch over these devices.
    peers: whether to compare with other libraries.
    torch_compile: whether PyTorch functions are also timed with torch.compile.
    quick: whether to measure fewer sizes for less time, and no memory.

  Raises:
    ValueError: if an argument is out of range or a name is unknown.
  """
  for name in distances:
    _checks.one_of("distance", name, DISTANCES)
  if not cutoff > 0:
    raise ValueError(f"cutoff must be positive, but is {cutoff:g}.")
  for number in slices:
    _checks.integer("slices", number)
  names = tuple(dict.fromkeys(distances)) or tuple(DISTANCES)
  grid = sorted({_size(text) for text in sizes}) or (_QUICK_SIZES if quick else _SIZES)
  cases = [case for n, d in grid for name in names for case in _cases(name, n, d, slices, quick)]
  if not quick:
    cases += _more_cases(names, _typical_size(grid), slices)
  if devices > 1:
    split = [c for c in cases if c.n % devices == 0 and c.dtype == "float32"]
    cases += [dataclasses.replace(case, devices=devices) for case in split]
  return DistancePlan(
    cases=tuple(dict.fromkeys(cases)),
    memory=() if quick else tuple(name for name in _MEMORY_DISTANCES if name in names),
    memory_sizes=_MEMORY_SIZES,
    budget=Budget(seconds=0.03, cutoff=min(cutoff, 0.5)) if quick else Budget(cutoff=cutoff),
    peers=peers,
    torch_compile=torch_compile,
    quick=quick,
  )


def _cases(name: str, n: int, d: int, slices: Sequence[int], quick: bool) -> list[Case]:
  if not DISTANCES[name].slices:
    return [Case(name, n, d)]
  numbers = slices or (_DIRECTIONS,)
  if name == "sliced_wasserstein" and not slices and not quick:
    numbers = _DIRECTIONS, _MORE_DIRECTIONS
  return [Case(name, n, d, number) for number in sorted(set(numbers))]


def _more_cases(names: Iterable[str], at: tuple[int, int], slices: Sequence[int]) -> Iterator[Case]:
  """Yields cases at one size: more numbers of directions, and latents in half precision."""
  n, d = at
  for name in names:
    sliced = DISTANCES[name].slices
    for number in _SWEEP if sliced and not slices else ():
      yield Case(name, n, d, number)
    yield Case(name, n, d, (slices or [_DIRECTIONS])[0] if sliced else None, dtype="bfloat16")


def _typical_size(grid: Iterable[tuple[int, int]]) -> tuple[int, int]:
  """Returns the largest size with n ≤ 1024, with D = 64 if there is one."""
  return max(grid, key=lambda size: (size[0] <= 1024, size[1] == 64, size))


def _size(text: str) -> tuple[int, int]:
  parts = text.split(",")
  try:
    n, d = map(int, parts)
  except ValueError:
    raise ValueError(f"sizes must be pairs n,d such as 256,64, but one is {text!r}.") from None
  if not 2 <= n < 2**31 or not 1 <= d < 2**31:
    raise ValueError(f"sizes must have n from 2 and d from 1 up, below 2^31, but one is {text!r}.")
  return n, d
