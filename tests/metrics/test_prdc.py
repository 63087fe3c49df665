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
  def reach(x, k):
    distances, _ = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(x).kneighbors()
    return distances[:, -1]

  across = cdist(real, generated)
  wide = across <= reach(real, wide_k)[:, None]
  return {
    "precision": (across <= reach(real, k)[:, None]).any(axis=0).mean(),
    "recall": (across <= reach(generated, k)).any(axis=1).mean(),
    "density": wide.sum() / (wide_k * len(generated)),
    "coverage": wide.any(axis=1).mean(),
  }


def test_by_hand():
  real = np.array([[0.0], [1.0], [3.0], [7.0]])
  generated = np.array([[2.0], [4.0], [12.0], [12.5]])
  # Real balls [−1, 1], [0, 2], [1, 5], [3, 11]: 2 (on a border) and 4 are inside, of two each.
  # Generated balls [0, 4], [2, 6], [11.5, 12.5], [12, 13]: 0 (on a border), 1, 3 are inside.
  expected = {"precision": 0.5, "recall": 0.75, "density": 4 / 4, "coverage": 0.75}
  found = prdc(real, generated, precision_neighbours=1, coverage_neighbours=1)
  assert found == expected
  # With two neighbours [−3, 3], [−1, 3], [0, 6], [1, 13]: four, two, one and one of them.
  found = prdc(real, generated, precision_neighbours=1, coverage_neighbours=2)
  assert found == expected | {"density": 8 / (2 * 4), "coverage": 1.0}
  # Turned round.
  found = prdc(generated, real, precision_neighbours=1, coverage_neighbours=1)
  assert found == {"precision": 0.75, "recall": 0.5, "density": 4 / 4, "coverage": 0.5}


@pytest.mark.parametrize("entries", [1, 200, 10**6])
@pytest.mark.parametrize(("n", "m", "d"), [(6, 4, 1), (60, 40, 3), (50, 90, 20)])
def test_nearest_neighbours_of_scikit_learn_agree(monkeypatch, entries, n, m, d):
  monkeypatch.setattr(_chunked, "_BLOCK_ENTRIES", entries)
  x, y = normal(n, d) + 5, 0.8 * normal(m, d, seed=1) + 5.2
  # Counts: equal but for a distance that is a radius to 1e-14, of which there is none.
  assert prdc(x, y) == pytest.approx(by_definition(x, y, 3, 5), rel=1e-14)
  found = prdc(x, y, precision_neighbours=2, coverage_neighbours=1)
  assert found == pytest.approx(by_definition(x, y, 2, 1), rel=1e-14)


def test_what_equal_laws_score():
  n, m, k, repeats = 40, 60, 5, 150
  scores = []
  for seed in range(repeats):
    z = normal(n + m, 3, seed=seed)
    found = prdc(z[:n], z[n:])
    scores.append((found["density"], found["coverage"]))
  mean, error = np.mean(scores, 0), np.std(scores, 0, ddof=1) / np.sqrt(repeats)
  i = np.arange(1, k + 1)
  expected = np.array([1.0, 1 - np.prod((n - i) / (n + m - i))])
  # Naeem et al., Lemmas 1 and 2, whatever the law; four standard errors.
  np.testing.assert_array_less(np.abs(mean - expected), 4 * error)
  # Off by one in k would change them by a fifth, and by some thousandths of .95.
  assert error[0] < 0.2 / 8
  shift = np.prod((n - i[:-1]) / (n + m - i[:-1])) - np.prod((n - i) / (n + m - i))
  assert error[1] < shift / 4


def test_where_the_generator_fails():
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
def test_copies_are_inside(monkeypatch, entries, shift):
  monkeypatch.setattr(_chunked, "_BLOCK_ENTRIES", entries)
  real = normal(100, 64).astype(np.float32) + np.float32(shift)
  # Each is inside its own ball and those of which it is the border: k + 1 for each real one.
  assert prdc(real, real) == {
    "precision": 1,
    "recall": 1,
    "density": (5 + 1) / 5,
    "coverage": 1,
  }


def test_coinciding_features_have_balls_of_no_size_that_hold_them():
  real = np.repeat(normal(5, 3), 10, axis=0) / 3
  found = prdc(real, real[::-1])
  assert found == {"precision": 1, "recall": 1, "density": 10 / 5, "coverage": 1}
  # And nothing else: 1e-6 is far outside.
  found = prdc(real, real + 1e-6)
  assert found == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def test_one_feature_far_away_disturbs_nobody_else():
  x, y = normal(60, 3), normal(50, 3, seed=1)
  far = np.concatenate([y, np.full((1, 3), 1e9)])
  expected, found = by_definition(x, y, 3, 5), prdc(x, far)
  # Only its own ball, which holds all, is new.
  assert found["precision"] == pytest.approx(expected["precision"] * 50 / 51, rel=1e-14)
  assert found["density"] == pytest.approx(expected["density"] * 50 / 51, rel=1e-14)
  assert found["coverage"] == pytest.approx(expected["coverage"], rel=1e-14)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_jax_arrays_of_every_float_are_welcome(dtype):
  x, y = (jnp.asarray(normal(30, 3, seed), dtype) for seed in (0, 1))
  exact = prdc(*(np.asarray(a.astype(jnp.float32)) for a in (x, y)))
  assert prdc(x, y) == exact
  assert all(type(value) is float for value in exact.values())


def test_memory_is_linear_in_n():
  x, y = normal(6000, 4), normal(6000, 4, seed=1)
  tracemalloc.start()
  prdc(x, y)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  # The sets, and a few temporaries of a block's 16 MiB; n² would be 288 MB.
  assert peak < 6 * x.size * 8 + 6 * _chunked._BLOCK_ENTRIES * 8 < 6000**2 * 8 / 2


X = np.zeros((8, 2))


@pytest.mark.usefixtures("without_beartype")
@pytest.mark.parametrize(
  ("real", "generated", "knobs", "message"),
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
def test_bad_arguments_are_refused(real, generated, knobs, message):
  with pytest.raises(ValueError, match=message):
    prdc(real, generated, **knobs)
