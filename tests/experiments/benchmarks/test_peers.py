import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks import peer as peer_module
from benchmarks.distance_plan import Case
from benchmarks.distances import DISTANCES
from benchmarks.implementations import implementations
from benchmarks.peer import TorchPeer, absence
from benchmarks.peers import PEERS

pytestmark = pytest.mark.bench

EXPERIMENTS = Path(__file__).parents[3] / "experiments"


def test_benchmarks_import_no_other_library():
  code = f"""
import sys
sys.path.insert(0, {str(EXPERIMENTS)!r})
import benchmarks.distance_benchmark, benchmarks.training_benchmark
others = {{"torch", "tensorflow", "geomloss", "ot", "ott", "cw_torch", "pythae", "matplotlib"}}
print(sorted(others & set(sys.modules)))
"""
  done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
  assert done.stdout == "[]\n"


def test_peers_have_counterparts():
  for peer in PEERS:
    assert set(peer.counterparts) <= set(DISTANCES[peer.distance].forms)
    assert peer.counterparts
    assert peer.num_bytes(Case(peer.distance, 1024, 8, 50)) > 0
  names = [(peer.name, peer.distance, peer.form) for peer in PEERS]
  assert len(set(names)) == len(names)


def test_absence_says_how_to_install_a_library(monkeypatch):
  peer = next(peer for peer in PEERS if peer.module == "geomloss")
  monkeypatch.setattr(peer_module.importlib.util, "find_spec", lambda name: None)
  reason = absence(peer)
  assert reason in (
    "geomloss is not installed: pip install 'aejax[bench]'",
    "torch is not installed: pip install 'aejax[bench]'",
  )
  monkeypatch.setattr(peer_module.importlib.util, "find_spec", lambda name: object())
  assert absence(peer) is None


def test_only_torch_peers_can_be_compiled():
  for peer in PEERS:
    compiled = peer.compiled()
    assert (compiled is not None) == isinstance(peer.prepare, TorchPeer)
    if compiled is not None:
      assert compiled.name == f"{peer.name}, torch.compile"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dim", [3, 64])
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: f"{peer.distance}-{peer.name}")
def test_peer_agrees_with_ours(peer, dim):
  if reason := absence(peer):
    pytest.skip(reason)
  case = Case(peer.distance, 200, dim, 20 if DISTANCES[peer.distance].slices else None)
  one = next(c for c in implementations(case, [peer]) if (c.name, c.form) == (peer.name, peer.form))
  calls = one.prepare(case)
  result = calls["gradient"]()
  assert one.check(case, result) is None
  forward = calls["forward"]()
  forward, value = (
    np.asarray(v.detach() if hasattr(v, "detach") else v) for v in (forward, result[0])
  )
  np.testing.assert_allclose(forward, value, rtol=1e-5)
  # An error of three times the tolerance is found, even if only the value has it.
  wrong = result[0] * (1 + 3 * peer.tolerance), result[1]
  assert one.check(case, wrong) is not None
