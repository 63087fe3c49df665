import json

import pytest
from benchmarks.results import Results, markdown, milliseconds, ratio, select, size

pytestmark = pytest.mark.bench

HERE = {"date": "today", "processor": "abacus"}
SETTINGS = {"quick": False}


@pytest.fixture
def path(tmp_path):
  return tmp_path / "new" / "results.json"


def test_results_continue_a_file(path):
  first = Results(path, HERE, SETTINGS)
  assert not path.exists()
  first.add({"n": 1}, [{"median": 0.5}])
  second = Results(path, {**HERE, "date": "tomorrow"}, SETTINGS)
  assert second.has({"n": 1})
  assert not second.has({"n": 2})
  second.add({"n": 2}, [{"median": 0.25}, {"median": 0.125}])
  assert Results(path, HERE, SETTINGS).rows == [
    {"n": 1, "median": 0.5},
    {"n": 2, "median": 0.25},
    {"n": 2, "median": 0.125},
  ]
  assert [p.name for p in path.parent.iterdir()] == ["results.json"]


def test_add_replaces_the_rows_of_a_task(path):
  results = Results(path, HERE, SETTINGS)
  results.add({"n": 1}, [{"median": 1.0}, {"median": 2.0}])
  results.add({"n": 2}, [{"median": 3.0}])
  results.add({"n": 1}, [{"median": 4.0}])
  assert results.rows == [{"n": 2, "median": 3.0}, {"n": 1, "median": 4.0}]


def test_has_is_false_for_stale_rows(path):
  Results(path, HERE, SETTINGS).add({"n": 1}, [{"cutoff": 1.0}, {"median": 2.0}])
  assert Results(path, HERE, SETTINGS).has({"n": 1})
  again = Results(path, HERE, SETTINGS, is_stale=lambda row: row.get("cutoff", 9.0) < 5.0)
  assert not again.has({"n": 1})


def test_results_reject_another_environment(path):
  Results(path, HERE, SETTINGS).add({"n": 1}, [{"median": 0.5}])
  before = path.read_text()
  with pytest.raises(
    ValueError, match="\\(processor is abacus there and slide rule here\\): choose"
  ):
    Results(path, {**HERE, "processor": "slide rule"}, SETTINGS)
  with pytest.raises(
    ValueError, match="\\(quick is False there and True here\\): choose another --out"
  ):
    Results(path, HERE, {"quick": True})
  assert path.read_text() == before


@pytest.mark.parametrize("content", ["[]", '{"rows": []}', "{", ""])
def test_results_reject_other_files(path, content):
  path.parent.mkdir()
  path.write_text(content)
  with pytest.raises(ValueError, match=r"results\.json (holds no results|is damaged)"):
    Results(path, HERE, SETTINGS)


def test_results_round_to_five_digits(path):
  results = Results(path, HERE, SETTINGS)
  results.add({"n": 123456}, [{"median": 0.123456789, "bytes": 123456789}])
  row = json.loads(path.read_text())["rows"][0]
  assert row == {"n": 123456, "median": 0.12346, "bytes": 123456789}


def test_select_matches_fields():
  rows = [{"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 2}]
  assert select(rows, a=1, b=3) == rows[1:2]
  assert select(rows, b=None) == rows[2:]


def test_markdown_table():
  assert markdown(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |\n"


@pytest.mark.parametrize(
  ("text", "expected"),
  [
    (milliseconds(0.0000123), "0.012"),
    (milliseconds(0.000995), "0.99"),
    (milliseconds(0.0123), "12.3"),
    (milliseconds(0.09996), "100"),
    (milliseconds(1.2345), "1,234"),
    (milliseconds(None), ""),
    (ratio(2.5), "2.50×"),
    (ratio(None), ""),
    (size(512), "512 B"),
    (size(3 * 2**19), "1.50 MiB"),
    (size(2**34), "16.0 GiB"),
  ],
)
def test_three_digits(text, expected):
  assert text == expected
