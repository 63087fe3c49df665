import tracemalloc

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from aejax.metrics import Neighbours, _chunked, nearest_training_images


def images(n: int, seed: int = 0) -> np.ndarray:
  return np.random.default_rng(seed).random((n, 4, 3, 2))


def single_pixels(*values: float) -> np.ndarray:
  return np.array(values).reshape(-1, 1, 1, 1)


def test_nearest_training_images_by_hand():
  training = single_pixels(0.125, 0.25, 0.75, 1.0)
  found = nearest_training_images(single_pixels(0.3125, 0.0, 0.75), training, num=2)
  assert isinstance(found, Neighbours)
  assert found.indices.tolist() == [[1, 0], [0, 1], [2, 3]]
  assert found.distances.tolist() == [[0.0625, 0.1875], [0.125, 0.25], [0.0, 0.25]]
  # The images .25 and .125 are .125 from each other; the third generated image is a copy.
  assert found.ratios.tolist() == [0.5, 1.0, 0.0]


@pytest.mark.parametrize("entries", [1, 100, 10**6])
@pytest.mark.parametrize("num", [1, 3, 30])
def test_nearest_training_images_match_scikit_learn(monkeypatch, entries, num):
  monkeypatch.setattr(_chunked, "_BLOCK_ENTRIES", entries)
  training, generated = images(30), images(11, seed=1)
  found = nearest_training_images(generated, training, num=num)
  flat = training.reshape(30, -1)
  search = NearestNeighbors(algorithm="brute").fit(flat)
  distances, indices = search.kneighbors(generated.reshape(11, -1), n_neighbors=num)
  np.testing.assert_array_equal(found.indices, indices)
  # scikit-learn uses norms and products: for 24 pixels the error is about 1e-14.
  np.testing.assert_allclose(found.distances, distances, rtol=1e-12)
  gaps = search.kneighbors(n_neighbors=1)[0][indices[:, 0], 0]
  np.testing.assert_allclose(found.ratios, distances[:, 0] / gaps, rtol=1e-12)


def test_nearest_training_images_accept_bytes():
  training, generated = (np.rint(255 * images(n, n)).astype(np.uint8) for n in (30, 11))
  found = nearest_training_images(generated, training)
  for floats in (training / 255, jnp.asarray(training)):
    again = nearest_training_images(generated / 255, floats)
    np.testing.assert_array_equal(again.indices, found.indices)
    np.testing.assert_allclose(again.distances, found.distances, rtol=1e-14)
  # Float32 rounds pixels by 6e-8, at most 1e-6 of the distances.
  again = nearest_training_images(jnp.asarray(generated / 255, jnp.float32), training)
  np.testing.assert_allclose(again.distances, found.distances, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_nearest_training_images_of_copies_are_at_distance_zero(dtype):
  training = images(40)
  training = np.rint(255 * training).astype(dtype) if dtype == np.uint8 else training.astype(dtype)
  found = nearest_training_images(training[7:20], training)
  assert found.indices[:, 0].tolist() == list(range(7, 20))
  assert (found.distances == 0).all()
  assert (found.ratios == 0).all()


def test_ratios_ignore_duplicate_training_images():
  training = images(20)
  generated = images(5, seed=1)
  once = nearest_training_images(generated, training)
  twice = nearest_training_images(generated, np.concatenate([training, training]))
  np.testing.assert_allclose(twice.distances, once.distances, rtol=1e-14)
  np.testing.assert_allclose(twice.ratios, once.ratios, rtol=1e-14)
  np.testing.assert_array_equal(twice.indices % 20, once.indices)


def test_ratios_distinguish_new_images_from_memorised_ones():
  generator = np.random.default_rng(0)
  training, fresh = generator.standard_normal((2, 300, 6, 6, 1)) / 10 + 0.5
  ratios = nearest_training_images(fresh, training).ratios
  # New images are exchangeable with training images: the ratio compares the nearest of 300 with the
  # nearest of 299. The latter is of an image in a dense region, but in 36 dimensions both vary
  # little.
  assert 0.9 < np.median(ratios) < 1.2
  blurred = training + 0.01 * generator.standard_normal(training.shape)
  ratios = nearest_training_images(blurred, training).ratios
  # The noise is a tenth of the deviation; neighbours are at most 1.4 deviations apart.
  assert np.max(ratios) < 0.25


def test_nearest_training_images_take_bounded_memory():
  training = np.random.default_rng(0).integers(0, 256, (40_000, 8, 8, 1), np.uint8)
  generated = training[:500] / 255
  tracemalloc.start()
  nearest_training_images(generated, training)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  # A few temporary blocks of 16 MiB; all distances would take 160 MB.
  assert peak < 9 * _chunked._BLOCK_ENTRIES * 8 < 500 * 40_000 * 8


X = np.zeros((4, 2, 2, 1))


@pytest.mark.usefixtures("without_beartype")
@pytest.mark.parametrize(
  ("generated", "training", "num", "message"),
  [
    (X, np.zeros((4, 2, 3, 1)), 1, r"one shape, but hold \[2, 2, 1\] and \[2, 3, 1\]"),
    (X[:0], X, 1, "generated must be a non-empty"),
    (X, np.zeros(4), 1, "training must be a non-empty"),
    (X, X.astype(int), 1, "training must be uint8, or floats"),
    (X, X, 0, "num must be a whole number from 1 up, but is 0"),
    (X, X, 5, "num must be between 1 and 4, but is 5"),
    (X * np.nan, X, 1, "generated must be finite"),
    (X, X + np.inf, 1, "training must be finite"),
    (X, X, 1, "training must hold two different images"),
  ],
)
def test_nearest_training_images_reject_bad_arguments(generated, training, num, message):
  with pytest.raises(ValueError, match=message):
    nearest_training_images(generated, training, num=num)
