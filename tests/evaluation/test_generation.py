import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax.autoencoder import Posterior
from aejax.data import Dataset
from aejax.evaluation.generation import (
  fit_samplers,
  generation_metrics,
  likelihood_metrics,
  nearest,
)
from aejax.metrics import Extractor, frechet_distance, kernel_distance_in_blocks, prdc
from aejax.metrics.inception import _Inception
from aejax.training import TrainedAutoencoder

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def samplers(trained, digits):
  return fit_samplers(trained, digits, key=KEY)


@pytest.fixture(scope="module")
def reconstructions(trained, digits):
  return trained.reconstruct(digits.test)


def test_fit_samplers_have_the_moments_of_the_training_latents(trained, digits, samplers):
  latents = np.asarray(trained.encode(digits.train))
  assert set(samplers) == {"prior", "gaussian", "mixture"}
  for name in ("gaussian", "mixture"):
    drawn = np.asarray(samplers[name].sample(KEY, 20_000))
    # With 20,000 draws a mean has the error σ/141, and a variance a relative error of 1 %.
    scale = latents.std(axis=0)
    assert np.all(abs(drawn.mean(0) - latents.mean(0)) < 5 * scale / 141)
    np.testing.assert_allclose(drawn.std(0), scale, rtol=0.06)


def test_fit_samplers_fit_draws_of_a_gaussian_encoder(vae, digits):
  """The means are all the same: only draws vary, with the variance 4 of the posteriors."""
  constant = TrainedAutoencoder(vae.configuration, vae.model, 0)
  constant._posterior = lambda images: Posterior(
    jnp.ones((len(images), 2)), jnp.full((len(images), 2), jnp.log(4.0))
  )
  samplers = fit_samplers(constant, digits, key=KEY)
  gaussian, mixture = samplers["gaussian"], samplers["mixture"]
  # With 1438 draws a variance has a relative error of sqrt(2 / 1438) = 4 %.
  np.testing.assert_allclose(gaussian.factor @ gaussian.factor.T, 4 * np.eye(2), atol=0.8)
  assert np.asarray(mixture.sample(KEY, 5000)).std(0) == pytest.approx(2, rel=0.2)


def test_fit_samplers_take_fewer_components_for_few_images(trained, digits):
  few = Dataset("few", digits.train[:35], digits.test[:20])
  assert len(fit_samplers(trained, few, key=KEY)["mixture"].weights) == 3


def test_generation_metrics_call_only_inceptions_distances_fid(
  trained, digits, samplers, reconstructions, pixel_extractor
):
  """With a stand-in of the class that only `inception` returns."""
  options = dict(reconstructions=reconstructions, key=KEY)
  inception = _Inception("inception", pixel_extractor.function)
  found = generation_metrics(trained, digits, inception, samplers, **options)
  pixels = generation_metrics(trained, digits, pixel_extractor, samplers, **options)
  renamed = {
    name.replace("frechet_pixels", "fid").replace("kernel_pixels", "kid"): value
    for name, value in pixels.items()
  }
  assert found == {name.replace("pixels", "inception"): v for name, v in renamed.items()}
  assert {"fid", "fid_reconstructions", "kid_standard_error", "recall_inception"} < set(found)
  namesake = Extractor("inception", pixel_extractor.function)
  assert "fid" not in generation_metrics(trained, digits, namesake, samplers, **options)


def test_generation_metrics_compare_features(
  trained, digits, samplers, reconstructions, pixel_extractor
):
  found = generation_metrics(
    trained, digits, pixel_extractor, samplers, reconstructions=reconstructions, key=KEY
  )
  real = pixel_extractor(digits.test)
  keys = dict(zip(samplers, jax.random.split(KEY, 3), strict=True))
  generated = {
    name: pixel_extractor(trained.decode(sampler.sample(keys[name], len(digits.test))))
    for name, sampler in samplers.items()
  }
  kernel = kernel_distance_in_blocks(real, generated["prior"], key=KEY)
  assert found == {
    "frechet_pixels": frechet_distance(real, generated["prior"]),
    "frechet_pixels_gaussian": frechet_distance(real, generated["gaussian"]),
    "frechet_pixels_mixture": frechet_distance(real, generated["mixture"]),
    "frechet_pixels_reconstructions": frechet_distance(real, pixel_extractor(reconstructions)),
    "kernel_pixels": kernel.value,
    "kernel_pixels_standard_error": kernel.standard_error,
    **{f"{name}_pixels": value for name, value in prdc(real, generated["prior"]).items()},
  }


def test_generation_metrics_of_the_test_set_are_perfect(trained, digits, samplers, pixel_extractor):
  perfect = TrainedAutoencoder(trained.configuration, trained.model, trained.step)
  images = jnp.asarray(digits.test) / 255
  perfect.decode = lambda latents: images
  found = generation_metrics(
    perfect, digits, pixel_extractor, samplers, reconstructions=images, key=KEY
  )
  assert found["frechet_pixels"] == pytest.approx(0, abs=1e-9)
  assert found["precision_pixels"] == found["recall_pixels"] == found["coverage_pixels"] == 1
  assert abs(found["kernel_pixels"]) < 5 * found["kernel_pixels_standard_error"]


def test_generation_metrics_need_twenty_images(
  trained, digits, samplers, reconstructions, pixel_extractor
):
  few = Dataset("few", digits.train, digits.test[:19])
  options = dict(reconstructions=reconstructions[:19], key=KEY)
  assert generation_metrics(trained, few, pixel_extractor, samplers, **options) == {}


def test_likelihood_metrics_are_for_vaes_with_a_weight(trained, vae, digits):
  assert likelihood_metrics(trained, digits, key=KEY) == {}
  configuration = dataclasses.replace(vae.configuration, objective={"beta": 0.0})
  weightless = TrainedAutoencoder(configuration, vae.model, 0)
  assert likelihood_metrics(weightless, digits, key=KEY) == {}


def test_nearest_finds_training_images(digits):
  found = nearest(jnp.asarray(digits.train[[7, 3]]) / 255, digits)
  assert found is not None
  assert found.indices[:, 0].tolist() == [7, 3]
  np.testing.assert_allclose(found.ratios, 0, atol=1e-6)  # a byte over 255 is rounded


def test_nearest_is_none_for_equal_training_images(digits):
  same = Dataset("same", np.repeat(digits.train[:1], 30, 0), digits.test)
  assert nearest(jnp.asarray(digits.train[:2]) / 255, same) is None
