"""The speeds in the pages are those that the benchmarks printed."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DISTANCES = json.loads((ROOT / "results/distances/results.json").read_text())["rows"]
STEPS = json.loads((ROOT / "results/training/results.json").read_text())["rows"]
KEYS = {"`mmd`, IMQ": "mmd_imq", "`mmd`, Gaussian": "mmd_gaussian"}


def _rows(page, first):
  """Returns the cells of the rows of the table whose first line starts like this."""
  text = (ROOT / page).read_text(encoding="utf-8")
  lines = text[text.index(first) :].split("\n\n")[0].splitlines()[2:]
  return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def _name(cell):
  """Returns the name of a distance in the results, from the first cell of a row."""
  cell = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", cell).split(" (")[0]
  return KEYS.get(cell, cell.strip("`").split("`")[0])


def _times(distance, n):
  """Returns the seconds of value and gradient to the closest form of each contestant."""
  form = "samples" if distance == "sinkhorn_divergence" else "N(0, I)"
  found = {}
  for row in DISTANCES:
    if (
      (row["kind"], row["distance"], row["n"], row["d"]) == ("time", distance, n, 64)
      and (row["dtype"], row["devices"], row.get("mode")) == ("float32", 1, "gradient")
      and row["slices"] in (None, 50)
      and (row["contestant"] != "aejax" or row["form"] == form)
    ):
      seconds = min(row["median"], found.get(row["contestant"], 1e9))
      found[row["contestant"]] = seconds
  return found


def _assert_shown(shown, value):
  """Checks that a number is a value rounded to the digits shown."""
  shown = re.sub(r"[*, ms×]", "", shown)
  digits = len(shown.split(".")[1]) if "." in shown else 0
  # The medians have five digits.
  assert abs(float(shown) - value) <= 0.5 * 10**-digits + 1e-4 * value, (shown, value)


def test_speed_of_distances_in_the_readme():
  rows = _rows("README.md", "| | n = 256 |")
  assert len(rows) > 6
  for name, *cells in rows:
    for n, (time, factor) in {256: cells[:2], 8192: cells[2:]}.items():
      times = _times(_name(name), n)
      ours = times.pop("aejax")
      times.pop("floor", None)
      _assert_shown(time, 1e3 * ours)
      fastest = min(times, key=times.__getitem__)
      assert f"({fastest})" in factor, (name, n, times)
      _assert_shown(factor.split("×")[0], times[fastest] / ours)
      assert ("**" in factor) == (times[fastest] / ours < 0.995)


def test_speed_of_steps_in_the_readme():
  for network, ours, *factors in _rows("README.md", "| training step of a CWAE"):
    medians = {
      row["contestant"]: row["median"]
      for row in STEPS
      if (row["kind"], row.get("method"), row.get("network")) == ("step", "cwae", network.lower())
      and row["status"] == "measured"
    }
    _assert_shown(ours, 1e3 * medians["aejax"])
    for peer, factor in zip(("PyTorch, eager", "torch.compile"), factors, strict=True):
      if factor:
        _assert_shown(factor, medians[peer] / medians["aejax"])
      else:
        assert peer not in medians


def test_cost_in_the_table_of_distances():
  rows = _rows("docs/distances.md", "| distance | closed form to |")
  assert len(rows) == 14
  for name, _, _, _, time, *_ in rows:
    _assert_shown(time, 1e3 * _times(_name(name), 4096)["aejax"])


def test_cost_in_the_pages_of_distances():
  for path in (ROOT / "docs/distances").glob("*.md"):
    (line,) = re.findall(r"^\| cost \| (.*) \|$", path.read_text(encoding="utf-8"), re.MULTILINE)
    name = "mmd_imq" if path.stem == "mmd" else path.stem
    at_1024, at_4096 = re.findall(r"([\d.,]+) ms at n = (?:1024|4096)", line)[:2]
    _assert_shown(at_1024, 1e3 * _times(name, 1024)["aejax"])
    _assert_shown(at_4096, 1e3 * _times(name, 4096)["aejax"])


@pytest.mark.parametrize("n", [256, 8192])
def test_speed_of_other_libraries(n):
  for library, name, *factors in _rows("docs/comparison.md", "| library | function |"):
    shown = factors[n == 8192]
    times = _times(_name(name.split(", 50")[0]), n)
    if shown == "–":
      assert library not in times
    else:
      _assert_shown(shown, times[library] / times["aejax"])


def test_results_of_table_1_in_the_evaluation():
  table = (ROOT / "results/table1-fashion_mnist/table.md").read_text(encoding="utf-8")
  for method, *cells in _rows("docs/evaluation.md", "| method | reconstruction error |"):
    row = next(line for line in table.splitlines() if line.startswith(f"| {method} |"))
    assert all(f"| {cell} |" in row for cell in cells)


def test_cost_by_size():
  rows = _rows("docs/cost.md", "| distance | to | n = 256 |")
  assert len(rows) == 19
  for name, form, *shown in rows:
    if form == "N(0, I)" or name == "`sinkhorn_divergence`":
      for n, time in zip((256, 1024, 2048, 4096, 8192), shown, strict=True):
        _assert_shown(time, 1e3 * _times(_name(name), n)["aejax"])
