import jax
import jax.numpy as jnp
import numpy as np
import pytest

import aejax
from aejax import data
from aejax.data import Dataset
from aejax.evaluation.generation import (
  fit_samplers,
  generation_metrics,
  likelihood_metrics,
  nearest,
)
from aejax.metrics.features import Extractor
from aejax.metrics.frechet import frechet_distance
from aejax.metrics.inception import _Inception
from aejax.training.trained import TrainedAutoencoder

KEY = jax.random.key(0)
PIXELS = Extractor("pixels", lambda images: images.reshape(len(images), -1)[:, ::7])


@pytest.fixture(scope="module")
def digits():
  return data.load("digits")


@pytest.fixture(scope="module")
def trained(digits_run):
  return aejax.load(digits_run)


@pytest.fixture(scope="module")
def samplers(trained, digits):
  return fit_samplers(trained, digits, key=KEY)


def test_fitted_samplers_have_the_moments_of_the_training_latents(trained, digits, samplers):
  latents = np.asarray(trained.encode(digits.train))
  assert set(samplers) == {"prior", "gaussian", "mixture"}
  for name in ("gaussian", "mixture"):
    drawn = np.asarray(samplers[name].sample(KEY, 20_000))
    # Of 20,000 draws the mean is off by σ/141, and a variance by its hundredth.
    scale = latents.std(axis=0)
    assert np.all(abs(drawn.mean(0) - latents.mean(0)) < 5 * scale / 141)
    np.testing.assert_allclose(drawn.std(0), scale, rtol=0.06)


def test_only_inceptions_distances_are_called_fid(trained, digits, samplers):
  """A stand-in of the class that only `inception` makes; the values are those of its features."""
  inception = _Inception("inception", PIXELS.function)
  found = generation_metrics(trained, digits, inception, samplers, key=KEY)
  pixels = generation_metrics(trained, digits, PIXELS, samplers, key=KEY)
  renamed = {
    name.replace("frechet_pixels", "fid").replace("kernel_pixels", "kid"): value
    for name, value in pixels.items()
  }
  assert found == {name.replace("pixels", "inception"): v for name, v in renamed.items()}
  assert {"fid", "fid_reconstructions", "kid_standard_error", "recall_inception"} < set(found)
  namesake = Extractor("inception", PIXELS.function)
  assert "fid" not in generation_metrics(trained, digits, namesake, samplers, key=KEY)


def test_generation_metrics(trained, digits, samplers):
  found = generation_metrics(trained, digits, PIXELS, samplers, key=KEY)
  assert set(found) == {
    "frechet_pixels",
    "frechet_pixels_gaussian",
    "frechet_pixels_mixture",
    "frechet_pixels_reconstructions",
    "kernel_pixels",
    "kernel_pixels_standard_error",
    "precision_pixels",
    "recall_pixels",
    "density_pixels",
    "coverage_pixels",
  }
  reconstructed = PIXELS(trained.reconstruct(digits.test))
  expected = frechet_distance(PIXELS(digits.test), reconstructed)
  assert found["frechet_pixels_reconstructions"] == pytest.approx(expected, rel=1e-6)
  assert generation_metrics(trained, digits, PIXELS, samplers, key=KEY) == found


def test_a_model_that_generates_the_test_set_is_perfect(trained, digits, samplers):
  perfect = TrainedAutoencoder(trained.configuration, trained.model, trained.step)
  perfect.decode = lambda latents: jnp.asarray(digits.test) / 255
  found = generation_metrics(perfect, digits, PIXELS, samplers, key=KEY)
  assert found["frechet_pixels"] == pytest.approx(0, abs=1e-9)
  assert found["precision_pixels"] == found["recall_pixels"] == found["coverage_pixels"] == 1
  assert abs(found["kernel_pixels"]) < 5 * found["kernel_pixels_standard_error"]


def test_too_few_to_compare(trained, digits, samplers):
  few = Dataset("few", digits.train, digits.test[:19])
  assert generation_metrics(trained, few, PIXELS, samplers, key=KEY) == {}


def test_the_bound_is_for_variational_autoencoders(trained, digits):
  assert likelihood_metrics(trained, digits, key=KEY) == {}


def test_nearest(digits):
  found = nearest(jnp.asarray(digits.train[[7, 3]]) / 255, digits)
  assert found is not None
  assert found.indices[:, 0].tolist() == [7, 3]
  np.testing.assert_allclose(found.ratios, 0, atol=1e-6)  # a byte over 255 is rounded
  same = Dataset("same", np.repeat(digits.train[:1], 30, 0), digits.test)
  assert nearest(jnp.asarray(digits.train[:2]) / 255, same) is None
