"""What the library promises of its distances, beside what was measured."""

import dataclasses
from collections.abc import Iterable, Iterator

from benchmarks.distances import NORMAL
from benchmarks.implementations import LOWER_BOUND, OURS
from benchmarks.results import Row, ratio, select, size

__all__ = ["Target", "targets"]

_PAIRWISE = ("cramer_wold", "sigreg", "mmd_imq", "mmd_gaussian", "energy_distance")
_TORCH_SLICED = ("gmum", "POT")
_GIBIBYTE = 2**30


@dataclasses.dataclass(frozen=True)
class Target:
  """One promise.

  Attributes:
    wanted: in words.
    measured: in words; empty where it was not.
    met: None where it was not measured.
  """

  wanted: str
  measured: str = ""
  met: bool | None = None


def targets(rows: list[Row]) -> list[Target]:
  """All promises that the rows have anything to say about."""
  found = [*_beside_peers(rows), *_beside_floors(rows), *_slices(rows)]
  return [target for target in [*found, *_memory(rows), *_flops(rows)] if target.met is not None]


def _beside_peers(rows: list[Row]) -> Iterator[Target]:
  for name in _PAIRWISE:
    if name == "sigreg":
      yield _at_least("sigreg", 200, rows, 256, ["lejepa"])
      continue
    factors = (10, 100) if name == "mmd_imq" else (3, 30)
    for n, factor in zip((256, 8192), factors, strict=True):
      yield _at_least(name, factor, rows, n)


def _slices(rows: list[Row]) -> Iterator[Target]:
  name, sizes = "sliced_wasserstein", {row["n"] for row in _gradients(rows, "sliced_wasserstein")}
  found = {n: _times_as_fast(rows, name, n, ["ott-jax"], 50) for n in sorted(sizes)}
  ratios = {n: each[0] for n, each in found.items() if each}
  wanted = f"`{name}`, at every n: at least 10× as fast as ott-jax"
  if ratios:
    worst = min(ratios, key=ratios.__getitem__)
    yield Target(wanted, f"{ratio(ratios[worst])} at n = {worst}", ratios[worst] >= 10)
  for n, factor in ((256, 3), (1024, 1.5), (8192, 1.5)):
    yield _at_least(name, factor, rows, n, _TORCH_SLICED, 50)


def _at_least(
  name: str,
  factor: float,
  rows: list[Row],
  n: int,
  peers: Iterable[str] | None = None,
  slices: int | None = None,
) -> Target:
  who = "the fastest peer" if peers is None else " or ".join(peers)
  wanted = f"`{name}`, n = {n}: at least {factor:g}× as fast as {who}"
  found = _times_as_fast(rows, name, n, peers, slices)
  if not found:
    return Target(wanted)
  return Target(wanted, f"{ratio(found[0])} ({found[1]})", found[0] >= factor)


def _times_as_fast(
  rows: list[Row], name: str, n: int, peers: Iterable[str] | None, slices: int | None
) -> tuple[float, str] | None:
  """How many times as fast ours to N(0, I) is as the fastest peer, or of some, and which it is."""
  gradients = select(_gradients(rows, name, slices), n=n)
  # At D = 64, or where there is no such size, at the one there is.
  here = select(gradients, d=64) or gradients
  of_ours = select(here, contestant=OURS, form=NORMAL)
  of_peers = [
    row
    for row in here
    if NORMAL in row.get("rivals", []) and (peers is None or row["contestant"] in peers)
  ]
  if not of_ours or not of_peers:
    return None
  fastest = min(of_peers, key=lambda row: row["median"])
  return fastest["median"] / of_ours[0]["median"], fastest["contestant"]


def _beside_floors(rows: list[Row]) -> Iterator[Target]:
  for name in (*_PAIRWISE, "kernel_stein"):
    found = {}
    for floor in select(_gradients(rows, name), contestant=LOWER_BOUND):
      place = {"n": floor["n"], "d": floor["d"]}
      for row in select(_gradients(rows, name), contestant=OURS, form=NORMAL, **place):
        if floor["d"] >= 64:
          found[row["n"], row["d"]] = row["median"] / floor["median"]
    if found:
      n, d = max(found, key=found.__getitem__)
      wanted = f"`{name}`, from D = 64 on: at most 3× its two matrix products"
      yield Target(wanted, f"{ratio(found[n, d])} at n = {n}, D = {d}", found[n, d] <= 3)


def _memory(rows: list[Row]) -> Iterator[Target]:
  for row in select(rows, kind="memory", contestant=OURS, n=65536, status="measured"):
    wanted = f"`{row['distance']}`, n = 65,536, D = 64: peak memory under 1 GiB"
    yield Target(wanted, size(row["bytes"]), row["bytes"] < _GIBIBYTE)


def _flops(rows: list[Row]) -> Iterator[Target]:
  for row in select(rows, kind="flops"):
    devices = row["devices"]
    share = row["flops"] / row["flops_of_one_device"]
    wanted = f"`{row['distance']}`, {devices} devices: operations of each at most 1.15/{devices}"
    yield Target(wanted, f"{share * devices:.2f}/{devices}", share * devices <= 1.15)


def _gradients(rows: list[Row], name: str, slices: int | None = None) -> list[Row]:
  fields = {"kind": "time", "distance": name, "mode": "gradient", "status": "measured"}
  found = select(rows, **fields, dtype="float32", devices=1)
  return [row for row in found if slices is None or row["slices"] == slices]
