import inspect

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from aejax.metrics import _chunked


@pytest.mark.parametrize("entries", [1, 7, 100, 10**6])
@pytest.mark.parametrize("count", [1, 10, 37])
def test_row_blocks_cover_each_row_once(monkeypatch, entries, count):
  monkeypatch.setattr(_chunked, "_BLOCK_ENTRIES", entries)
  slices = _chunked.row_blocks(count, entries_per_row=3)
  assert [i for rows in slices for i in range(rows.start, rows.stop)] == list(range(count))
  assert all((rows.stop - rows.start) * 3 <= max(entries, 3) for rows in slices)


@pytest.mark.parametrize("entries", [1, 50, 10**6])
@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (1e-3, 1.0), (1e5, 0.0)])
def test_squared_distances_stay_within_their_rounding_bound(monkeypatch, entries, scale, shift):
  monkeypatch.setattr(_chunked, "_BLOCK_ENTRIES", entries)
  x, y = (
    scale * np.random.default_rng(seed).standard_normal((n, 6)) + shift
    for seed, n in ((0, 23), (1, 31))
  )
  y[:5] = x[:5]
  # Computed from differences: the relative error is about 1e-16.
  exact = cdist(x, y, "sqeuclidean")
  seen = []
  for rows, squares, rounding in _chunked.squared_distances(x, y):
    seen += range(rows.start, rows.stop)
    assert (squares >= 0).all()
    assert (np.abs(squares - exact[rows]) <= rounding + 1e-15 * exact[rows]).all()
    # The bound is tight: 2 (6 + 2) ε of the norms.
    norms = np.sum(x[rows] ** 2, 1)[:, None] + np.sum(y**2, 1)
    assert (rounding <= 4e-15 * norms).all()
  assert seen == list(range(23))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16, jnp.bfloat16])
def test_features_in_float64_converts_every_float_dtype(dtype):
  features = jnp.asarray([[0.5, 2.0], [1.0, -4.0]], dtype)
  found = _chunked.features_in_float64("features", features)
  assert found.dtype == np.float64
  np.testing.assert_array_equal(found, [[0.5, 2.0], [1.0, -4.0]])


BAD = {
  "rank": (np.zeros(3), "shape"),
  "few": (np.zeros((1, 3)), "n at least 2"),
  "no column": (np.zeros((3, 0)), "shape"),
  "integers": (np.zeros((3, 3), int), "x must be floating-point, but is int64"),
  "NaN": (np.array([[0.0], [np.nan]]), "x must be finite"),
  "infinity": (np.array([[0.0], [np.inf]]), "x must be finite"),
}


@pytest.mark.parametrize("case", BAD)
def test_features_in_float64_rejects_bad_features(case):
  features, message = BAD[case]
  with pytest.raises(ValueError, match=message):
    inspect.unwrap(_chunked.features_in_float64)("x", features, least=2)


def test_check_same_dimension_rejects_different_dimensions():
  with pytest.raises(ValueError, match="x and y must have one dimension, but have 2 and 3"):
    _chunked.check_same_dimension("x", np.zeros((4, 2)), "y", np.zeros((4, 3)))
