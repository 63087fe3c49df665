from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aejax import data
from aejax.metrics import features
from aejax.metrics.features import Classifier, Extractor, classifier, read_classifier

FOLDER = Path(features.__file__).with_name("classifiers")


@pytest.mark.parametrize("name", features.CLASSIFIERS)
def test_shipped_classifiers_have_the_stored_accuracy(name):
  """On the first test images, within three standard errors."""
  path = FOLDER / f"{name}.npz"
  assert path.stat().st_size < 500_000
  try:
    dataset = data.load(name)
  except ValueError as error:
    pytest.skip(str(error))
  model, about = read_classifier(path)
  images, labels = dataset.test[:2000], dataset.test_labels[:2000]
  found = np.argmax(jax.jit(model.__call__)(jnp.asarray(images) / 255), axis=1)
  accuracy, n = about["accuracy"], len(images)
  assert accuracy > 0.9
  error = np.sqrt(accuracy * (1 - accuracy) / n)
  assert abs(np.mean(found == labels) - accuracy) <= 3 * error + 1e-9
  extracted = classifier(name)(images[:10])
  expected = model.features(jnp.asarray(images[:10]) / 255)
  np.testing.assert_allclose(extracted, expected, rtol=1e-5, atol=1e-5)


def test_write_classifier_can_be_read_again(tmp_path):
  model = Classifier((8, 8, 1), 10, rngs=nnx.Rngs(0))
  path = tmp_path / "c.npz"
  features.write_classifier(path, model, accuracy=0.5)
  again, about = read_classifier(path)
  assert about == {"image_shape": [8, 8, 1], "classes": 10, "accuracy": 0.5}
  images = jax.random.uniform(jax.random.key(0), (4, 8, 8, 1))
  # Half precision has eleven significant bits.
  np.testing.assert_allclose(again(images), model(images), atol=5e-3)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", None])
def test_read_classifier_rejects_other_files(tmp_path, content):
  path = tmp_path / "c.npz"
  if content is None:
    np.savez(path, about=np.array({"image_shape": 1}, dtype=object))  # pickled
  else:
    path.write_bytes(content)
  with pytest.raises(ValueError, match=r"c\.npz holds no classifier"):
    read_classifier(path)


def test_extractor_works_in_batches():
  calls = []

  def mean(images):
    calls.append(images.shape)
    return images.mean((1, 2))

  images = np.random.default_rng(0).integers(0, 256, (2500, 4, 4, 3), np.uint8)
  found = Extractor("colour", mean)(images)
  np.testing.assert_allclose(found, images.mean((1, 2)) / 255, rtol=1e-5)
  assert calls == [(1000, 4, 4, 3), (500, 4, 4, 3)]  # traced once for each batch size


def test_extractor_passes_bound_arrays_as_arguments():
  """Other weights need no new trace."""
  calls = []

  def scaled(weights, images):
    calls.append(images.shape)
    assert isinstance(weights, jax.core.Tracer)
    return weights * images.reshape(len(images), -1)

  images = np.random.default_rng(0).integers(0, 256, (7, 2, 2, 1), np.uint8)
  for weights in (jnp.arange(4.0), jnp.ones(4)):
    extractor = Extractor("scaled", jax.tree_util.Partial(scaled, weights), batch=3)
    expected = weights * images.reshape(7, 4) / 255
    np.testing.assert_allclose(extractor(images), expected, rtol=1e-6)
  assert calls == [(3, 2, 2, 1), (1, 2, 2, 1)]
  with pytest.raises(ValueError, match="batch must be a whole number from 1 up, but is 0"):
    Extractor("scaled", scaled, batch=0)(images)


@pytest.mark.parametrize(
  ("function", "message"),
  [
    (lambda x: x, r"must give features of shape \[3, f\], but gave \[3, 2, 2, 1\]"),
    (lambda x: x.reshape(3, -1) / 0, "gave features that are not finite"),
  ],
)
def test_extractor_rejects_bad_features(function, message, without_beartype):
  with pytest.raises(ValueError, match=message):
    Extractor("mine", function)(np.zeros((3, 2, 2, 1), np.uint8))


def test_extractor_rejects_no_images(without_beartype):
  with pytest.raises(ValueError, match="images must hold at least one image, but are empty"):
    Extractor("mine", lambda x: x)(np.zeros((0, 2, 2, 1), np.uint8))


def test_classifier_rejects_other_data_sets():
  with pytest.raises(ValueError, match="No classifier comes with aejax for celeb_a, only for"):
    classifier("celeb_a")
