"""Targets, tables and figures, from made-up and from committed rows."""

import itertools
import json
from pathlib import Path

import pytest
from benchmarks.distance_figures import _MIN_GAP, _spread, draw_figures
from benchmarks.distance_report import growth, write_distance_report
from benchmarks.distance_targets import distance_targets
from benchmarks.distances import NORMAL, SAMPLES
from benchmarks.results import LOWER_BOUND, OURS, Results
from PIL import Image

pytestmark = pytest.mark.bench

COMMITTED = Path(__file__).parents[3] / "results" / "distances"


def row(distance, implementation, n, median, d=64, form=NORMAL, mode="gradient", **fields):
  usual = {"slices": None, "dtype": "float32", "devices": 1, "kind": "time", "status": "measured"}
  named = {"distance": distance, "contestant": implementation, "n": n, "d": d, "form": form}
  timing = {"mode": mode, "median": median, "lower": 0.9 * median, "upper": 1.1 * median}
  compiled = {"compile_seconds": 0.5} if implementation == OURS else {}
  return {**usual, **named, **timing, **compiled, **fields}


def both(*arguments, **fields):
  return [row(*arguments, mode=mode, **fields) for mode in ("forward", "gradient")]


def peer(distance, name, n, median, **fields):
  return row(distance, name, n, median, form=SAMPLES, rivals=[NORMAL, SAMPLES], **fields)


def found(rows):
  return {target.wanted: (target.measured, target.met) for target in distance_targets(rows)}


def test_targets_need_measurements():
  assert distance_targets([]) == []
  assert distance_targets([row("energy_distance", OURS, 256, 1.0)]) == []


@pytest.mark.parametrize(("ours", "words", "met"), [(1.0, "3.00×", True), (1.1, "2.73×", False)])
def test_targets_compare_with_the_fastest_peer(ours, words, met):
  rows = [
    row("energy_distance", OURS, 256, ours),
    peer("energy_distance", "geomloss", 256, 3.0),
    peer("energy_distance", "slow", 256, 9.0),
    # None of these counts: another mode, size, status, form or dtype.
    peer("energy_distance", "other", 256, 0.1, mode="forward"),
    peer("energy_distance", "other", 256, 0.1, d=8),
    peer("energy_distance", "other", 256, 0.1, status="disagrees"),
    {**peer("energy_distance", "other", 256, 0.1), "rivals": [SAMPLES]},
    row("energy_distance", OURS, 256, 0.1, form=SAMPLES),
    row("energy_distance", OURS, 256, 0.1, dtype="bfloat16"),
  ]
  wanted = "`energy_distance`, n = 256: at least 3× as fast as the fastest peer"
  assert found(rows) == {wanted: (f"{words} (geomloss)", met)}


def test_targets_of_other_kinds():
  sliced = [
    row("sliced_wasserstein", OURS, 1024, 1.0, slices=50),
    peer("sliced_wasserstein", "ott-jax", 1024, 9.0, slices=50),
    peer("sliced_wasserstein", "gmum", 1024, 1.6, slices=50),
    peer("sliced_wasserstein", "POT", 1024, 0.1, slices=1000),
  ]
  bounds = [row("kernel_stein", OURS, 512, 3.1), row("kernel_stein", LOWER_BOUND, 512, 1.0)]
  bounds += [row("kernel_stein", OURS, 1024, 3.0), row("kernel_stein", LOWER_BOUND, 1024, 1.0)]
  sliced += [row("sliced_wasserstein", OURS, 256, 1.0, slices=50)]
  sliced += [peer("sliced_wasserstein", "ott-jax", 256, 11.0, slices=50)]
  memory = {"kind": "memory", "contestant": OURS, "distance": "mmd_imq", "status": "measured"}
  flops = {"kind": "flops", "distance": "sigreg", "devices": 8, "flops": 1.2}
  rows = [
    *sliced,
    *bounds,
    {**memory, "n": 65536, "bytes": 2**28},
    {**memory, "n": 16384, "bytes": 2**40},
    {**flops, "flops_of_one_device": 8.0},
  ]
  assert found(rows) == {
    "`kernel_stein`, from D = 64 on: at most 3× its two matrix products": (
      "3.10× at n = 512, D = 64",
      False,
    ),
    "`sliced_wasserstein`, at every n: at least 10× as fast as ott-jax": (
      "9.00× at n = 1024",
      False,
    ),
    "`sliced_wasserstein`, n = 1024: at least 1.5× as fast as gmum or POT": (
      "1.60× (gmum)",
      True,
    ),
    "`mmd_imq`, n = 65,536, D = 64: peak memory under 1 GiB": ("256 MiB", True),
    "`sigreg`, 8 devices: operations of each at most 1.15/8": ("1.20/8", False),
  }


def test_growth_is_an_exponent():
  rows = [{"n": n, "median": 3 * n**1.5} for n in (1024, 2048, 8192)]
  assert growth(rows, "n") == pytest.approx(1.5)
  assert growth(rows[:1], "n") is None


@pytest.fixture
def rows():
  made = []
  for n in (256, 1024, 2048):
    square = 1e-9 * n**2
    made += both("energy_distance", OURS, n, square)
    made += both("energy_distance", OURS, n, 2 * square, form=SAMPLES)
    made += both("energy_distance", LOWER_BOUND, n, square / 2)
    made.append(peer("energy_distance", "geomloss", n, 8 * square))
  made += both("energy_distance", OURS, 1024, 5e-4, d=8, others=0.25)
  made += both("energy_distance", OURS, 1024, 2e-3, dtype="bfloat16")
  made += both("energy_distance", OURS, 1024, 4e-3, devices=8)
  memory = {"kind": "memory", "distance": "energy_distance", "d": 64, "form": NORMAL}
  for n in (1024, 4096):
    memory |= {"n": n, "contestant": OURS}
    made.append({**memory, "status": "measured", "bytes": 5000 * n})
  skipped = {"status": "skipped", "reason": "it would take too long"}
  made.append({**memory, **skipped, "contestant": "geomloss", "form": SAMPLES})
  place = {"kind": "time", "n": 4096, "d": 64, "slices": None, "dtype": "float32", "devices": 1}
  other = {"distance": "energy_distance", "contestant": "geomloss", "form": SAMPLES}
  made.append({**place, **other, "status": "disagrees", "reason": "its value is 2"})
  return made


def test_report_page(rows, tmp_path):
  where = {"processor": "abacus", "threads": 2, "system": "none", "devices": "1 × cpu"}
  where |= {"date": "today", "python": "3", "versions": {"jax": "1"}, "code": "c0de"}
  results = Results(tmp_path / "results.json", where, {})
  results.rows = rows
  absent = {"pythae": "pythae is not installed: pip install it"}
  path = write_distance_report(
    results, tmp_path / "results.md", absent, [tmp_path / "time_over_n.png"]
  )
  page = path.read_text(encoding="utf-8")
  for line in (
    "today; abacus, 2 threads, none; devices: 1 × cpu; Python 3, jax 1; code c0de.",
    "![time over n](time_over_n.png)",
    "## `energy_distance`: n²D",
    "| n | D | to | forward | gradient | compiles in | over lower bound | geomloss |",
    "| 1024 | 64 | N(0, I) | 1.05 [0.94, 1.15] | 1.05 [0.94, 1.15] | 0.5 s | 2.00× | 8.00× |",
    "| 1024 | 64 | samples | 2.10 [1.89, 2.31] | 2.10 [1.89, 2.31] | 0.5 s |  | 4.00× |",
    "| 1024 | 8 | N(0, I) | 0.50 [0.45, 0.55] | 0.50 [0.45, 0.55] | 0.5 s |  | – |",
    "| `energy_distance` | N(0, I) | n²D | 2.00 | 0.36 |  |",
    "| `energy_distance` | aejax | 4.88 MiB | 19.5 MiB |",
    "| one n × n matrix |  | 4.00 MiB | 64.0 MiB |",
    "| `energy_distance` | N(0, I) | 1024 | 64 |  | bfloat16 | 2.00 | 1.05 | 1.91× |",
    "| `energy_distance` | N(0, I) | 1024 | 64 |  | 8 | 4.00 | 1.05 | 3.81× |",
    "- `energy_distance`, n = 1024, D = 8: 25%",
    "- pythae: pythae is not installed: pip install it.",
    "- memory of `energy_distance`, n = 4096, D = 64, geomloss (samples): it would take too long.",
    "- `energy_distance`, n = 4096, D = 64, geomloss (samples): disagrees with ours: its value is"
    " 2.",
  ):
    assert line in page.splitlines()
  assert "\n\n\n" not in page


def test_committed_page_is_that_of_the_committed_rows(tmp_path):
  content = json.loads((COMMITTED / "results.json").read_text(encoding="utf-8"))
  results = Results(COMMITTED / "results.json", content["environment"], content["settings"])
  assert results.rows == content["rows"]
  stems = ("time_over_n", "time_over_dimension", "time_over_slices", "memory_over_n")
  figures = [COMMITTED / f"{stem}.png" for stem in stems]
  assert all(figure.is_file() for figure in figures)
  page = write_distance_report(results, tmp_path / "results.md", {}, figures)
  committed = (COMMITTED / "results.md").read_text(encoding="utf-8")
  assert page.read_text(encoding="utf-8") == committed


def test_figures(rows, tmp_path):
  paths = draw_figures(rows, tmp_path)
  assert [path.name for path in paths] == [
    "time_over_n.png",
    "time_over_dimension.png",
    "memory_over_n.png",
  ]
  for path in paths:
    assert path.stat().st_size < 150_000
    with Image.open(path) as image:
      colours = image.convert("RGB").getcolors(2**20)
      assert (63, 144, 218) in {colour for _, colour in colours or []}  # ours
  assert sorted(tmp_path.iterdir()) == sorted(paths)
  assert draw_figures([], tmp_path) == []


def test_names_of_lines_do_not_overlap():
  assert _spread([0.1, 0.5, 0.9]) == [0.1, 0.5, 0.9]
  moved = _spread([0.1, 0.5, 0.51, 0.52])
  assert moved[0] == 0.1
  assert moved[2] == pytest.approx(0.51)
  assert min(b - a for a, b in itertools.pairwise(moved)) == pytest.approx(_MIN_GAP)
