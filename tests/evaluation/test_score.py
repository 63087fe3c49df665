import dataclasses
import json
import math
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import aejax
from aejax import data
from aejax.autoencoder import Posterior
from aejax.data import Dataset
from aejax.evaluation import plot_run, score, table
from aejax.metrics import latent_metrics
from aejax.metrics.features import Extractor
from aejax.training.trained import TrainedAutoencoder

KEYS = {
  "method",
  "dataset",
  "network",
  "latent_dim",
  "steps",
  "test_images",
  "reconstruction_error",
  "mardia_skewness",
  "mardia_kurtosis",
  "cramer_wold",
  "sliced_wasserstein",
  "mmd",
  "energy_distance",
  "seconds",
  "images_per_second",
  "normal_latents",
  "frechet_classifier",
  "frechet_classifier_gaussian",
  "frechet_classifier_mixture",
  "frechet_classifier_reconstructions",
  "kernel_classifier",
  "kernel_classifier_standard_error",
  "precision_classifier",
  "recall_classifier",
  "density_classifier",
  "coverage_classifier",
}


@pytest.fixture(scope="module")
def trained(digits_run):
  return aejax.load(digits_run)


@pytest.fixture(scope="module")
def digits():
  return data.load("digits")


def test_summary_of_a_run(digits_run, trained, digits):
  summary = json.loads((digits_run / "summary.json").read_text())
  assert set(summary) == KEYS
  assert summary["method"] == "cwae"
  assert summary["dataset"] == "digits"
  assert summary["steps"] == 22
  assert summary["test_images"] == len(digits.test) == 359
  assert all(math.isfinite(v) for v in summary.values() if isinstance(v, float))

  latents = trained.encode(digits.test)
  key = jax.random.split(jax.random.key(0))[1]
  for name, value in latent_metrics(latents, key=key).items():
    # The same functions on the same latents; float32 may sum in another order.
    assert summary[name] == pytest.approx(value, rel=1e-4, abs=1e-6)
  difference = np.asarray(trained.reconstruct(digits.test)) - digits.test / 255
  expected = np.sum(difference**2) / len(digits.test)
  assert summary["reconstruction_error"] == pytest.approx(expected, rel=1e-5)


def test_an_extractor_of_ones_own(digits_run, trained, digits, tmp_path):
  """Beside the classifier's, whose figures it does not change."""
  extractor = Extractor("pixels", lambda images: images.reshape(len(images), -1)[:, ::7])
  before = json.loads((digits_run / "summary.json").read_text())
  found = score(tmp_path, trained, digits, extractor=extractor)
  assert {"frechet_pixels", "frechet_pixels_mixture", "kernel_pixels"} < set(found)
  for name in set(found) & set(before) - {"normal_latents"}:
    assert found[name] == before[name]
  few = Dataset("digits", digits.train, digits.test[:19])
  with pytest.raises(ValueError, match="pixels are compared for 20 test images at least, but dig"):
    score(tmp_path, trained, few, extractor=extractor)


def test_scoring_again_keeps_the_timing(digits_run, trained, digits, tmp_path):
  shutil.copy(digits_run / "summary.json", tmp_path)
  before = json.loads((tmp_path / "summary.json").read_text())
  assert score(tmp_path, trained, digits) == before
  assert json.loads((tmp_path / "summary.json").read_text()) == before
  after = score(tmp_path, trained, digits, timing={"seconds": 7.0, "images_per_second": 8.0})
  assert after == before | {"seconds": 7.0, "images_per_second": 8.0}
  (tmp_path / "summary.json").write_text("{")
  with pytest.raises(ValueError, match="is damaged"):
    score(tmp_path, trained, digits)


def test_a_figure_that_is_not_finite_is_an_error(trained, digits, tmp_path):
  broken = TrainedAutoencoder(trained.configuration, trained.model, trained.step)
  # Squares of such latents are infinite in float32, and the distances NaN.
  broken._posterior = lambda images: Posterior(jnp.full((len(images), 2), 1e30), None)
  broken._decode = lambda latents: jnp.zeros((len(latents), 8, 8, 1))
  with pytest.raises(ValueError, match=r"The \w+ of the run in .* is (nan|inf)"):
    score(tmp_path, broken, digits)
  assert list(tmp_path.iterdir()) == []


def test_pictures_of_a_run_with_two_latents(digits_run):
  for name in ("samples", "reconstructions", "interpolations", "latents", "plane"):
    with Image.open(digits_run / f"{name}.png") as image:
      assert min(image.size) > 50
      low, high = image.convert("L").getextrema()
      assert low < high  # something is drawn


def test_few_test_images_without_labels_will_do(trained, digits, tmp_path):
  few = Dataset("few", digits.train, digits.test[:3])
  names = [path.name for path in plot_run(tmp_path, trained, few)]
  assert names[:3] == ["samples.png", "reconstructions.png", "interpolations.png"]
  of_the_report = {"plane.json", "plane_tiles.png"}
  assert {path.name for path in tmp_path.iterdir()} == {*names, *of_the_report}


def test_the_latent_plane_is_for_two_latents_only(trained, digits, tmp_path):
  other = TrainedAutoencoder(
    dataclasses.replace(trained.configuration, latent_dim=3),
    aejax.networks.build("linear", (8, 8, 1), latent_dim=3, key=jax.random.key(0)),
    0,
  )
  names = {path.name for path in plot_run(tmp_path, other, digits)}
  assert names >= {"samples.png", "marginals.png", "quantiles.png", "pairs.png"}
  assert not names & {"latents.png", "plane.png"}


def test_table():
  figures = {"method": "cwae", "reconstruction_error": 1.234567891, "mmd": 0.01, "steps": 22}
  text = table({**figures, "normal_latents": {"mmd": -0.00036}})
  assert text.splitlines() == [
    "method                cwae",
    "reconstruction_error  1.2346",
    "mmd                   0.01          normal latents -0.00036",
    "steps                 22",
  ]
  longer = table({"frechet_classifier_reconstructions": 1.0})
  assert longer == "frechet_classifier_reconstructions  1"
