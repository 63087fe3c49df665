"""Writes the results of distances as a Markdown page."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from aejax._files import replacing
from benchmarks.cells import MAX_CONTENTION
from benchmarks.distances import DISTANCES
from benchmarks.environment import describe
from benchmarks.implementations import LOWER_BOUND, OURS
from benchmarks.results import Results, Row, markdown, milliseconds, ratio, select, size
from benchmarks.targets import targets

__all__ = ["growth", "write_report"]

# Exponents are fitted from this n on; the overhead of a call dominates for fewer latents.
_MIN_FITTED = 1024

_INTRODUCTION = """\
Times are medians in milliseconds, with quartiles in brackets. Each call waits for its result.
*Forward* computes the value, *gradient* the value and its gradient. Latents are N(0.2, 0.8² I) in
float32 on one device. A CPU computes in the calling thread (`jax_cpu_enable_async_dispatch` is
off), as it does within a training step.

*Over lower bound* is our time divided by the time of the part that every implementation needs. For
pairs this part is the matrix products Z Zᵀ and W Z; for directions it is the projections and a sort
by numpy.

The column of a peer is its time for value and gradient divided by ours. It has the same data and
number of threads. Before it is timed, its value and gradient are checked to be a fixed multiple of
ours. A peer that needs samples of the prior is also compared with our form to N(0, I), which needs
no samples and has the same purpose.
"""
_GROWTH = """\
The exponents are fitted to the medians of value and gradient by least squares in logarithms: in n
from 1024 latents at D = 64, in D at n = 1024, and in the number of directions at n = 1024, D = 64.
"""
_CONTENTION = """\
Other processes used this share of the machine during the best of three attempts. Contention slows
implementations whose threads wait for each other most, such as PyTorch.
"""


def write_report(
  results: Results, path: Path, absent: Mapping[str, str], figures: Sequence[Path]
) -> Path:
  """Writes the page.

  Args:
    results: results of a finished or unfinished run.
    path: path of the page.
    absent: reasons by name of the peers that cannot run.
    figures: plots to show, in the folder of the page.
  """
  rows = results.rows
  names = [name for name in DISTANCES if select(rows, distance=name)]
  sections = [
    "# The cost of distances",
    describe(results.environment),
    _INTRODUCTION,
    *(f"![{figure.stem.replace('_', ' ')}]({figure.name})" for figure in figures),
    _titled("Targets", _targets(rows)),
    *(_titled(f"`{name}`: {DISTANCES[name].cost}", _distance_table(rows, name)) for name in names),
    _titled("Growth", _growth(rows, names), _GROWTH),
    _titled("Memory", _memory(rows), "Peak memory of value and gradient, without the inputs."),
    _titled("Latents in half precision", _variants(rows, "dtype", "float32")),
    _titled("Several devices", _variants(rows, "devices", 1)),
    _titled("Contention", _contention(rows), _CONTENTION),
    _titled("Not measured", _left_out(rows, absent)),
  ]
  with replacing(path) as temporary:
    page = "\n\n".join(section.strip() for section in sections if section)
    temporary.write_text(page + "\n", encoding="utf-8")
  return path


def growth(rows: Iterable[Row], axis: str) -> float | None:
  """Returns the exponent of the median in the field `axis`, or None with one size."""
  points = sorted({row[axis]: row["median"] for row in rows}.items())
  if len(points) < 2:
    return None
  sizes, medians = np.log(np.array(points)).T
  return float(np.polyfit(sizes, medians, 1)[0])


def _titled(title: str, body: str, before: str = "") -> str:
  return "\n\n".join(filter(None, [f"## {title}", before.strip(), body])) if body else ""


def _targets(rows: list[Row]) -> str:
  lines = [[t.wanted, t.measured, "yes" if t.met else "**no**"] for t in targets(rows)]
  return markdown(["target", "measured", "met"], lines) if lines else ""


def _distance_table(rows: list[Row], name: str) -> str:
  here = _timed(rows, name)
  sliced = DISTANCES[name].slices
  peers = list(dict.fromkeys(row["contestant"] for row in here if row.get("rivals")))
  has_bound = bool(select(here, contestant=LOWER_BOUND))
  columns = [
    "forward",
    "gradient",
    "compiles in",
    *(["over lower bound"] if has_bound else []),
    *peers,
  ]
  lines = []
  for row in sorted(
    select(here, contestant=OURS, mode="gradient"), key=lambda r: (r["d"], r["n"], r["slices"] or 0)
  ):
    size_fields = {field: row[field] for field in ("n", "d", "slices")}
    same_size = select(here, **size_fields)
    forward = select(same_size, contestant=OURS, form=row["form"], mode="forward")
    line = [str(row["n"]), str(row["d"]), *([str(row["slices"])] if sliced else []), row["form"]]
    line += [_with_quartiles(forward[0]), _with_quartiles(row), f"{row['compile_seconds']:.1f} s"]
    gradients = select(same_size, mode="gradient")
    if has_bound:
      bounds = select(gradients, contestant=LOWER_BOUND, form=row["form"])
      line.append(ratio(row["median"] / bounds[0]["median"]) if bounds else "")
    for peer in peers:
      rivals = [r for r in select(gradients, contestant=peer) if row["form"] in r["rivals"]]
      line.append(ratio(rivals[0]["median"] / row["median"]) if rivals else "–")
    lines.append(line)
  header = ["n", "D", *(["slices"] if sliced else []), "to", *columns]
  return markdown(header, lines) if lines else ""


def _with_quartiles(row: Row) -> str:
  lower, upper = milliseconds(row["lower"]), milliseconds(row["upper"])
  return f"{milliseconds(row['median'])} [{lower}, {upper}]"


def _growth(rows: list[Row], names: Iterable[str]) -> str:
  lines = []
  for name in names:
    gradients = select(_timed(rows, name), contestant=OURS, mode="gradient")
    for form in DISTANCES[name].forms:
      ours = select(gradients, form=form)
      fewest = min((row["slices"] or 0 for row in ours if row["n"] != 1024), default=0)
      usual = [row for row in ours if (row["slices"] or 0) == fewest]
      in_n = [row for row in usual if row["d"] == 64 and row["n"] >= _MIN_FITTED]
      in_d = [row for row in usual if row["n"] == 1024]
      in_slices = [row for row in ours if (row["n"], row["d"]) == (1024, 64) and row["slices"]]
      found = [growth(in_n, "n"), growth(in_d, "d"), growth(in_slices, "slices")]
      if any(f is not None for f in found):
        numbers = ["" if f is None else f"{f:.2f}" for f in found]
        lines.append([f"`{name}`", form, DISTANCES[name].cost, *numbers])
  return markdown(["distance", "to", "theory", "in n", "in D", "in slices"], lines) if lines else ""


def _memory(rows: list[Row]) -> str:
  found = select(rows, kind="memory", status="measured")
  sizes = sorted({row["n"] for row in found})
  lines = []
  for key in dict.fromkeys((row["distance"], row["contestant"]) for row in found):
    peaks = {row["n"]: row["bytes"] for row in found if (row["distance"], row["contestant"]) == key}
    lines.append([f"`{key[0]}`", key[1], *(size(peaks[n]) if n in peaks else "–" for n in sizes)])
  matrix = ["one n × n matrix", "", *(size(4 * n * n) for n in sizes)]
  header = ["distance", "by", *(f"n = {n:,}" for n in sizes)]
  return markdown(header, [*lines, matrix]) if lines else ""


def _variants(rows: list[Row], field: str, usual: str | int) -> str:
  """Returns a table of rows with an unusual value of a field, next to the usual ones."""
  timed = select(rows, kind="time", contestant=OURS, mode="gradient", status="measured")
  lines = []
  for row in timed:
    if row[field] == usual:
      continue
    same = {k: row[k] for k in ("distance", "form", "n", "d", "slices", "dtype", "devices")}
    base = select(timed, **{**same, field: usual})
    times = [milliseconds(row["median"]), milliseconds(base[0]["median"]) if base else ""]
    factor = ratio(row["median"] / base[0]["median"]) if base else ""
    fields = [str(row["n"]), str(row["d"]), str(row["slices"] or ""), str(row[field])]
    lines.append([f"`{row['distance']}`", row["form"], *fields, *times, factor])
  header = ["distance", "to", "n", "D", "slices", field, "gradient", f"with {usual}", "factor"]
  return markdown(header, lines) if lines else ""


def _contention(rows: list[Row]) -> str:
  shares: dict[str, float] = {}
  for row in select(rows, kind="time", status="measured"):
    if (row.get("others") or 0) > MAX_CONTENTION:
      shares[_place(row)] = row["others"]
  return "\n".join(f"- {place}: {share:.0%}" for place, share in shares.items())


def _place(row: Row) -> str:
  slices = f", {row['slices']} slices" if row.get("slices") else ""
  return f"`{row['distance']}`, n = {row['n']}, D = {row['d']}{slices}"


def _left_out(rows: list[Row], absent: Mapping[str, str]) -> str:
  lines = [f"- {name}: {reason}." for name, reason in sorted(absent.items())]
  for row in rows:
    if row.get("status") in ("skipped", "disagrees"):
      what = "memory of " if row["kind"] == "memory" else ""
      status = "disagrees with ours: " if row["status"] == "disagrees" else ""
      who = f"{row['contestant']} ({row['form']})"
      lines.append(f"- {what}{_place(row)}, {who}: {status}{row['reason']}.")
  return "\n".join(dict.fromkeys(lines))


def _timed(rows: list[Row], name: str) -> list[Row]:
  fields = {"kind": "time", "distance": name, "status": "measured"}
  return select(rows, **fields, dtype="float32", devices=1)
