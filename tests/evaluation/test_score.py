import dataclasses
import json
import math
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import aejax
from aejax import AejaxWarning, metrics
from aejax._files import read_json
from aejax.autoencoder import Posterior
from aejax.data import Dataset
from aejax.evaluation import Outputs, evaluate, score, summarise
from aejax.evaluation.generation import fit_samplers, generation_metrics
from aejax.training import Run, TrainedAutoencoder
from aejax.training.configuration import write

KEYS = {
  "method",
  "dataset",
  "network",
  "latent_dim",
  "steps",
  "test_images",
  "reconstruction_error",
  "knn_accuracy",
  "linear_probe_accuracy",
  "mardia_skewness",
  "mardia_kurtosis",
  "cramer_wold",
  "sliced_wasserstein",
  "mmd",
  "energy_distance",
  "seconds",
  "images_per_second",
  "normal_latents",
  "prior_test",
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
TIMING = {"seconds": 7.0, "images_per_second": 8.0}


def scoring_key(index):
  """The key of the draws from posteriors (0) or of the directions (1)."""
  return jax.random.split(jax.random.key(0))[index]


def generation_key(index):
  """The key of the fitted densities (0), of generated images (1), or of the likelihood (2)."""
  return jax.random.split(jax.random.key(1), 3)[index]


def copy(trained):
  return TrainedAutoencoder(trained.configuration, trained.model, trained.step)


def test_evaluate_writes_the_summary(digits_run, trained, digits):
  summary = json.loads((digits_run / "summary.json").read_text())
  assert set(summary) == KEYS
  assert summary["method"] == "cwae"
  assert summary["dataset"] == "digits"
  assert summary["steps"] == 22
  assert summary["test_images"] == len(digits.test) == 359
  assert all(math.isfinite(v) for v in summary.values() if isinstance(v, float))

  latents = trained.encode(digits.test)
  for name, value in metrics.latent_metrics(latents, key=scoring_key(1)).items():
    # The same functions on the same latents; float32 sums may have another order.
    assert summary[name] == pytest.approx(value, rel=1e-4, abs=1e-6)
  difference = np.asarray(trained.reconstruct(digits.test)) - digits.test / 255
  expected = np.sum(difference**2) / len(digits.test)
  assert summary["reconstruction_error"] == pytest.approx(expected, rel=1e-5)
  accuracies = metrics.label_accuracy(
    trained.encode(digits.train), digits.train_labels, latents, digits.test_labels
  )
  assert {name: summary[name] for name in accuracies} == pytest.approx(accuracies)
  assert 0.2 < accuracies["linear_probe_accuracy"] < 1


def test_evaluate_scores_samples_with_fixed_keys(digits_run, trained, digits):
  summary = read_json(digits_run / "summary.json")
  samplers = fit_samplers(trained, digits, key=generation_key(0))
  expected = generation_metrics(
    trained,
    digits,
    metrics.classifier("digits"),
    samplers,
    reconstructions=trained.reconstruct(digits.test),
    key=generation_key(1),
  )
  for name, value in expected.items():
    assert summary[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
  baseline = metrics.normal_baseline(len(digits.test), 2, key=jax.random.key(2))
  references = {name: reference.mean for name, reference in baseline.items()}
  assert summary["normal_latents"] == pytest.approx(references, rel=1e-4, abs=1e-6)
  test = summary["prior_test"]
  assert set(test) == set(metrics.PriorTest._fields)
  assert test["statistic"] == pytest.approx(summary["cramer_wold"], rel=1e-4)
  # The mean of 100 sets is known to 10 % of their deviation, that of five sets to 45 %.
  assert test["null_mean"] == pytest.approx(
    references["cramer_wold"], abs=2 * test["null_standard_deviation"]
  )
  assert 0 <= test["p_value"] <= 1


def test_evaluate_scores_draws_of_a_vae(vae, few, tmp_path):
  """The latent metrics take one draw from each posterior; the active units take the means."""
  summary = evaluate(tmp_path, vae, few)
  posterior = vae.posterior(few.test)
  draws = posterior.sample(scoring_key(0))
  expected = metrics.latent_metrics(draws, key=scoring_key(1))
  assert {name: summary[name] for name in expected} == expected
  means = metrics.latent_metrics(posterior.mean, key=scoring_key(1))
  assert abs(means["mmd"] - expected["mmd"]) > 0.01
  error = np.square(np.asarray(vae.decode(posterior.mean)) - few.test / 255).sum() / 60
  assert summary["reconstruction_error"] == pytest.approx(error, rel=1e-5)
  bound = metrics.importance_weighted_bound(
    vae.model,
    few.test,
    objective=vae.configuration.make_objective(),
    key=generation_key(2),
    samples=100,
  )
  assert summary["log_likelihood_bound_100"] == pytest.approx(bound.mean(), rel=1e-6)
  assert summary["active_units"] == 2


def test_evaluate_warns_of_posterior_collapse(vae, few, tmp_path):
  """The draws vary; the means do not."""
  collapsed = copy(vae)
  collapsed._posterior = lambda images: Posterior(
    jnp.tile(jnp.asarray([[0.5, -1.0]]), (len(images), 1)), jnp.zeros((len(images), 2))
  )
  with pytest.warns(AejaxWarning, match=r"posterior collapse: 0 of 2 latent dimensions"):
    summary = evaluate(tmp_path, collapsed, few)
  assert summary["active_units"] == 0


def test_evaluate_adds_an_extractor(digits_run, trained, digits, pixel_extractor, tmp_path):
  """The metrics of the classifier's features stay the same."""
  before = json.loads((digits_run / "summary.json").read_text())
  found = evaluate(tmp_path, trained, digits, extractor=pixel_extractor)
  assert {"frechet_pixels", "frechet_pixels_mixture", "kernel_pixels"} < set(found)
  for name in set(found) & set(before) - {"normal_latents"}:
    assert found[name] == before[name]


def test_evaluate_rejects_too_few_images_for_an_extractor(
  trained, digits, pixel_extractor, tmp_path
):
  dataset = Dataset("digits", digits.train, digits.test[:19])
  match = "pixels are compared for at least 20 test images, but digits has 19"
  with pytest.raises(ValueError, match=match):
    evaluate(tmp_path, trained, dataset, extractor=pixel_extractor)


def test_evaluate_takes_the_classifier_for_original_sizes_only(trained, few, tmp_path):
  configuration = dataclasses.replace(trained.configuration, image_size=8)
  resized = TrainedAutoencoder(configuration, trained.model, trained.step)
  assert "frechet_classifier" not in evaluate(tmp_path, resized, few)


def test_evaluate_keeps_the_timing(digits_run, trained, digits, tmp_path):
  shutil.copy(digits_run / "summary.json", tmp_path)
  before = json.loads((tmp_path / "summary.json").read_text())
  assert evaluate(tmp_path, trained, digits) == before
  assert json.loads((tmp_path / "summary.json").read_text()) == before
  assert evaluate(tmp_path, trained, digits, timing=TIMING) == before | TIMING


def test_evaluate_rejects_a_damaged_summary(trained, few, tmp_path):
  (tmp_path / "summary.json").write_text("{")
  with pytest.raises(ValueError, match="is damaged"):
    evaluate(tmp_path, trained, few)


def test_evaluate_rejects_a_metric_that_is_not_finite(trained, few, tmp_path):
  broken = copy(trained)
  # Squares of these latents overflow in float32, and the distances are NaN.
  broken._posterior = lambda images: Posterior(jnp.full((len(images), 2), 1e30), None)
  broken._decode = lambda latents: jnp.zeros((len(latents), 8, 8, 1))
  with pytest.raises(ValueError, match=r"The \w+ of the run in .* is (nan|inf)"):
    evaluate(tmp_path, broken, few)
  assert list(tmp_path.iterdir()) == []


def test_evaluate_uses_given_outputs(trained, few, tmp_path):
  z = jax.random.normal(jax.random.key(5), (60, 2))
  outputs = Outputs(z, z, jnp.asarray(few.test, jnp.float32) / 255)
  summary = evaluate(tmp_path, trained, few, outputs=outputs)
  assert summary["reconstruction_error"] == 0
  assert summary["frechet_classifier_reconstructions"] == pytest.approx(0, abs=1e-6)
  assert summary["mmd"] == metrics.latent_metrics(z, key=scoring_key(1))["mmd"]


def test_outputs_of_a_vae(vae, few):
  outputs = Outputs.of(vae, few)
  posterior = vae.posterior(few.test)
  np.testing.assert_array_equal(outputs.means, posterior.mean)
  np.testing.assert_array_equal(outputs.latents, posterior.sample(scoring_key(0)))
  np.testing.assert_array_equal(outputs.reconstructions, vae.reconstruct(few.test))


class FakeRun(Run):
  """A run with given autoencoders in place of checkpoints, one a seed."""

  def __init__(self, workdir, dataset, models):
    super().__init__(models[0].configuration, workdir, dataset)
    self.models = models
    if len(models) == 1:
      write(workdir, self.configuration)

  @property
  def seeds(self):
    if len(self.models) == 1:
      return [self]
    return [
      FakeRun(self.workdir / f"seed-{seed}", self.dataset, [model])
      for seed, model in enumerate(self.models)
    ]

  def load(self, *, best=False):
    return self.models[0]


@pytest.fixture(scope="module")
def models(trained):
  """The linear CWAE, and the same network untrained."""
  model = aejax.networks.build("linear", (8, 8, 1), latent_dim=2, key=jax.random.key(9))
  return [trained, TrainedAutoencoder(trained.configuration, model, 0)]


@pytest.fixture(scope="module")
def two_seeds(models, few, pixel_extractor, tmp_path_factory):
  """A scored run of two seeds: the summary, the paths, and the work directory."""
  workdir = tmp_path_factory.mktemp("seeds")
  run = FakeRun(workdir, few, models)
  summary, paths = score(run, extractor=pixel_extractor, timing=TIMING)
  return summary, paths, workdir


def test_score_summarises_all_seeds(two_seeds, models, few, pixel_extractor, tmp_path):
  summary, _, workdir = two_seeds
  runs = [read_json(workdir / name / "summary.json") for name in ("seed-0", "seed-1")]
  for run, model in zip(runs, models, strict=True):
    assert run == evaluate(tmp_path, model, few, extractor=pixel_extractor, timing=TIMING)
    assert run["seconds"] == 7.0
  assert runs[0]["mmd"] != runs[1]["mmd"]
  assert summary == summarise(tmp_path, runs) == read_json(workdir / "summary.json")
  assert not [name for name in summary if name.endswith("_standard_error_standard_error")]


def test_score_reports_all_seeds(two_seeds):
  _, paths, workdir = two_seeds
  assert paths[-1] == workdir / "report.html"
  assert all(path.is_file() for path in paths)
  assert {path.parent.name for path in paths[:-1]} == {"seed-0", "seed-1"}
  page = paths[-1].read_text(encoding="utf-8")
  for name in ("seed-0", "seed-1"):
    error = read_json(workdir / name / "summary.json")["reconstruction_error"]
    assert f">{name}</th>" in page
    assert f">{error:.4g}<" in page


def test_score_encodes_the_test_images_once(vae, few, tmp_path, monkeypatch, caplog):
  calls = []
  for name in ("posterior", "reconstruct"):
    function = getattr(TrainedAutoencoder, name)

    def counted(self, images, function=function, name=name):
      calls.append((name, len(images)))
      return function(self, images)

    monkeypatch.setattr(TrainedAutoencoder, name, counted)
  with caplog.at_level("INFO", "aejax"):
    summary, _ = score(FakeRun(tmp_path, few, [vae]))
  # Once for the test images, and for the training images once for the densities of their latents
  # and once for the classifiers of their classes.
  assert calls == [("posterior", 60), ("posterior", 200), ("posterior", 200)]
  assert summary == read_json(tmp_path / "summary.json")
  assert caplog.messages == [
    f"Scoring {tmp_path} on 60 test images …",
    "Fitting densities to the latents of 200 training images …",
    "Comparing samples with 60 test images by the features of classifier: prior, gaussian, "
    "mixture, reconstructions …",
    f"Plotting {tmp_path} …",
  ]
