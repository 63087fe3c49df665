import pytest
from benchmarks import imports
from benchmarks.imports import import_seconds

pytestmark = pytest.mark.bench


def test_import_seconds_is_the_median_after_a_warm_up(monkeypatch):
  seconds = iter([9.0, 9.0, 1.0, 4.0, 3.0, 6.0, 2.0, 5.0])
  monkeypatch.setattr(imports, "_seconds", lambda statement: next(seconds))
  assert import_seconds(["import a", "import b"], 3) == {"import a": 2.0, "import b": 5.0}


def test_import_seconds_measures_a_fresh_process():
  assert 0 < import_seconds(["import json"], 1)["import json"] < 60


def test_import_seconds_reports_a_failing_import():
  with pytest.raises(RuntimeError, match="import nothing_at_all failed: ModuleNotFoundError"):
    import_seconds(["import nothing_at_all"], 1)


def test_script_prints_seconds_beyond_jax(script, monkeypatch, capsys):
  module = script("benchmark_imports")
  seconds = dict(zip(imports.STATEMENTS, (1.0, 1.25, 1.5), strict=True))
  monkeypatch.setattr(module, "import_seconds", lambda statements, repetitions: seconds)
  module.main(module.Options())
  assert capsys.readouterr().out.splitlines() == [
    "import jax               1.00 s",
    "import aejax.distances   1.25 s  +0.25 s beyond jax",
    "import aejax             1.50 s  +0.50 s beyond jax",
  ]
