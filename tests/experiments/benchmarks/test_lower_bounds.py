import numpy as np
import pytest
from benchmarks import lower_bounds
from benchmarks.distance_plan import Case
from benchmarks.distances import DISTANCES
from benchmarks.lower_bounds import LOWER_BOUNDS

pytestmark = pytest.mark.bench


@pytest.fixture
def data():
  return Case("sliced_wasserstein", 12, 4, 3).data()


@pytest.mark.parametrize("block", [1024, 5])
def test_products_are_computed(data, block, monkeypatch):
  monkeypatch.setattr(lower_bounds, "_BLOCK", block)
  calls = LOWER_BOUNDS["products"](data)
  z = data["latents"]
  # The tolerances allow for the rounding of sums of four and twelve products.
  np.testing.assert_allclose(np.max(calls["forward"]()), (z @ z.T).max(), rtol=1e-5)
  products = np.asarray(calls["gradient"]()).reshape(-1, 4)
  np.testing.assert_allclose(products[:12], z @ z.T @ z, rtol=1e-4, atol=1e-5)


def test_sort_computes_sorted_projections_and_their_gradient(data):
  calls = LOWER_BOUNDS["sort"](data)
  p = data["directions"] @ data["latents"].T
  np.testing.assert_allclose(calls["forward"](), np.sort(p), rtol=1e-5, atol=1e-6)
  back = p.T @ data["directions"]
  np.testing.assert_allclose(calls["gradient"](), back, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
  "name", sorted({d.lower_bound for d in DISTANCES.values() if d.lower_bound})
)
def test_lower_bound_has_both_modes(data, name):
  assert set(LOWER_BOUNDS[name](data)) == {"forward", "gradient"}
