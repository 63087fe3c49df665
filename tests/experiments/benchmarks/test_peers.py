import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks import peer as module
from benchmarks.distances import DISTANCES, Cell
from benchmarks.implementations import implementations
from benchmarks.peer import TorchPeer, absence
from benchmarks.peers import PEERS

pytestmark = pytest.mark.bench

EXPERIMENTS = Path(__file__).parents[3] / "experiments"


def test_import_loads_no_other_library():
  code = """
import sys
import aejax
assert not any(name.startswith("benchmarks") for name in sys.modules)
import benchmarks.run, benchmarks.memory
others = {"torch", "tensorflow", "geomloss", "ot", "ott", "cw_torch", "pythae", "matplotlib"}
print(sorted(others & set(sys.modules)))
"""
  path = os.pathsep.join([str(EXPERIMENTS), os.environ.get("PYTHONPATH", "")])
  environment = {**os.environ, "PYTHONPATH": path}
  done = subprocess.run(
    [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
  )
  assert done.stdout == "[]\n"


def test_every_peer_stands_beside_forms_that_there_are():
  for peer in PEERS:
    assert set(peer.rivals) <= set(DISTANCES[peer.distance].forms)
    assert peer.rivals
    assert peer.num_bytes(Cell(peer.distance, 1024, 8, 50)) > 0
  names = [(peer.name, peer.distance, peer.form) for peer in PEERS]
  assert len(set(names)) == len(names)


def test_a_missing_library_is_named_with_its_cure(monkeypatch):
  peer = next(peer for peer in PEERS if peer.module == "geomloss")
  monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
  reason = absence(peer)
  assert reason in (
    "geomloss is not installed: pip install 'aejax[bench]'",
    "torch is not installed: pip install 'aejax[bench]'",
  )
  monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: object())
  assert absence(peer) is None


def test_torch_peers_can_be_compiled_and_others_not():
  for peer in PEERS:
    compiled = peer.compiled()
    assert (compiled is not None) == isinstance(peer.prepare, TorchPeer)
    if compiled is not None:
      assert compiled.name == f"{peer.name}, torch.compile"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dim", [3, 64])
@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: f"{peer.distance}-{peer.name}")
def test_every_peer_installed_agrees(peer, dim):
  if reason := absence(peer):
    pytest.skip(reason)
  cell = Cell(peer.distance, 200, dim, 20 if DISTANCES[peer.distance].slices else None)
  one = next(c for c in implementations(cell, [peer]) if (c.name, c.form) == (peer.name, peer.form))
  calls = one.prepare(cell)
  result = calls["gradient"]()
  assert one.check(cell, result) is None
  forward = calls["forward"]()
  forward, value = (
    np.asarray(v.detach() if hasattr(v, "detach") else v) for v in (forward, result[0])
  )
  np.testing.assert_allclose(forward, value, rtol=1e-5)
  # One part in fifty is seen, whatever the tolerance, if only in one of the two.
  wrong = result[0] * (1 + 3 * peer.tolerance), result[1]
  assert one.check(cell, wrong) is not None
