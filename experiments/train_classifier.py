"""Trains the classifier whose features the Fréchet distances of a data set use.

  python experiments/train_classifier.py fashion_mnist --out aejax/metrics/classifiers

This takes seven minutes on two CPU cores; digits takes seconds. It prints the accuracy on the test
set, which the file stores too. The classifiers in the package were made by this command, that of
digits with `--epochs 150`.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from flax import nnx
from jax import lax

from aejax import _checks, data
from aejax._command_line import compilation_cache, parse
from aejax._user_errors import user_errors
from aejax.autoencoder import pixels
from aejax.metrics.features import Classifier, read_classifier, write_classifier

# Data sets whose images are also valid when mirrored, unlike digits.
_MIRRORED = ("fashion_mnist",)
_MIN_IMAGES = 4


@dataclasses.dataclass(frozen=True)
class Options:
  """Trains a small classifier for its features.

  Attributes:
    dataset: digits, mnist, fashion_mnist or cifar10; or an .npz file with labels.
    data_dir: folder with the original files of the data set, if they are on disk already.
    out: folder where DATASET.npz is written.
    epochs: number of passes over the training set.
    seed: random seed of weights, order and augmentation.
  """

  dataset: Annotated[str, tyro.conf.Positional]
  data_dir: Path | None = None
  out: Path = Path("aejax/metrics/classifiers")
  epochs: int = 40
  seed: int = 0


def main(options: Options) -> None:
  """Trains the classifier, writes it, and prints its accuracy."""
  _checks.integer("epochs", options.epochs)
  key = jax.random.key(_checks.seed(options.seed))
  dataset = data.load(options.dataset, data_dir=options.data_dir)
  classes = _count_classes(dataset)
  assert dataset.train_labels is not None
  assert dataset.test_labels is not None
  _checks.folder("out", options.out)
  model = Classifier(dataset.image_shape, classes, rngs=nnx.Rngs(options.seed))
  graphdef, params = nnx.split(model)
  batch_size = min(256, len(dataset.train) // 4)
  steps = len(dataset.train) // batch_size
  schedule = optax.cosine_decay_schedule(2e-3, options.epochs * steps)
  optimizer = optax.adamw(schedule, weight_decay=1e-2)
  images, labels = jnp.asarray(dataset.train), jnp.asarray(dataset.train_labels)
  mirror = dataset.name in _MIRRORED

  @jax.jit
  def epoch(params, state, key):
    order = jax.random.permutation(key, len(images))

    def step(i, carry):
      params, state, total = carry
      rows = lax.dynamic_slice_in_dim(order, i * batch_size, batch_size)
      batch = _augmented(pixels(images[rows]), jax.random.fold_in(key, i), mirror)

      def cost(params):
        logits = nnx.merge(graphdef, params)(batch)
        targets = optax.smooth_labels(jax.nn.one_hot(labels[rows], classes), 0.05)
        return jnp.mean(optax.softmax_cross_entropy(logits, targets))

      loss, gradient = jax.value_and_grad(cost)(params)
      updates, state = optimizer.update(gradient, state, params)
      return optax.apply_updates(params, updates), state, total + loss

    return lax.fori_loop(0, steps, step, (params, state, 0.0))

  state = optimizer.init(params)
  for number in range(options.epochs):
    params, state, total = epoch(params, state, jax.random.fold_in(key, number))
    print(f"epoch {number + 1}/{options.epochs}  loss {total / steps:.4f}", file=sys.stderr)
  path = options.out / f"{dataset.name}.npz"
  write_classifier(path, nnx.merge(graphdef, params), accuracy=0.0)
  # Tests the classifier that users read: from the file, in half precision.
  accuracy = _accuracy(read_classifier(path)[0], dataset.test, dataset.test_labels)
  write_classifier(path, nnx.merge(graphdef, params), accuracy=accuracy, epochs=options.epochs)
  print(f"accuracy {accuracy:.4f} on {len(dataset.test):,} test images")
  print(path)


def _count_classes(dataset: data.Dataset) -> int:
  """Returns the number of classes of a data set with labels 0, 1, 2 and so on.

  Raises:
    ValueError: if it has no labels, other labels, or fewer than four training images.
  """
  train, test = dataset.train_labels, dataset.test_labels
  if train is None or test is None:
    raise ValueError(f"{dataset.name} has no labels: a classifier needs them.")
  if len(train) < _MIN_IMAGES:
    raise ValueError(
      f"{dataset.name} has {len(train)} training images: a classifier needs {_MIN_IMAGES}."
    )
  count = int(train.max()) + 1
  if train.min() < 0 or test.min() < 0 or count > len(train) or test.max() >= count:
    raise ValueError(
      f"The labels of {dataset.name} must be 0, 1, 2 and so on, fewer than its training images."
    )
  return count


def _augmented(images: jax.Array, key: jax.Array, mirror: bool) -> jax.Array:
  """Shifts each image at random, and mirrors half of them if `mirror`.

  A shift is at most a fourteenth of the height, but one pixel is always possible.
  """
  n, height, width, _ = images.shape
  max_shift = max(height // 14, 1)
  shift_key, mirror_key = jax.random.split(key)
  shifts = jax.random.randint(shift_key, (n, 2), 0, 2 * max_shift + 1)
  padded = jnp.pad(images, [(0, 0), (max_shift, max_shift), (max_shift, max_shift), (0, 0)])

  def crop(image, shift):
    return lax.dynamic_slice(image, (shift[0], shift[1], 0), (height, width, image.shape[2]))

  shifted = jax.vmap(crop)(padded, shifts)
  if not mirror:
    return shifted
  mirrored = jax.random.bernoulli(mirror_key, shape=(n, 1, 1, 1))
  return jnp.where(mirrored, shifted[:, :, ::-1], shifted)


def _accuracy(model: Classifier, images: np.ndarray, labels: np.ndarray) -> float:
  logits = jax.jit(model.__call__)
  predicted = [
    np.argmax(logits(pixels(images[i : i + 1000])), axis=1) for i in range(0, len(images), 1000)
  ]
  return float(np.mean(np.concatenate(predicted) == labels))


if __name__ == "__main__":
  compilation_cache()
  with user_errors():
    main(parse(Options))
