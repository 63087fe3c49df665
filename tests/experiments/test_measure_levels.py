import json

import jax
import numpy as np
import pytest

from aejax.metrics import calibration


@pytest.fixture
def measure(script, monkeypatch):
  monkeypatch.setattr(calibration, "_DRAWS", 300)
  module = script("measure_levels")
  monkeypatch.setattr(module, "STATISTICS", {"mmd": calibration.STATISTICS["mmd"]})
  calibration._simulated.cache_clear()
  yield module
  calibration._simulated.cache_clear()


def test_measure_levels_writes_level_and_power_and_continues(measure, tmp_path, capsys):
  options = {"out": tmp_path, "sets": 200, "power_sets": 41, "keys": 2}
  measure.main(measure.Options(n=(60,), dim=(3,), **options))
  page = (tmp_path / "levels.md").read_text(encoding="utf-8")
  assert page == capsys.readouterr().out
  assert "n = 60: 200 sets, 2 null distributions, 40 sets of each kind" in page
  stored = json.loads((tmp_path / "levels.json").read_text(encoding="utf-8"))
  cell = stored["cells"]["60 × 3"]["mmd"]
  assert 0.005 < cell["level"] < 0.13
  assert cell["power"]["one coordinate × 0.5"] > cell["level"]
  assert (cell["sets"], cell["power_sets"], cell["keys"]) == (200, 40, 2)

  measure.main(measure.Options(n=(60, 8), dim=(3,), **options | {"sets": 20}))
  again = json.loads((tmp_path / "levels.json").read_text(encoding="utf-8"))
  assert again["cells"]["60 × 3"] == stored["cells"]["60 × 3"]  # what is there is kept
  assert again["cells"]["8 × 3"]["mmd"]["sets"] == 20
  assert "| 60 × 3 | 8 × 3 |" in (tmp_path / "levels.md").read_text(encoding="utf-8")


def test_alternatives_are_what_their_names_say(measure):
  z = jax.random.normal(jax.random.key(0), (100_000, 2))
  true, smaller, narrow, shifted, heavy = (
    np.asarray(change(z, jax.random.key(1)), np.float64) for change in measure._CHANGES
  )
  np.testing.assert_array_equal(true, np.asarray(z))
  # The standard error of a deviation is 0.2 %, and that of the heavy tails 0.5 %.
  np.testing.assert_allclose(smaller.std(0), 0.9, rtol=0.01)
  np.testing.assert_allclose(narrow.std(0), [0.5, 1], rtol=0.01)
  np.testing.assert_allclose(shifted.mean(0), 0.1, atol=0.012)
  np.testing.assert_allclose(heavy.std(0), 1, rtol=0.02)
  assert (heavy**4).mean() > 2 * 3  # the kurtosis is 9, that of normal samples 3


def test_standard_error_counts_sets_and_null_distributions(measure):
  assert measure._error({"sets": 10**12, "keys": 4}) == pytest.approx(measure._NULL_ERROR / 2)
  assert measure._error({"sets": 475, "keys": 10**12}) == pytest.approx(0.01)


def test_keys_are_no_more_than_sets(measure, tmp_path):
  with pytest.raises(ValueError, match="power_sets"):
    measure.main(measure.Options(out=tmp_path, power_sets=3, keys=4))
