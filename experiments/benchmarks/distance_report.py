"""The results of the benchmark of distances as a page of Markdown tables."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.distance_targets import distance_targets
from benchmarks.distances import DISTANCES
from benchmarks.environment import describe
from benchmarks.measurement import MAX_CONTENTION
from benchmarks.results import (
  LOWER_BOUND,
  OURS,
  Results,
  Row,
  gradient_rows,
  left_out,
  markdown,
  milliseconds,
  ratio,
  section,
  select,
  size,
  targets_section,
  write_page,
)

__all__ = ["growth", "write_distance_report"]

# Exponents in n are fitted from here on: with fewer latents, the overhead of a call matters.
_MIN_LATENTS = 1024

_INTRODUCTION = """\
Times are medians in milliseconds, with quartiles in brackets, of calls that wait for their result.
*Forward* is the value alone; *gradient* is the value and its gradient. Latents are N(0.2, 0.8² I)
in float32 on one device. A CPU computes in the calling thread (`jax_cpu_enable_async_dispatch` is
off), as it does inside a training step.

*Over lower bound* is our time over that of the part that every program needs: the matrix products
Z Zᵀ and W Z for pairs, the projections and a sort by NumPy for sliced distances.

The column of a peer (another library, or published code) is its time over ours, for value and
gradient. Peers get the same data and the same number of threads. Before a peer is timed, its value
and gradient are checked to be a fixed multiple of ours. Peers that compare with samples of the
prior are also compared with our form to N(0, I), which needs no samples and serves the same
purpose.
"""
_GROWTH = """\
Exponents of the time of value and gradient, fitted to the medians by least squares in logarithms:
in n from 1024 latents on at D = 64, in D at n = 1024, in the number of directions at n = 1024 and
D = 64.
"""
_CONTENTION = """\
Share of the CPU that other processes used while these were timed, in the best of three attempts.
Code whose threads wait for each other, such as PyTorch's, suffers most.
"""
_MEMORY = "Peak during value and gradient, beyond the inputs."


def write_distance_report(
  results: Results, path: Path, absent: Mapping[str, str], figures: Sequence[Path]
) -> Path:
  """Writes the page.

  Args:
    results: results of a run, finished or not.
    path: path of the page.
    absent: peers that could not be compared, and why.
    figures: figures in the folder of the page.

  Returns:
    The path of the page.
  """
  rows = results.rows
  names = [name for name in DISTANCES if select(rows, distance=name)]
  sections = [
    "# What the distances cost",
    describe(results.environment),
    _INTRODUCTION,
    *(f"![{figure.stem.replace('_', ' ')}]({figure.name})" for figure in figures),
    *(section(f"`{name}`: {DISTANCES[name].cost}", _times_table(rows, name)) for name in names),
    section("Growth", _growth_table(rows, names), _GROWTH),
    section("Memory", _memory_table(rows), _MEMORY),
    section("Latents in half precision", _variants_table(rows, "dtype", "float32")),
    section("Several devices", _variants_table(rows, "devices", 1)),
    section("Contention", _contention_list(rows), _CONTENTION),
    section("Not measured", left_out(rows, absent, _describe)),
    targets_section(distance_targets(rows)),
  ]
  return write_page(path, sections)


def growth(rows: Iterable[Row], axis: str) -> float | None:
  """Returns the exponent of the median time in the field `axis`; None for fewer than two sizes."""
  points = sorted({row[axis]: row["median"] for row in rows}.items())
  if len(points) < 2:
    return None
  sizes, medians = np.log(np.array(points)).T
  return float(np.polyfit(sizes, medians, 1)[0])


def _times_table(rows: list[Row], name: str) -> str:
  """Returns the table of a distance: one line for each size and form of ours."""
  timed = select(rows, kind="time", distance=name, status="measured", dtype="float32", devices=1)
  sliced = DISTANCES[name].slices
  peers = list(dict.fromkeys(row["contestant"] for row in timed if row.get("rivals")))
  has_bound = bool(select(timed, contestant=LOWER_BOUND))
  columns = ["forward", "gradient", "compiles in"]
  columns += [*(["over lower bound"] if has_bound else []), *peers]
  lines = []
  for row in sorted(
    select(timed, contestant=OURS, mode="gradient"),
    key=lambda r: (r["d"], r["n"], r["slices"] or 0),
  ):
    here = select(timed, **{field: row[field] for field in ("n", "d", "slices")})
    forward = select(here, contestant=OURS, form=row["form"], mode="forward")
    line = [str(row["n"]), str(row["d"]), *([str(row["slices"])] if sliced else []), row["form"]]
    line += [_with_quartiles(forward[0]), _with_quartiles(row), f"{row['compile_seconds']:.1f} s"]
    gradients = select(here, mode="gradient")
    if has_bound:
      bounds = select(gradients, contestant=LOWER_BOUND, form=row["form"])
      line.append(ratio(row["median"] / bounds[0]["median"]) if bounds else "")
    for peer in peers:
      found = [r for r in select(gradients, contestant=peer) if row["form"] in r["rivals"]]
      line.append(ratio(found[0]["median"] / row["median"]) if found else "–")
    lines.append(line)
  header = ["n", "D", *(["directions"] if sliced else []), "to", *columns]
  return markdown(header, lines) if lines else ""


def _with_quartiles(row: Row) -> str:
  lower, upper = milliseconds(row["lower"]), milliseconds(row["upper"])
  return f"{milliseconds(row['median'])} [{lower}, {upper}]"


def _growth_table(rows: list[Row], names: Iterable[str]) -> str:
  lines = []
  for name in names:
    gradients = select(gradient_rows(rows, name), contestant=OURS)
    for form in DISTANCES[name].forms:
      ours = select(gradients, form=form)
      # Exponents in n and D use one number of directions, which is measured at every size.
      fewest = min((row["slices"] or 0 for row in ours if row["n"] != 1024), default=0)
      usual = [row for row in ours if (row["slices"] or 0) == fewest]
      in_n = [row for row in usual if row["d"] == 64 and row["n"] >= _MIN_LATENTS]
      in_d = [row for row in usual if row["n"] == 1024]
      in_directions = [row for row in ours if (row["n"], row["d"]) == (1024, 64) and row["slices"]]
      found = [growth(in_n, "n"), growth(in_d, "d"), growth(in_directions, "slices")]
      if any(f is not None for f in found):
        numbers = ["" if f is None else f"{f:.2f}" for f in found]
        lines.append([f"`{name}`", form, DISTANCES[name].cost, *numbers])
  header = ["distance", "to", "theory", "in n", "in D", "in directions"]
  return markdown(header, lines) if lines else ""


def _memory_table(rows: list[Row]) -> str:
  found = select(rows, kind="memory", status="measured")
  sizes = sorted({row["n"] for row in found})
  lines = []
  for key in dict.fromkeys((row["distance"], row["contestant"]) for row in found):
    peaks = {row["n"]: row["bytes"] for row in found if (row["distance"], row["contestant"]) == key}
    lines.append([f"`{key[0]}`", key[1], *(size(peaks[n]) if n in peaks else "–" for n in sizes)])
  matrix = ["one n × n matrix", "", *(size(4 * n * n) for n in sizes)]
  header = ["distance", "by", *(f"n = {n:,}" for n in sizes)]
  return markdown(header, [*lines, matrix]) if lines else ""


def _variants_table(rows: list[Row], field: str, usual: str | int) -> str:
  """Returns a table of rows that differ in one field from the usual ones, next to these."""
  timed = select(rows, kind="time", contestant=OURS, mode="gradient", status="measured")
  lines = []
  for row in timed:
    if row[field] == usual:
      continue
    same = {k: row[k] for k in ("distance", "form", "n", "d", "slices", "dtype", "devices")}
    base = select(timed, **{**same, field: usual})
    times = [milliseconds(row["median"]), milliseconds(base[0]["median"]) if base else ""]
    factor = ratio(row["median"] / base[0]["median"]) if base else ""
    sizes = [str(row["n"]), str(row["d"]), str(row["slices"] or ""), str(row[field])]
    lines.append([f"`{row['distance']}`", row["form"], *sizes, *times, factor])
  header = ["distance", "to", "n", "D", "directions", field, "gradient", f"with {usual}", "factor"]
  return markdown(header, lines) if lines else ""


def _contention_list(rows: list[Row]) -> str:
  shares: dict[str, float] = {}
  for row in select(rows, kind="time", status="measured"):
    if (row.get("others") or 0) > MAX_CONTENTION:
      shares[_describe_case(row)] = row["others"]
  return "\n".join(f"- {case}: {share:.0%}" for case, share in shares.items())


def _describe(row: Row) -> str:
  what = "memory of " if row["kind"] == "memory" else ""
  return f"{what}{_describe_case(row)}, {row['contestant']} ({row['form']})"


def _describe_case(row: Row) -> str:
  directions = f", {row['slices']} directions" if row.get("slices") else ""
  return f"`{row['distance']}`, n = {row['n']}, D = {row['d']}{directions}"
