import os

import pytest
from benchmarks import timing
from benchmarks.timing import contention

pytestmark = pytest.mark.bench


@pytest.mark.parametrize(
  ("busy", "local", "share"), [(10, 10, 0.0), (15, 5, 0.5), (25, 0, 1.0), (9.99, 10, 0.0)]
)
def test_contention_is_the_share_of_other_processes(busy, local, share, monkeypatch):
  monkeypatch.setattr(os, "cpu_count", lambda: 2)
  readings = iter([(100.0, 1000.0, 50.0), (110.0, 1000.0 + busy, 50.0 + local)])
  monkeypatch.setattr(timing, "_cpu_seconds", lambda: next(readings))
  assert contention()() == pytest.approx(share)


def test_contention_is_none_on_systems_without_counters(monkeypatch, tmp_path):
  for content in (None, "", "cpu 1 2"):
    stat = tmp_path / "stat"
    if content is not None:
      stat.write_text(content)
    monkeypatch.setattr(timing, "_STAT", stat)
    assert contention()() is None


@pytest.mark.skipif(not timing._STAT.exists(), reason="no /proc/stat")
def test_contention_on_this_system():
  share = contention()()
  assert share is not None
  assert 0 <= share <= 1
