"""How well the latents tell the classes of the examples, by classifiers of scikit-learn."""

from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from aejax import _checks
from aejax._extras import require
from aejax.metrics._chunked import Real, check_features, check_same_dimension, features_in_float64

__all__ = ["MAX_TRAIN", "label_accuracy"]

_NEIGHBOURS = 5
# More training latents hardly change the accuracy, but the time.
MAX_TRAIN = 10_000
_MAX_ITERATIONS = 2000


def label_accuracy(
  train: Float[Real, "n d"],
  train_labels: Shaped[np.ndarray, " n"],
  test: Float[Real, "m d"],
  test_labels: Shaped[np.ndarray, " m"],
) -> dict[str, float]:
  """Computes the accuracy of two classifiers of latents that are trained on labelled latents.

  Needs scikit-learn, of the extra aejax[train]. Of more than 10,000 training latents, the first
  10,000 are used.

  Args:
    train: latents of training examples, one a row.
    train_labels: their classes, whole numbers or names.
    test: latents of test examples, one a row.
    test_labels: their classes.

  Returns:
    `knn_accuracy`: share of test latents whose class is that of the majority of their five nearest
    training latents. `linear_probe_accuracy`: share whose class a logistic regression on
    standardised latents predicts, with L2 regularisation of strength one.

  Raises:
    ValueError: if an array has a wrong shape or is not finite, the numbers of latents and labels
      differ, or the training labels are all the same.

  Example:
    >>> z = np.array([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2]], np.float32)
    >>> label_accuracy(z, np.array([0, 0, 0, 1, 1, 1]), z, np.array([0, 0, 0, 1, 1, 1]))
    {'knn_accuracy': 1.0, 'linear_probe_accuracy': 1.0}
  """
  train, test = check_features("train", train), check_features("test", test)
  check_same_dimension("train", train, "test", test)
  for name, labels, rows in (
    ("train_labels", train_labels, train),
    ("test_labels", test_labels, test),
  ):
    _check_labels(name, labels, rows.shape[0])
  require("train", "sklearn")
  from sklearn.linear_model import LogisticRegression
  from sklearn.neighbors import KNeighborsClassifier
  from sklearn.pipeline import make_pipeline
  from sklearn.preprocessing import StandardScaler

  known = np.asarray(train_labels)[:MAX_TRAIN]
  if len(np.unique(known)) < 2:
    raise ValueError("train_labels must hold two classes or more, but are all the same.")
  rows, queries = features_in_float64("train", train)[:MAX_TRAIN], features_in_float64("test", test)
  neighbours = KNeighborsClassifier(min(_NEIGHBOURS, len(rows)))
  probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=_MAX_ITERATIONS))
  return {
    name: float(np.mean(model.fit(rows, known).predict(queries) == np.asarray(test_labels)))
    for name, model in (("knn_accuracy", neighbours), ("linear_probe_accuracy", probe))
  }


def _check_labels(name: str, labels: Any, n: int) -> None:
  labels = _checks.array(name, labels) if not isinstance(labels, np.ndarray) else labels
  if labels.shape != (n,):
    raise ValueError(f"{name} must have shape [{n}], but has shape {list(labels.shape)}.")
