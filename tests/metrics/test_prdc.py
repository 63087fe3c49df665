import tracemalloc

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from aejax.metrics import _chunked, prdc


def normal(n: int, d: int, seed: int = 0) -> np.ndarray:
  return np.random.default_rng(seed).standard_normal((n, d))


def by_definition(real, generated, k, wide_k):
  def radii(x, k):
    distances, _ = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(x).kneighbors()
    return distances[:, -1]

  across = cdist(real, generated)
  wide = across <= radii(real, wide_k)[:, None]
  return {
    "precision": (across <= radii(real, k)[:, None]).any(axis=0).mean(),
    "recall": (across <= radii(generated, k)).any(axis=1).mean(),
    "density": wide.sum() / (wide_k * len(generated)),
    "coverage": wide.any(axis=1).mean(),
  }


def test_prdc_by_hand():
  real = np.array([[0.0], [1.0], [3.0], [7.0]])
  generated = np.array([[2.0], [4.0], [12.0], [12.5]])
  # Real balls [−1, 1], [0, 2], [1, 5], [3, 11]: 2 (on a border) and 4 are inside two balls each.
  # Generated balls [0, 4], [2, 6], [11.5, 12.5], [12, 13]: 0 (on a border), 1, 3 are inside one.
  expected = {"precision": 0.5, "recall": 0.75, "density": 4 / 4, "coverage": 0.75}
  found = prdc(real, generated, precision_neighbours=1, coverage_neighbours=1)
  assert found == expected
  # With two neighbours, the real balls are [−3, 3], [−1, 3], [0, 6], [1, 13]: the generated
  # features are inside four, two, one and one of them.
  found = prdc(real, generated, precision_neighbours=1, coverage_neighbours=2)
  assert found == expected | {"density": 8 / (2 * 4), "coverage": 1.0}
  # With real and generated features swapped.
  found = prdc(generated, real, precision_neighbours=1, coverage_neighbours=1)
  assert found == {"precision": 0.75, "recall": 0.5, "density": 4 / 4, "coverage": 0.5}


@pytest.mark.parametrize("entries", [1, 200, 10**6])
@pytest.mark.parametrize(("n", "m", "d"), [(6, 4, 1), (60, 40, 3), (50, 90, 20)])
def test_prdc_matches_scikit_learn(monkeypatch, entries, n, m, d):
  monkeypatch.setattr(_chunked, "_BLOCK_ENTRIES", entries)
  x, y = normal(n, d) + 5, 0.8 * normal(m, d, seed=1) + 5.2
  # Counts differ only if a distance equals a radius to 1e-14, which does not occur.
  assert prdc(x, y) == pytest.approx(by_definition(x, y, 3, 5), rel=1e-14)
  found = prdc(x, y, precision_neighbours=2, coverage_neighbours=1)
  assert found == pytest.approx(by_definition(x, y, 2, 1), rel=1e-14)


def test_prdc_of_equal_distributions():
  n, m, k, repeats = 40, 60, 5, 150
  scores = []
  for seed in range(repeats):
    z = normal(n + m, 3, seed=seed)
    found = prdc(z[:n], z[n:])
    scores.append((found["density"], found["coverage"]))
  mean, error = np.mean(scores, 0), np.std(scores, 0, ddof=1) / np.sqrt(repeats)
  i = np.arange(1, k + 1)
  expected = np.array([1.0, 1 - np.prod((n - i) / (n + m - i))])
  # Naeem et al., Lemmas 1 and 2, for any distribution; four standard errors.
  np.testing.assert_array_less(np.abs(mean - expected), 4 * error)
  # An error of one in k would change the density by a fifth, and the coverage by thousandths.
  assert error[0] < 0.2 / 8
  shift = np.prod((n - i[:-1]) / (n + m - i[:-1])) - np.prod((n - i) / (n + m - i))
  assert error[1] < shift / 4


def test_prdc_of_bad_generators():
  real = normal(200, 4)
  one_mode = 1e-3 * normal(200, 4, seed=1) + real[0]
  found = prdc(real, one_mode)
  assert found["precision"] == 1
  assert found["recall"] < 0.02
  assert found["coverage"] < 0.2
  found = prdc(real, real + 100)
  assert found == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


@pytest.mark.parametrize("entries", [700, 10**6])
@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_prdc_counts_copies_as_inside(monkeypatch, entries, shift):
  monkeypatch.setattr(_chunked, "_BLOCK_ENTRIES", entries)
  real = normal(100, 64).astype(np.float32) + np.float32(shift)
  # Each ball contains its own centre and k neighbours, the last one on its border.
  assert prdc(real, real) == {
    "precision": 1,
    "recall": 1,
    "density": (5 + 1) / 5,
    "coverage": 1,
  }


def test_prdc_of_coinciding_features():
  real = np.repeat(normal(5, 3), 10, axis=0) / 3
  found = prdc(real, real[::-1])
  assert found == {"precision": 1, "recall": 1, "density": 10 / 5, "coverage": 1}
  # The balls contain nothing else: 1e-6 is far outside.
  found = prdc(real, real + 1e-6)
  assert found == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def test_prdc_ignores_a_distant_outlier():
  x, y = normal(60, 3), normal(50, 3, seed=1)
  far = np.concatenate([y, np.full((1, 3), 1e9)])
  expected, found = by_definition(x, y, 3, 5), prdc(x, far)
  # The outlier adds one generated feature, which is inside no real ball.
  assert found["precision"] == pytest.approx(expected["precision"] * 50 / 51, rel=1e-14)
  assert found["density"] == pytest.approx(expected["density"] * 50 / 51, rel=1e-14)
  assert found["coverage"] == pytest.approx(expected["coverage"], rel=1e-14)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_prdc_accepts_jax_arrays_of_every_float_dtype(dtype):
  x, y = (jnp.asarray(normal(30, 3, seed), dtype) for seed in (0, 1))
  exact = prdc(*(np.asarray(a.astype(jnp.float32)) for a in (x, y)))
  assert prdc(x, y) == exact
  assert all(type(value) is float for value in exact.values())


def test_prdc_takes_memory_linear_in_n():
  x, y = normal(6000, 4), normal(6000, 4, seed=1)
  tracemalloc.start()
  prdc(x, y)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  # The sets, and a few temporary blocks of 16 MiB; n² entries would be 288 MB.
  assert peak < 6 * x.size * 8 + 6 * _chunked._BLOCK_ENTRIES * 8 < 6000**2 * 8 / 2


X = np.zeros((8, 2))


@pytest.mark.usefixtures("without_beartype")
@pytest.mark.parametrize(
  ("real", "generated", "options", "message"),
  [
    (X, np.zeros((8, 3)), {}, "real and generated must have one dimension"),
    (X[:5], X, {}, "real must have shape .* n at least 6"),
    (X, X[:3], {}, "generated must have shape .* n at least 4"),
    (X, X[:4], {"precision_neighbours": 4}, "n at least 5"),
    (X[0], X, {}, "real must have shape"),
    (X, X.astype(int), {}, "generated must be floating-point"),
    (X * np.nan, X, {}, "real must be finite"),
    (X, X, {"precision_neighbours": 0}, "precision_neighbours must be a whole number"),
    (X, X, {"coverage_neighbours": -1}, "coverage_neighbours must be a whole number"),
  ],
)
def test_prdc_rejects_bad_arguments(real, generated, options, message):
  with pytest.raises(ValueError, match=message):
    prdc(real, generated, **options)
