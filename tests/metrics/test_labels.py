import numpy as np
import pytest

from aejax.metrics import label_accuracy, labels


def blobs(n, seed, names=("a", "b", "c")):
  """Returns latents around three points of the plane, and the names of the points."""
  generator = np.random.default_rng(seed)
  classes = generator.integers(0, 3, n)
  points = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])[classes]
  z = points + generator.standard_normal((n, 2))
  return z.astype(np.float32), np.asarray(names)[classes]


def test_label_accuracy_of_blobs_is_that_of_the_best_rule():
  train, test = blobs(600, 0), blobs(2000, 1)
  found = label_accuracy(*train, *test)
  # The nearest of the three points is the best rule.
  centres = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
  nearest = ((test[0][:, None] - centres) ** 2).sum(-1).argmin(1)
  best = np.mean(np.asarray(("a", "b", "c"))[nearest] == test[1])
  assert found["linear_probe_accuracy"] == pytest.approx(best, abs=0.01)
  assert best - 0.03 < found["knn_accuracy"] <= best + 0.01


def test_linear_probe_cannot_tell_what_only_neighbours_can():
  generator = np.random.default_rng(0)
  z = generator.uniform(-1, 1, (800, 2)).astype(np.float32)
  quadrants = (z[:, 0] * z[:, 1] > 0).astype(int)
  found = label_accuracy(z[:400], quadrants[:400], z[400:], quadrants[400:])
  assert found["knn_accuracy"] > 0.9
  assert found["linear_probe_accuracy"] < 0.65


def test_knn_accuracy_takes_the_majority_of_five():
  # Two of the nearest five are "a", and so are those further away.
  train = np.array([[0.1], [0.2], [0.3], [0.4], [0.5], [10], [11], [12], [13]], np.float32)
  classes = np.array(list("aabbbaaaa"))
  found = label_accuracy(train, classes, np.zeros((1, 1), np.float32), np.array(["b"]))
  assert found["knn_accuracy"] == 1


def test_label_accuracy_uses_the_first_latents_only(monkeypatch):
  train, test = blobs(60, 0), blobs(100, 1)
  monkeypatch.setattr(labels, "MAX_TRAIN", 30)
  limited = label_accuracy(*train, *test)
  assert limited == label_accuracy(train[0][:30], train[1][:30], *test)
