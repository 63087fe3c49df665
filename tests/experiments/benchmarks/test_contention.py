import os

import pytest
from benchmarks import contention
from benchmarks.contention import cpu_contention

pytestmark = pytest.mark.bench


@pytest.mark.parametrize(
  ("busy", "own", "share"), [(10, 10, 0.0), (15, 5, 0.5), (25, 0, 1.0), (9.99, 10, 0.0)]
)
def test_cpu_contention_is_the_share_of_others(busy, own, share, monkeypatch):
  monkeypatch.setattr(os, "cpu_count", lambda: 2)
  readings = iter([(100.0, 1000.0, 50.0), (110.0, 1000.0 + busy, 50.0 + own)])
  monkeypatch.setattr(contention, "_seconds", lambda: next(readings))
  assert cpu_contention()() == pytest.approx(share)


def test_cpu_contention_is_none_without_proc_stat(monkeypatch, tmp_path):
  for content in (None, "", "cpu 1 2"):
    stat = tmp_path / "stat"
    if content is not None:
      stat.write_text(content)
    monkeypatch.setattr(contention, "_STAT", stat)
    assert cpu_contention()() is None


@pytest.mark.skipif(not contention._STAT.exists(), reason="no /proc/stat")
def test_cpu_contention_is_a_share_on_this_system():
  share = cpu_contention()()
  assert share is not None
  assert 0 <= share <= 1
