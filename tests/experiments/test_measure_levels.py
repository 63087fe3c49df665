import json

import pytest

from aejax.metrics import calibration


@pytest.fixture
def measure(script, monkeypatch):
  monkeypatch.setattr(calibration, "_DRAWS", 300)
  monkeypatch.setattr(calibration, "STATISTICS", {"mmd": calibration.STATISTICS["mmd"]})
  calibration._simulated.cache_clear()
  yield script("measure_levels")
  calibration._simulated.cache_clear()


def test_measure_levels_writes_level_and_power(measure, tmp_path, monkeypatch, capsys):
  monkeypatch.setattr(measure, "STATISTICS", calibration.STATISTICS)
  measure.main(measure.Options(out=tmp_path, n=(60,), dim=(3,), sets=200))
  page = (tmp_path / "levels.md").read_text(encoding="utf-8")
  assert page == capsys.readouterr().out
  assert "200 sets" in page
  found = json.loads((tmp_path / "levels.json").read_text(encoding="utf-8"))["mmd"]["60 × 3"]
  assert 0.005 < found["N(0, I)"] < 0.13
  assert found["one coordinate × 0.5"] > found["N(0, I)"]
