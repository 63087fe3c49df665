import numpy as np
import pytest
from benchmarks import floors
from benchmarks.distances import DISTANCES, Cell

pytestmark = pytest.mark.bench


@pytest.fixture
def data():
  return Cell("sliced_wasserstein", 12, 4, 3).data()


@pytest.mark.parametrize("block", [1024, 5])
def test_both_products_are_computed(data, block, monkeypatch):
  monkeypatch.setattr(floors, "_BLOCK", block)
  calls = floors.prepare_floor("products", data)
  z = data["latents"]
  # Rounding of sums of four and twelve products.
  np.testing.assert_allclose(np.max(calls["forward"]()), (z @ z.T).max(), rtol=1e-5)
  products = np.asarray(calls["gradient"]()).reshape(-1, 4)
  np.testing.assert_allclose(products[:12], z @ z.T @ z, rtol=1e-4, atol=1e-5)


def test_projections_are_sorted_and_brought_back(data):
  calls = floors.prepare_floor("sort", data)
  p = data["directions"] @ data["latents"].T
  np.testing.assert_allclose(calls["forward"](), np.sort(p), rtol=1e-5, atol=1e-6)
  back = p.T @ data["directions"]
  np.testing.assert_allclose(calls["gradient"](), back, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", sorted({d.floor for d in DISTANCES.values() if d.floor}))
def test_every_floor_has_both_modes(data, name):
  assert set(floors.prepare_floor(name, data)) == {"forward", "gradient"}
