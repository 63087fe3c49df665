import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from aejax import data
from aejax.metrics import features
from aejax.metrics.features import Classifier, Extractor, classifier, read_classifier

FOLDER = features.__file__.rsplit("/", 1)[0] + "/classifiers"


@pytest.mark.parametrize("name", features.CLASSIFIERS)
def test_what_is_shipped_classifies(name, tmp_path):
  """Its accuracy on the first test images is the stated one, within three standard errors."""
  from pathlib import Path

  path = Path(FOLDER) / f"{name}.npz"
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


def test_a_classifier_survives_its_file(tmp_path):
  model = Classifier((8, 8, 1), 10, rngs=nnx.Rngs(0))
  path = tmp_path / "c.npz"
  features.write_classifier(path, model, accuracy=0.5)
  again, about = read_classifier(path)
  assert about == {"image_shape": [8, 8, 1], "classes": 10, "accuracy": 0.5}
  images = jax.random.uniform(jax.random.key(0), (4, 8, 8, 1))
  # Half precision keeps eleven bits of each weight.
  np.testing.assert_allclose(again(images), model(images), atol=5e-3)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not really", None])
def test_what_is_no_classifier(tmp_path, content):
  path = tmp_path / "c.npz"
  if content is None:
    np.savez(path, about=np.array({"image_shape": 1}, dtype=object))  # pickled
  else:
    path.write_bytes(content)
  with pytest.raises(ValueError, match=r"c\.npz holds no classifier"):
    read_classifier(path)


def test_an_extractor_of_ones_own():
  calls = []

  def mean(images):
    calls.append(images.shape)
    return images.mean((1, 2))

  images = np.random.default_rng(0).integers(0, 256, (2500, 4, 4, 3), np.uint8)
  found = Extractor("colour", mean)(images)
  np.testing.assert_allclose(found, images.mean((1, 2)) / 255, rtol=1e-5)
  assert calls == [(1000, 4, 4, 3), (500, 4, 4, 3)]  # traced once for each size


def test_bound_arrays_are_no_part_of_the_program():
  """In batches of another size; what is bound may change without another trace."""
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
def test_an_extractor_that_is_none(function, message, without_beartype):
  with pytest.raises(ValueError, match=message):
    Extractor("mine", function)(np.zeros((3, 2, 2, 1), np.uint8))


def test_nothing_to_extract_from(without_beartype):
  with pytest.raises(ValueError, match="images must be one at least"):
    Extractor("mine", lambda x: x)(np.zeros((0, 2, 2, 1), np.uint8))
  with pytest.raises(ValueError, match="No classifier comes with aejax for celeb_a, only for"):
    classifier("celeb_a")
