import sys

import numpy as np
import pytest
from benchmarks.distances import NORMAL
from benchmarks.memory import measure_memory, peak_bytes

pytestmark = pytest.mark.bench

linux = pytest.mark.skipif(sys.platform != "linux", reason="the peak cannot be set back")


@linux
def test_what_a_call_takes_and_gives_back_is_seen():
  def call():
    np.ones(2**23).sum()  # 64 MiB

  for _ in range(2):  # the second time too, though the peak was there already
    assert 60 * 2**20 < peak_bytes(call) < 100 * 2**20
  assert peak_bytes(lambda: None) < 4 * 2**20


@linux
def test_of_a_distance_in_a_process_of_its_own():
  # A tile is 1024 × 1024: one matrix of it and what is computed from it, at most a dozen.
  found = measure_memory("energy_distance", "aejax", NORMAL, 8, [64, 1024], timeout=100)
  assert set(found) == {64, 1024}
  assert 0 <= found[64] < found[1024] < 64 * 2**20


def test_a_process_that_fails_says_why():
  with pytest.raises(RuntimeError, match="its process failed: KeyError: 'nothing'"):
    measure_memory("nothing", "aejax", NORMAL, 8, [64], timeout=100)
  with pytest.raises(RuntimeError, match=r"its process took longer than 0 s"):
    measure_memory("nothing", "aejax", NORMAL, 8, [64], timeout=0.01)
