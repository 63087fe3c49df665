"""Properties of the metrics that hold for all inputs, tested with Hypothesis."""

import jax
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from point_sets import sets

from aejax import metrics

N, DIM = 6, 3
SETTINGS = settings(max_examples=25, derandomize=True, database=None, deadline=None)


@st.composite
def features(draw, least=6):
  n, dim = draw(st.integers(least, 12)), draw(st.integers(1, 5))
  return draw(sets(n, dim)).astype(draw(st.sampled_from((np.float32, np.float64))))


@SETTINGS
@given(z=features())
def test_mardia_properties(z):
  skewness, kurtosis = metrics.mardia_skewness(z), metrics.mardia_kurtosis(z)
  assert np.isfinite([skewness, kurtosis]).all()
  assert skewness >= 0
  d = z.shape[1]
  assert kurtosis >= -d * (d + 2)
  order = np.random.default_rng(1).permutation(len(z))
  assert metrics.mardia_skewness(z[order]) == pytest.approx(skewness, rel=1e-9)
  assert metrics.mardia_kurtosis(z[order]) == pytest.approx(kurtosis, rel=1e-9)


@SETTINGS
@given(x=features(), data=st.data())
def test_frechet_distance_properties(x, data):
  y = data.draw(sets(data.draw(st.integers(2, 9)), x.shape[1]))
  size = np.square(x, dtype=np.float64).sum(1).max() + np.square(y, dtype=np.float64).sum(1).max()
  distance = metrics.frechet_distance(x, y)
  assert np.isfinite(distance)
  assert distance >= 0
  # Roots of the zero eigenvalues of covariances have errors of 1e-8.
  assert metrics.frechet_distance(y, x) == pytest.approx(distance, rel=1e-6, abs=1e-8 * size)
  assert metrics.frechet_distance(x, x) <= 1e-8 * size
  moved = metrics.frechet_distance(x[::-1], y)
  assert moved == pytest.approx(distance, rel=1e-6, abs=1e-8 * size)
  parts = metrics.Moments.of(x[:3]) + metrics.Moments.of(x[3:])
  assert metrics.frechet_distance(parts, y) == pytest.approx(distance, rel=1e-6, abs=1e-8 * size)


@SETTINGS
@given(x=features(), data=st.data())
def test_kernel_distance_properties(x, data):
  y = data.draw(sets(data.draw(st.integers(2, 9)), x.shape[1]))
  norms = [np.square(v, dtype=np.float64).sum(1).max() / x.shape[1] for v in (x, y)]
  largest = (1 + max(norms)) ** 3
  distance = metrics.kernel_distance(x, y)
  assert np.isfinite(distance)
  assert metrics.kernel_distance(y, x) == pytest.approx(distance, abs=1e-12 * largest)
  assert metrics.kernel_distance(x[::-1], y) == pytest.approx(distance, abs=1e-12 * largest)
  in_blocks = metrics.kernel_distance_in_blocks(x, x[::-1], key=jax.random.key(0))
  assert np.isfinite(in_blocks).all()
  assert in_blocks.standard_error >= 0


@SETTINGS
@given(x=features(), data=st.data())
def test_prdc_properties(x, data):
  y = data.draw(sets(data.draw(st.integers(6, 9)), x.shape[1]))
  found = metrics.prdc(x, y)
  for name in ("precision", "recall", "coverage"):
    assert 0 <= found[name] <= 1
  assert 0 <= found["density"] < len(x)
  same = metrics.prdc(x, x)
  assert same["precision"] == same["recall"] == same["coverage"] == 1
  moved = metrics.prdc(x[::-1], y[::-1])
  assert moved == pytest.approx(found)


@SETTINGS
@given(x=sets(N, DIM), y=sets(N, DIM))
def test_reconstruction_error_properties(x, y):
  error = metrics.reconstruction_error(x, y)
  assert np.isfinite(error)
  assert error >= 0
  assert metrics.reconstruction_error(x, x) == 0
  assert metrics.reconstruction_error(y, x) == error
  order = np.random.default_rng(1).permutation(N)
  assert metrics.reconstruction_error(x[order], y[order]) == pytest.approx(error)


@SETTINGS
@given(x=sets(N, DIM), y=sets(N, DIM))
def test_nearest_training_images_properties(x, y):
  # Images that differ by less than the rounding of their norms count as copies.
  assume(np.ptp(y, axis=0).max() > 1e-6 * np.abs(y).max())
  found = metrics.nearest_training_images(x, y, num=3)
  assert np.isfinite(found.distances).all()
  assert (np.diff(found.distances, axis=1) >= 0).all()
  assert (found.ratios >= 0).all()
  exact = np.linalg.norm(x[:, None].astype(np.float64) - y, axis=-1)
  np.testing.assert_allclose(found.distances, np.sort(exact, axis=1)[:, :3], rtol=1e-6, atol=1e-30)
  copies = metrics.nearest_training_images(y, y)
  assert (copies.distances == 0).all()
  assert (copies.ratios == 0).all()
