from pathlib import Path

import pytest

from aejax._files import read_json
from aejax.evaluation import Summary, conclusion
from aejax.evaluation.conclusion import findings
from aejax.evaluation.metric_names import GROUPS, describe, reference

SUMMARY = {
  "method": "cwae",
  "steps": 10,
  "reconstruction_error": 1.5,
  "cramer_wold": 0.002,
  "mmd": 0.01,
  "frechet_classifier_gaussian": 3.0,
  "frechet_classifier": 5.0,
  "frechet_classifier_reconstructions": 2.0,
  "kernel_classifier_standard_error": 0.1,
  "precision_classifier": 0.8,
  "recall_classifier": 0.3,
  "linear_probe_accuracy": 0.9,
  "normal_latents": {"cramer_wold": 0.0018, "mmd": 0.0},
}
EPOCHS = [{"reconstruction_error": 9.0}, {"reconstruction_error": 0.4}]


def test_findings_are_five_with_references_and_words():
  found = findings(SUMMARY, EPOCHS)
  assert [(f.name, f.word) for f in found] == [
    ("reconstruction_error", "far"),
    ("cramer_wold", "good"),
    ("frechet_classifier", "fair"),
    ("precision_classifier", "good"),
    ("recall_classifier", "far"),
  ]
  assert [f.reference.value for f in found if f.reference] == [0.4, 0.0018, 2.0, 1.0, 1.0]


@pytest.mark.parametrize(
  ("value", "word"), [(0.9, "good"), (1.49, "good"), (1.51, "fair"), (2.99, "fair"), (3.01, "far")]
)
def test_findings_judge_by_multiples_of_the_reference(value, word):
  (found,) = findings({"cramer_wold": value, "prior_latents": {"cramer_wold": 1.0}})
  assert found.word == word


def test_findings_follow_the_p_value_if_there_is_one():
  summary = {"cramer_wold": 5.0, "normal_latents": {"cramer_wold": 1.0}}
  for p_value, word in ((0.06, "good"), (0.04, "far")):
    (found,) = findings({**summary, "prior_test": {"p_value": p_value}})
    assert found.word == word


def test_findings_do_without_what_a_run_lacks():
  (found,) = findings({"reconstruction_error": 1.0})
  assert (found.reference, found.word, found.sentence) == (None, "", "")
  vectors = {"marginal_distance": 0.05, "correlation_difference": 0.5}
  assert [f.word for f in findings(vectors)] == ["good", "far"]


def test_findings_prefer_features_that_the_user_gave():
  found = findings({**SUMMARY, "fid": 9.0, "fid_gaussian": 8.0, "fid_reconstructions": 3.0})
  assert [(f.name, f.reference.value) for f in found if f.reference][1] == ("fid", 3.0)


def test_conclusion_names_the_report_last():
  lines = conclusion(SUMMARY, Path("runs/a/report.html"), EPOCHS).splitlines()
  assert len(lines) == 1 + 5 + 2
  assert " ".join(lines[1].split()) == (
    "reconstruction error 1.5 0.4 training set far: the networks overfit"
  )
  assert lines[-1] == "open runs/a/report.html"
  assert max(map(len, lines)) <= 100


def test_conclusion_shows_standard_errors_of_seeds():
  summary = {"seeds": 3, "reconstruction_error": 1.5, "reconstruction_error_standard_error": 0.02}
  assert "1.5 ± 0.02" in conclusion(summary, Path("r.html"))
  del summary["seeds"]
  assert "±" not in conclusion(summary, Path("r.html"))


def test_every_metric_of_a_summary_is_described(digits_run):
  about = {"seeds", "method", "dataset", "network", "latent_dim", "steps", "test_images", "prior"}
  summary = read_json(digits_run / "summary.json")
  names = [*Summary.__annotations__, *summary]
  for name in names:
    if name in about or name.endswith(("_standard_error", "_latents", "_test")):
      continue
    metric = describe(name)
    assert metric.meaning.endswith("."), name
    assert metric.group in GROUPS


def test_describe_names_the_features():
  assert describe("frechet_classifier").label == "Fréchet distance of samples"
  assert describe("frechet_pixels_mixture").label == "Fréchet distance, mixture fitted (pixels)"
  assert describe("fid").label == "FID of samples"
  assert describe("kid").label == "KID of samples"
  assert describe("log_likelihood_bound_100").unit == "nats"
  assert describe("own_number").label == "own number"


def test_reference_of_samples_is_the_loss_of_the_decoder():
  found = reference("frechet_classifier_gaussian", SUMMARY)
  assert found is not None
  assert found.value == 2.0
  assert reference("frechet_classifier_reconstructions", SUMMARY) is None
  assert reference("reconstruction_error", SUMMARY) is None
