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


def test_by_hand():
  training = single_pixels(0.125, 0.25, 0.75, 1.0)
  found = nearest_training_images(single_pixels(0.3125, 0.0, 0.75), training, num=2)
  assert isinstance(found, Neighbours)
  assert found.indices.tolist() == [[1, 0], [0, 1], [2, 3]]
  assert found.distances.tolist() == [[0.0625, 0.1875], [0.125, 0.25], [0.0, 0.25]]
  # .25 is .125 from its neighbour, and so is .125; the third is a copy.
  assert found.ratios.tolist() == [0.5, 1.0, 0.0]


@pytest.mark.parametrize("entries", [1, 100, 10**6])
@pytest.mark.parametrize("num", [1, 3, 30])
def test_nearest_neighbours_of_scikit_learn_agree(monkeypatch, entries, num):
  monkeypatch.setattr(_chunked, "_BLOCK_ENTRIES", entries)
  training, generated = images(30), images(11, seed=1)
  found = nearest_training_images(generated, training, num=num)
  flat = training.reshape(30, -1)
  search = NearestNeighbors(algorithm="brute").fit(flat)
  distances, indices = search.kneighbors(generated.reshape(11, -1), n_neighbors=num)
  np.testing.assert_array_equal(found.indices, indices)
  # Theirs are from norms and products: 24 pixels, hence some 1e-14 of distances near 1.
  np.testing.assert_allclose(found.distances, distances, rtol=1e-12)
  apart = search.kneighbors(n_neighbors=1)[0][indices[:, 0], 0]
  np.testing.assert_allclose(found.ratios, distances[:, 0] / apart, rtol=1e-12)


def test_bytes_are_pixels():
  training, generated = (np.rint(255 * images(n, n)).astype(np.uint8) for n in (30, 11))
  found = nearest_training_images(generated, training)
  for floats in (training / 255, jnp.asarray(training)):
    again = nearest_training_images(generated / 255, floats)
    np.testing.assert_array_equal(again.indices, found.indices)
    np.testing.assert_allclose(again.distances, found.distances, rtol=1e-14)
  # Float32 rounds pixels to 6e-8, which is 1e-6 of the distances at most.
  again = nearest_training_images(jnp.asarray(generated / 255, jnp.float32), training)
  np.testing.assert_allclose(again.distances, found.distances, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_copies_are_at_distance_zero(dtype):
  training = images(40)
  training = np.rint(255 * training).astype(dtype) if dtype == np.uint8 else training.astype(dtype)
  found = nearest_training_images(training[7:20], training)
  assert found.indices[:, 0].tolist() == list(range(7, 20))
  assert (found.distances == 0).all()
  assert (found.ratios == 0).all()


def test_a_training_image_twice_is_no_neighbour_of_itself():
  training = images(20)
  generated = images(5, seed=1)
  once = nearest_training_images(generated, training)
  twice = nearest_training_images(generated, np.concatenate([training, training]))
  np.testing.assert_allclose(twice.distances, once.distances, rtol=1e-14)
  np.testing.assert_allclose(twice.ratios, once.ratios, rtol=1e-14)
  np.testing.assert_array_equal(twice.indices % 20, once.indices)


def test_what_is_fresh_and_what_is_memorised():
  generator = np.random.default_rng(0)
  training, fresh = generator.standard_normal((2, 300, 6, 6, 1)) / 10 + 0.5
  ratios = nearest_training_images(fresh, training).ratios
  # Exchangeable with the training images: the nearest of 300 against the nearest of 299, though of
  # an image that is a neighbour, hence rather in the crowd. In 36 dimensions neither varies much.
  assert 0.9 < np.median(ratios) < 1.2
  blurred = training + 0.01 * generator.standard_normal(training.shape)
  ratios = nearest_training_images(blurred, training).ratios
  # A tenth of the deviation from the original; neighbours are 1.4 deviations apart at most.
  assert np.max(ratios) < 0.25


def test_memory_does_not_grow_with_the_training_images():
  training = np.random.default_rng(0).integers(0, 256, (40_000, 8, 8, 1), np.uint8)
  generated = training[:500] / 255
  tracemalloc.start()
  nearest_training_images(generated, training)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  # Some temporaries of a block's 16 MiB; all the distances would be 160 MB.
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
def test_bad_arguments_are_refused(generated, training, num, message):
  with pytest.raises(ValueError, match=message):
    nearest_training_images(generated, training, num=num)
