import functools
import operator
import tracemalloc

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg

from aejax.metrics import Moments, _chunked, frechet_distance


def features(n: int, d: int, seed: int = 0) -> np.ndarray:
  """Correlated features with different means."""
  generator = np.random.default_rng(seed)
  return generator.standard_normal((n, d)) @ generator.standard_normal((d, d)) + np.arange(d)


def gaussian(mean, covariance) -> Moments:
  """Exact moments of a Gaussian."""
  covariance = np.asarray(covariance, np.float64)
  return Moments(101, np.asarray(mean, np.float64), 100 * covariance)


def rotation(d: int) -> np.ndarray:
  return np.linalg.qr(np.random.default_rng(9).standard_normal((d, d)))[0]


@pytest.mark.parametrize("entries", [1, 50, 10**6])
def test_moments_match_numpy(monkeypatch, entries):
  monkeypatch.setattr(_chunked, "_BLOCK_ENTRIES", entries)
  x = features(37, 5)
  moments = Moments.of(x)
  assert moments.count == 37
  # Float64 on both sides: about a hundred roundings of 1e-16.
  np.testing.assert_allclose(moments.mean, x.mean(axis=0), rtol=1e-13)
  np.testing.assert_allclose(moments.covariance, np.cov(x.T), rtol=1e-12)


@pytest.mark.parametrize("cuts", [(1,), (20,), (36,), (1, 2, 3, 30), (7, 9, 20)])
def test_moments_of_parts_add_up(cuts):
  x = features(37, 5)
  parts = [Moments.of(part) for part in np.split(x, cuts)]
  expected = Moments.of(x)
  left = functools.reduce(operator.add, parts)
  right = functools.reduce(lambda a, b: b + a, parts)
  for merged in (left, right):
    assert merged.count == 37
    np.testing.assert_allclose(merged.mean, expected.mean, rtol=1e-13)
    np.testing.assert_allclose(merged.scatter, expected.scatter, rtol=1e-12)
  assert frechet_distance(left, x) < 1e-12


def test_moments_keep_precision_for_large_means():
  x = features(1000, 3) + 1e8
  # The subtraction is exact (Sterbenz).
  centred = x - 1e8
  parts = functools.reduce(operator.add, (Moments.of(part) for part in np.split(x, 10)))
  # Means are rounded to 1e-8, and differences of parts' means, below 1, by twice that: the scatter
  # has a relative error of 4e-8. A sum of squares minus a squared sum would lose all 16 digits.
  np.testing.assert_allclose(parts.covariance, np.cov(centred.T), rtol=1e-7)


def test_moments_take_memory_of_a_block():
  x = np.random.default_rng(0).standard_normal((1_000_000, 8), dtype=np.float32)
  tracemalloc.start()
  moments = Moments.of(x)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  # A block in float64 and a temporary copy. All rows at once would be 64 MB.
  assert peak < 3 * _chunked._BLOCK_ENTRIES * 8 < x.size * 8
  # Five standard errors: 1e-3 of a mean, at most sqrt(2) 1e-3 of an entry of the covariance.
  assert np.abs(moments.mean).max() < 5e-3
  assert np.abs(moments.covariance - np.eye(8)).max() < 7e-3


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16, jnp.bfloat16])
def test_frechet_distance_accepts_jax_arrays_of_every_float_dtype(dtype):
  x, y = (jnp.asarray(features(20, 3, seed), dtype) for seed in (0, 1))
  exact = frechet_distance(*(np.asarray(a.astype(jnp.float32)) for a in (x, y)))
  assert frechet_distance(x, y) == exact


@pytest.mark.parametrize(("n", "m", "d"), [(50, 50, 1), (60, 40, 4), (300, 200, 30)])
def test_frechet_distance_matches_the_matrix_root(n, m, d):
  x, y = features(n, d), features(m, d, seed=1) * 1.3 + 0.2
  first, second = np.atleast_2d(np.cov(x.T)), np.atleast_2d(np.cov(y.T))
  root = linalg.sqrtm(first @ second)
  traces = np.trace(first) + np.trace(second)
  expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + traces - 2 * np.trace(root).real
  # sqrtm loses digits with the condition number, below 1e7 here: 1e-9 of the traces.
  assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9, abs=1e-9 * traces)


def test_frechet_distance_of_commuting_gaussians():
  a, b = np.array([4.0, 1.0, 0.25, 0.0]), np.array([1.0, 9.0, 0.0, 0.0])
  means = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 0.0, 3.0, 1.0])
  # Σ (√a − √b)² = 1 + 4 + ¼; the means add 4 + 9.
  q = rotation(4)
  for turn in (np.eye(4), q):
    first, second = (
      gaussian(turn @ m, turn @ np.diag(c) @ turn.T) for m, c in zip(means, (a, b), strict=True)
    )
    assert frechet_distance(first, second) == pytest.approx(18.25, rel=1e-13)
    assert frechet_distance(second, first) == pytest.approx(18.25, rel=1e-13)


def test_frechet_distance_in_one_dimension():
  # Means 1 and 4, variances 2 and 8.
  x, y = np.array([[0.0], [2.0]]), np.array([[2.0], [6.0]])
  assert frechet_distance(x, y) == pytest.approx(9 + 2, rel=1e-14)


def test_frechet_distance_of_singular_covariances():
  d = 200
  q = rotation(d)
  spectrum = np.linspace(0.5, 2, d)
  full = gaussian(np.zeros(d), q @ np.diag(spectrum) @ q.T)
  v = np.random.default_rng(1).standard_normal(d)
  line = gaussian(np.zeros(d), np.outer(v, v))
  # The root of C v vᵀ has the trace sqrt(vᵀ C v). Roots of rounded zeros would add d terms of
  # 1e-8 |v|, a relative error of 1e-6.
  root = np.sqrt(v @ q @ np.diag(spectrum) @ q.T @ v)
  expected = spectrum.sum() + v @ v - 2 * root
  assert frechet_distance(full, line) == pytest.approx(expected, rel=1e-12)
  # Orthogonal planes.
  first, second = (gaussian(np.zeros(4), np.diag(c)) for c in ([1.0, 2, 0, 0], [0.0, 0, 3, 4]))
  assert frechet_distance(first, second) == pytest.approx(10, rel=1e-14)
  # Points.
  same = np.ones((5, 3))
  assert frechet_distance(same, same) == 0
  assert frechet_distance(same, same + 1) == 3


def test_frechet_distance_of_fewer_vectors_than_dimensions():
  x, y = features(10, 40), features(7, 40, seed=1)
  # The centred sets are factors of the covariances.
  factors = [(a - a.mean(0)) / np.sqrt(len(a) - 1) for a in (x, y)]
  root = np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False).sum()
  squares = sum(np.sum(f**2) for f in factors)
  expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + squares - 2 * root
  assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("n", "d"), [(50, 5), (10, 40)])
def test_frechet_distance_to_itself_is_zero(n, d):
  x = features(n, d)
  trace = np.sum(x.var(0, ddof=1))
  for moved in (x, x[::-1]):
    assert 0 <= frechet_distance(x, moved) < 1e-13 * trace + 1e-13
  assert frechet_distance(x, x + 1) == pytest.approx(d, rel=1e-12)


def test_frechet_distance_scales_and_ignores_rotations():
  x, y = features(50, 6), features(40, 6, seed=1)
  q, value = rotation(6), frechet_distance(x, y)
  assert frechet_distance(3 * x @ q + 5, 3 * y @ q + 5) == pytest.approx(9 * value, rel=1e-11)


@pytest.mark.usefixtures("without_beartype")
@pytest.mark.parametrize(
  ("first", "second", "message"),
  [
    (np.zeros((5, 2)), np.zeros((5, 3)), "first and second must have one dimension, but have 2"),
    (np.zeros((5, 2)), np.zeros((1, 2)), "second must have .* n at least 2"),
    (Moments.of(np.zeros((1, 2))), np.zeros((5, 2)), "at least 2 vectors"),
    (np.zeros(5), np.zeros((5, 2)), r"first must have shape \[n, d\]"),
    (np.zeros((5, 2), int), np.zeros((5, 2)), "first must be floating-point, but is int64"),
    (np.full((5, 2), np.nan), np.zeros((5, 2)), "first must be finite"),
  ],
)
def test_frechet_distance_rejects_bad_sets(first, second, message):
  with pytest.raises(ValueError, match=message):
    frechet_distance(first, second)


def test_moments_reject_different_dimensions():
  with pytest.raises(ValueError, match="one dimension to be added, but are of 2 and 3"):
    Moments.of(np.zeros((5, 2))) + Moments.of(np.zeros((5, 3)))
