"""The results as a page of Markdown tables."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from aejax._files import replacing
from benchmarks.cells import DISTURBANCE
from benchmarks.contestants import FLOOR, OURS
from benchmarks.distances import DISTANCES
from benchmarks.environment import describe
from benchmarks.results import Results, Row, markdown, milliseconds, ratio, select, size
from benchmarks.targets import targets

__all__ = ["growth", "write_report"]

# With fewer latents the overhead of a call bends the line.
_ASYMPTOTIC = 1024

_INTRODUCTION = """\
Times are medians in milliseconds, quartiles in brackets, of a call that waits for its result.
*Forward* is the value alone, *gradient* the value and its gradient. Latents are N(0.2, 0.8² I),
float32, on one device. A CPU computes in the calling thread (`jax_cpu_enable_async_dispatch` is
off), as it does within a training step.

*Of floor*: how many times as long ours takes as the part that no program can do without. For pairs
these are the matrix products Z Zᵀ and W Z, for slices the projections and a sort by numpy.

Under a peer's name stands how many times as long it takes as ours, value and gradient both. It has
the same data and as many threads. Before it was timed, its value and gradient were found to be a
fixed multiple of ours. Peers that compare with samples of the prior stand beside our form to
N(0, I) too, which needs none: it serves the same end.
"""
_GROWTH = """\
The exponents with which value and gradient grow, fitted to the medians (least squares in
logarithms): in n from 1024 latents up at D = 64, in D at n = 1024, in the number of slices there.
"""
_DISTURBED = """\
While these were timed, other processes took this share of the machine, at the best of three
attempts. What has threads that wait for each other suffers the most, as PyTorch does.
"""


def write_report(
  results: Results, path: Path, absent: Mapping[str, str], figures: Sequence[Path]
) -> Path:
  """Writes the page.

  Args:
    results: of a run, finished or not.
    path: of the page.
    absent: peers that could not be compared, and why.
    figures: to show, beside the page.
  """
  rows = results.rows
  names = [name for name in DISTANCES if select(rows, distance=name)]
  sections = [
    "# What the distances cost",
    describe(results.environment),
    _INTRODUCTION,
    *(f"![{figure.stem.replace('_', ' ')}]({figure.name})" for figure in figures),
    _titled("Targets", _targets(rows)),
    *(_titled(f"`{name}`: {DISTANCES[name].cost}", _distance(rows, name)) for name in names),
    _titled("Growth", _growth(rows, names), _GROWTH),
    _titled("Memory", _memory(rows), "Peak during value and gradient, beyond the inputs."),
    _titled("Latents in half precision", _variants(rows, "dtype", "float32")),
    _titled("Several devices", _variants(rows, "devices", 1)),
    _titled("Disturbed", _disturbed(rows), _DISTURBED),
    _titled("Not measured", _left_out(rows, absent)),
  ]
  with replacing(path) as temporary:
    page = "\n\n".join(section.strip() for section in sections if section)
    temporary.write_text(page + "\n", encoding="utf-8")
  return path


def growth(rows: Iterable[Row], axis: str) -> float | None:
  """The exponent of the median in the field `axis`, or None of fewer than two sizes."""
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


def _distance(rows: list[Row], name: str) -> str:
  here = _timed(rows, name)
  sliced = DISTANCES[name].slices
  peers = list(dict.fromkeys(row["contestant"] for row in here if row.get("rivals")))
  has_floor = bool(select(here, contestant=FLOOR))
  columns = ["forward", "gradient", "compiles in", *(["of floor"] if has_floor else []), *peers]
  lines = []
  for row in sorted(
    select(here, contestant=OURS, mode="gradient"), key=lambda r: (r["d"], r["n"], r["slices"] or 0)
  ):
    place = {field: row[field] for field in ("n", "d", "slices")}
    at = select(here, **place)
    forward = select(at, contestant=OURS, form=row["form"], mode="forward")
    line = [str(row["n"]), str(row["d"]), *([str(row["slices"])] if sliced else []), row["form"]]
    line += [_with_quartiles(forward[0]), _with_quartiles(row), f"{row['compile_seconds']:.1f} s"]
    gradients = select(at, mode="gradient")
    if has_floor:
      floors = select(gradients, contestant=FLOOR, form=row["form"])
      line.append(ratio(row["median"] / floors[0]["median"]) if floors else "")
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
      in_n = [row for row in usual if row["d"] == 64 and row["n"] >= _ASYMPTOTIC]
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
  """Rows that differ from the usual in one field, beside those that do not."""
  timed = select(rows, kind="time", contestant=OURS, mode="gradient", status="measured")
  lines = []
  for row in timed:
    if row[field] == usual:
      continue
    same = {k: row[k] for k in ("distance", "form", "n", "d", "slices", "dtype", "devices")}
    base = select(timed, **{**same, field: usual})
    times = [milliseconds(row["median"]), milliseconds(base[0]["median"]) if base else ""]
    factor = ratio(row["median"] / base[0]["median"]) if base else ""
    place = [str(row["n"]), str(row["d"]), str(row["slices"] or ""), str(row[field])]
    lines.append([f"`{row['distance']}`", row["form"], *place, *times, factor])
  header = ["distance", "to", "n", "D", "slices", field, "gradient", f"with {usual}", "factor"]
  return markdown(header, lines) if lines else ""


def _disturbed(rows: list[Row]) -> str:
  shares: dict[str, float] = {}
  for row in select(rows, kind="time", status="measured"):
    if (row.get("others") or 0) > DISTURBANCE:
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
