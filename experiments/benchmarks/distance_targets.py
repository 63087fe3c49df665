"""The library's targets for distances, next to what was measured."""

from collections.abc import Iterable, Iterator

from benchmarks.distances import NORMAL
from benchmarks.results import LOWER_BOUND, OURS, Row, Target, gradient_rows, ratio, select, size

__all__ = ["distance_targets"]

_PAIRWISE = ("cramer_wold", "sigreg", "mmd_imq", "mmd_gaussian", "energy_distance")
_TORCH_SLICED = ("gmum", "POT")
_GIBIBYTE = 2**30


def distance_targets(rows: list[Row]) -> list[Target]:
  """Returns the targets for which the rows hold a measurement."""
  found = [*_against_peers(rows), *_against_lower_bounds(rows), *_sliced(rows)]
  return [target for target in [*found, *_memory(rows), *_flops(rows)] if target.met is not None]


def _against_peers(rows: list[Row]) -> Iterator[Target]:
  for name in _PAIRWISE:
    if name == "sigreg":
      yield _at_least("sigreg", 200, rows, 256, ["lejepa"])
      continue
    factors = (10, 100) if name == "mmd_imq" else (3, 30)
    for n, factor in zip((256, 8192), factors, strict=True):
      yield _at_least(name, factor, rows, n)


def _sliced(rows: list[Row]) -> Iterator[Target]:
  name, sizes = (
    "sliced_wasserstein",
    {row["n"] for row in gradient_rows(rows, "sliced_wasserstein")},
  )
  found = {n: _speed_up(rows, name, n, ["ott-jax"], 50) for n in sorted(sizes)}
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
  found = _speed_up(rows, name, n, peers, slices)
  if not found:
    return Target(wanted)
  return Target(wanted, f"{ratio(found[0])} ({found[1]})", found[0] >= factor)


def _speed_up(
  rows: list[Row], name: str, n: int, peers: Iterable[str] | None, slices: int | None
) -> tuple[float, str] | None:
  """Returns our speed to N(0, I) over that of the fastest peer, and the peer's name."""
  gradients = select(gradient_rows(rows, name, slices), n=n)
  # The target is for D = 64. If that size was not measured, use what was.
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


def _against_lower_bounds(rows: list[Row]) -> Iterator[Target]:
  for name in (*_PAIRWISE, "kernel_stein"):
    found = {}
    for bound in select(gradient_rows(rows, name), contestant=LOWER_BOUND):
      same = {"n": bound["n"], "d": bound["d"]}
      for row in select(gradient_rows(rows, name), contestant=OURS, form=NORMAL, **same):
        if bound["d"] >= 64:
          found[row["n"], row["d"]] = row["median"] / bound["median"]
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
