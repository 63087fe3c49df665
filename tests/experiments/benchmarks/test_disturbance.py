import os

import pytest
from benchmarks import disturbance
from benchmarks.disturbance import watch

pytestmark = pytest.mark.bench


@pytest.mark.parametrize(
  ("busy", "own", "share"), [(10, 10, 0.0), (15, 5, 0.5), (25, 0, 1.0), (9.99, 10, 0.0)]
)
def test_the_share_of_others(busy, own, share, monkeypatch):
  monkeypatch.setattr(os, "cpu_count", lambda: 2)
  readings = iter([(100.0, 1000.0, 50.0), (110.0, 1000.0 + busy, 50.0 + own)])
  monkeypatch.setattr(disturbance, "_seconds", lambda: next(readings))
  assert watch()() == pytest.approx(share)


def test_a_system_that_does_not_say(monkeypatch, tmp_path):
  for content in (None, "", "cpu 1 2"):
    stat = tmp_path / "stat"
    if content is not None:
      stat.write_text(content)
    monkeypatch.setattr(disturbance, "_STAT", stat)
    assert watch()() is None


@pytest.mark.skipif(not disturbance._STAT.exists(), reason="no /proc/stat")
def test_this_system_says():
  share = watch()()
  assert share is not None
  assert 0 <= share <= 1
