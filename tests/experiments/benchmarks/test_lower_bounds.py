import numpy as np
import pytest
from benchmarks import lower_bounds
from benchmarks.distances import DISTANCES, Cell

pytestmark = pytest.mark.bench


@pytest.fixture
def data():
  return Cell("sliced_wasserstein", 12, 4, 3).data()


@pytest.mark.parametrize("block", [1024, 5])
def test_products_match_numpy(data, block, monkeypatch):
  monkeypatch.setattr(lower_bounds, "_BLOCK", block)
  calls = lower_bounds.LOWER_BOUNDS["products"](data)
  z = data["latents"]
  # float32 rounds sums of four and twelve products.
  np.testing.assert_allclose(np.max(calls["forward"]()), (z @ z.T).max(), rtol=1e-5)
  products = np.asarray(calls["gradient"]()).reshape(-1, 4)
  np.testing.assert_allclose(products[:12], z @ z.T @ z, rtol=1e-4, atol=1e-5)


def test_sort_matches_numpy(data):
  calls = lower_bounds.LOWER_BOUNDS["sort"](data)
  p = data["directions"] @ data["latents"].T
  np.testing.assert_allclose(calls["forward"](), np.sort(p), rtol=1e-5, atol=1e-6)
  back = p.T @ data["directions"]
  np.testing.assert_allclose(calls["gradient"](), back, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
  "name", sorted({d.lower_bound for d in DISTANCES.values() if d.lower_bound})
)
def test_lower_bounds_have_both_modes(data, name):
  assert set(lower_bounds.LOWER_BOUNDS[name](data)) == {"forward", "gradient"}
