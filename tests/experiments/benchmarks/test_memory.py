import sys

import numpy as np
import pytest
from benchmarks.distances import NORMAL
from benchmarks.memory import measure_memory, peak_bytes

pytestmark = pytest.mark.bench

linux = pytest.mark.skipif(sys.platform != "linux", reason="the peak cannot be reset")


@linux
def test_peak_bytes_of_a_call():
  def call():
    np.ones(2**23).sum()  # 64 MiB

  for _ in range(2):  # the second call must count too, although the peak was reached before
    assert 60 * 2**20 < peak_bytes(call) < 100 * 2**20
  assert peak_bytes(lambda: None) < 4 * 2**20


@linux
def test_measure_memory_of_a_distance():
  # At n = 1024 there is one tile: a matrix of 4 MiB, and at most a dozen computed from it.
  found = measure_memory("energy_distance", "aejax", NORMAL, 8, [64, 1024], timeout=100)
  assert set(found) == {64, 1024}
  assert 0 <= found[64] < found[1024] < 64 * 2**20


def test_measure_memory_reports_why_its_process_failed():
  with pytest.raises(RuntimeError, match="its process failed: KeyError: 'nothing'"):
    measure_memory("nothing", "aejax", NORMAL, 8, [64], timeout=100)
  with pytest.raises(RuntimeError, match=r"its process took longer than 0 s"):
    measure_memory("nothing", "aejax", NORMAL, 8, [64], timeout=0.01)
