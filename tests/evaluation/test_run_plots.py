import dataclasses
import json

import jax
import numpy as np
import pytest
from PIL import Image

import aejax
from aejax.data import Dataset
from aejax.evaluation import Outputs, diagnostics, figures, plot_run
from aejax.evaluation._palette import class_colours
from aejax.metrics import nearest_training_images
from aejax.training import TrainedAutoencoder


def test_plot_run_draws_two_dimensional_latents(digits_run):
  for name in ("samples", "reconstructions", "interpolations", "latents", "plane"):
    with Image.open(digits_run / f"{name}.png") as image:
      assert min(image.size) > 50
      low, high = image.convert("L").getextrema()
      assert low < high  # the image is not blank


def test_plot_run_works_with_few_images_without_labels(trained, digits, tmp_path):
  dataset = Dataset("few", digits.train, digits.test[:3])
  names = [path.name for path in plot_run(tmp_path, trained, dataset)]
  assert names[:3] == ["samples.png", "reconstructions.png", "interpolations.png"]
  interactive = {"plane.json", "plane_tiles.png"}
  assert {path.name for path in tmp_path.iterdir()} == {*names, *interactive}


def test_plot_run_draws_the_latent_plane_for_two_latents_only(trained, few, tmp_path):
  other = TrainedAutoencoder(
    dataclasses.replace(trained.configuration, latent_dim=3),
    aejax.networks.build("linear", (8, 8, 1), latent_dim=3, key=jax.random.key(0)),
    0,
  )
  names = {path.name for path in plot_run(tmp_path, other, few)}
  assert names >= {"samples.png", "marginals.png", "quantiles.png", "pairs.png"}
  assert not names & {"latents.png", "plane.png"}


@pytest.fixture
def plotted(vae, few, tmp_path, monkeypatch):
  """The arguments of each plot of a run of a VAE, by file name; nothing is drawn."""
  calls = {}

  def record(path, *arguments, **options):
    calls[path.name] = (*arguments, *options.values())
    return path

  for module in (figures, diagnostics):
    for name in module.__all__:
      if name.startswith("save_"):
        monkeypatch.setattr(module, name, record)
  epochs = [{"epoch": 1, "penalty": 2.0}, {"epoch": 2, "penalty": 1.0}]
  (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in epochs))
  paths = plot_run(tmp_path, vae, few)
  assert [path.name for path in paths] == list(calls)
  assert calls["curves.png"] == (epochs,)
  return calls


def test_plot_run_draws_samples_of_the_seed(plotted, vae, few):
  samples = vae.generate(jax.random.key(3), 64)
  np.testing.assert_array_equal(plotted["samples.png"][0], samples)
  shown, neighbours, names = plotted["neighbours.png"]
  np.testing.assert_array_equal(shown, samples[:24])
  indices = nearest_training_images(samples[:24], few.train).indices[:, 0]
  np.testing.assert_allclose(neighbours, few.train[indices] / 255, rtol=1e-6)
  assert names == ("sample", "nearest in training set")


def test_plot_run_draws_reconstructions_of_test_images(plotted, vae, few):
  images, reconstructions = plotted["reconstructions.png"]
  np.testing.assert_allclose(images, few.test[:24] / 255, rtol=1e-6)
  np.testing.assert_allclose(reconstructions, vae.reconstruct(few.test[:24]), atol=1e-6)


def test_plot_run_interpolates_between_two_test_images(plotted, vae, few):
  (images,) = plotted["interpolations.png"]
  assert images.shape == (8, 11, 8, 8, 1)
  ends = np.asarray(vae.reconstruct(few.test[:16]))
  np.testing.assert_allclose(images[:, 0], ends[:8], atol=1e-6)
  np.testing.assert_allclose(images[:, -1], ends[8:], atol=1e-6)
  means = np.asarray(vae.encode(few.test[:16]))
  middle = vae.decode((means[:8] + means[8:]) / 2)
  np.testing.assert_allclose(images[:, 5], middle, atol=1e-6)


def test_plot_run_draws_latents_that_are_draws(plotted, vae, few):
  """One draw from each posterior, as the prior is compared with."""
  noise_key, directions_key = jax.random.split(jax.random.key(0))
  draws = vae.encode(few.test, key=noise_key)
  for name in ("marginals.png", "quantiles.png", "pairs.png", "latents.png"):
    np.testing.assert_array_equal(plotted[name][0], draws)
  assert plotted["quantiles.png"][1] == directions_key
  np.testing.assert_array_equal(plotted["latents.png"][1], few.test_labels)


def test_plot_run_uses_given_outputs(vae, few, tmp_path, monkeypatch):
  outputs = Outputs.of(vae, few)
  monkeypatch.setattr(TrainedAutoencoder, "posterior", None)
  assert plot_run(tmp_path, vae, few, outputs=outputs)


def test_plot_run_writes_the_interactive_plane(vae, few, tmp_path):
  plot_run(tmp_path, vae, few)
  plane = json.loads((tmp_path / "plane.json").read_text())
  (only,) = plane["planes"]
  assert (only["extent"], only["axes"], plane["side"]) == (3.0, ["z₁", "z₂"], 40)
  assert plane["circles"] == [1, 2]
  points = np.array([point[:2] for point in only["points"]])
  np.testing.assert_allclose(points, vae.encode(few.test), atol=6e-4)
  assert [point[2] for point in only["points"]] == few.test_labels.tolist()
  assert plane["colours"] == class_colours(10)
  assert plane["classes"] == [[str(k), colour] for k, colour in enumerate(class_colours(10))]
