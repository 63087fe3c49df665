"""Trains the classifier whose features Fréchet distances of a data set are measured in.

  python experiments/train_classifier.py fashion_mnist --out aejax/evaluation/classifiers

Seven minutes on two CPU cores; seconds for digits. Prints the accuracy on the test set, which the
file remembers. Those in the package were made by this command, that of digits by --epochs 150.
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

from aejax import checks, data
from aejax.command_line import compilation_cache, parse, user_errors
from aejax.evaluation.features import (
  Classifier,
  count_classes,
  read_classifier,
  write_classifier,
)

# The mirror image of a garment is a garment; that of a digit is none.
_MIRRORED = ("fashion_mnist",)


@dataclasses.dataclass(frozen=True)
class Options:
  """Trains a small classifier, for its features.

  Attributes:
    dataset: digits, mnist, fashion_mnist or cifar10; or an .npz file with labels.
    data_dir: folder with the data set's original files, where they are on disk already.
    out: folder in which DATASET.npz is written.
    epochs: passes over the training set.
    seed: of the weights, the order and the augmentation.
  """

  dataset: Annotated[str, tyro.conf.Positional]
  data_dir: Path | None = None
  out: Path = Path("aejax/evaluation/classifiers")
  epochs: int = 40
  seed: int = 0


def main(options: Options) -> None:
  """Trains, tests, writes."""
  checks.whole("epochs", options.epochs)
  key = jax.random.key(checks.seed(options.seed))
  dataset = data.load(options.dataset, data_dir=options.data_dir)
  classes = count_classes(dataset)
  assert dataset.train_labels is not None
  assert dataset.test_labels is not None
  checks.folder("out", options.out)
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
      some = _augmented(images[rows] / jnp.float32(255), jax.random.fold_in(key, i), mirror)

      def cost(params):
        logits = nnx.merge(graphdef, params)(some)
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
  # As it will be used: from the file, in half precision.
  accuracy = _accuracy(read_classifier(path)[0], dataset.test, dataset.test_labels)
  write_classifier(path, nnx.merge(graphdef, params), accuracy=accuracy, epochs=options.epochs)
  print(f"accuracy {accuracy:.4f} on {len(dataset.test):,} test images")
  print(path)


def _augmented(images, key, mirror):
  """Each image moved by up to a tenth of its side, and mirrored or not."""
  n, height, width, _ = images.shape
  reach = max(height // 14, 1)
  shift_key, mirror_key = jax.random.split(key)
  shifts = jax.random.randint(shift_key, (n, 2), 0, 2 * reach + 1)
  padded = jnp.pad(images, [(0, 0), (reach, reach), (reach, reach), (0, 0)])

  def cut(image, shift):
    return lax.dynamic_slice(image, (shift[0], shift[1], 0), (height, width, image.shape[2]))

  moved = jax.vmap(cut)(padded, shifts)
  if not mirror:
    return moved
  turned = jax.random.bernoulli(mirror_key, shape=(n, 1, 1, 1))
  return jnp.where(turned, moved[:, :, ::-1], moved)


def _accuracy(model, images, labels) -> float:
  logits = jax.jit(model.__call__)
  found = [
    np.argmax(logits(jnp.asarray(images[i : i + 1000]) / jnp.float32(255)), axis=1)
    for i in range(0, len(images), 1000)
  ]
  return float(np.mean(np.concatenate(found) == labels))


if __name__ == "__main__":
  compilation_cache()
  with user_errors():
    main(parse(Options))
