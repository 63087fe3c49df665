"""What images are compared by: features of them, and the name under which results go.

A Fréchet or kernel distance is a distance between features, so its name says which: those of the
classifiers that come with aejax give `frechet_classifier`, and only Inception's are a `fid`.
"""

import dataclasses
import functools
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Num

from aejax import _checks
from aejax._files import replacing
from aejax.autoencoder import pixels
from aejax.networks._conv_layers import Convolution, downsampled
from aejax.networks._layers import ImageShape, check_image_shape, check_images, flat

__all__ = [
  "CLASSIFIERS",
  "Classifier",
  "Extractor",
  "classifier",
  "read_classifier",
  "write_classifier",
]

_MOST_CLASSES = 100_000

CLASSIFIERS = ("digits", "mnist", "fashion_mnist")
"""The data sets for which a classifier comes with aejax."""


class Classifier(nnx.Module):
  """Two convolutions of stride 2, a layer of 64 features, the classes; ReLU between.

  Small, so that its weights can be shipped. Small images keep more of their size.
  """

  def __init__(self, image_shape: ImageShape, classes: int, *, rngs: nnx.Rngs):
    self.image_shape = image_shape
    self.classes = classes
    strides = (2, 2) if min(image_shape[:2]) >= 16 else (1, 2)
    channels = (image_shape[2], 32, 48)
    self.convolutions = nnx.List(
      Convolution(channels[i], channels[i + 1], kernel_size=4, stride=strides[i], rngs=rngs)
      for i in range(2)
    )
    height, width = downsampled(image_shape[:2], strides[0] * strides[1])
    self.hidden = nnx.Linear(height * width * channels[-1], 64, rngs=rngs)
    self.output = nnx.Linear(64, classes, rngs=rngs)

  def features(self, images: Float[Array, "n h w c"]) -> Float[Array, "n 64"]:
    """What the classes are told by: the last layer but one."""
    check_images(images, self.image_shape)
    x = images
    for convolution in self.convolutions:
      x = jax.nn.relu(convolution(x))
    return jax.nn.relu(self.hidden(flat(x)))

  def __call__(self, images: Float[Array, "n h w c"]) -> Float[Array, "n classes"]:
    """Logits of the classes."""
    return self.output(self.features(images))


@dataclasses.dataclass(frozen=True)
class Extractor:
  """Features of images, and their name.

  Attributes:
    name: what figures made of them are called by, as in `frechet_NAME`.
    function: pure, from images in [0, 1] `[n, h, w, c]` to features `[n, f]`. Large weights are
      best bound to it by `jax.tree_util.Partial`, which keeps them out of the compiled program.
    batch: images a call, which bounds the memory of the activations.
  """

  name: str
  function: Callable[[Float[Array, "n h w c"]], Float[Array, "n f"]]
  batch: int = 1000

  @property
  def frechet_name(self) -> str:
    """What a Fréchet distance of these features is called."""
    return f"frechet_{self.name}"

  @property
  def kernel_name(self) -> str:
    """What a kernel distance of these features is called."""
    return f"kernel_{self.name}"

  def __call__(self, images: Num[Array | np.ndarray, "n h w c"]) -> Float[np.ndarray, "n f"]:
    """The features of images, uint8 or floats in [0, 1], a batch at a time.

    Raises:
      ValueError: if there is no image, or the features are no `[n, f]`, or not finite.
    """
    images = _checks.array("images", images)
    if images.ndim != 4:
      raise ValueError(f"images must have shape [n, h, w, c], but have {list(images.shape)}.")
    if images.dtype != np.uint8 and not jnp.issubdtype(images.dtype, jnp.floating):
      raise ValueError(f"images must be uint8, or floats in [0, 1], but are {images.dtype}.")
    if len(images) == 0:
      raise ValueError("images must be one at least, but there is none.")
    batch = _checks.integer("batch", self.batch)
    bound = isinstance(self.function, jax.tree_util.Partial)
    compute = functools.partial(_apply, self.function) if bound else jax.jit(self.function)
    parts = []
    for start in range(0, len(images), batch):
      parts.append(np.asarray(compute(pixels(images[start : start + batch]))))
    features = np.concatenate(parts)
    if features.ndim != 2 or len(features) != len(images):
      raise ValueError(
        f"The extractor {self.name} must give features of shape [{len(images)}, f], but gave "
        f"{list(features.shape)}."
      )
    if not np.isfinite(features).all():
      raise ValueError(f"The extractor {self.name} gave features that are not finite.")
    return features


@jax.jit
def _apply(function: jax.tree_util.Partial, images: Array) -> Array:
  """With the function's bound arrays as arguments of the program, and not constants of it."""
  return function(images)


@functools.cache
def classifier(dataset: str) -> Extractor:
  """The features of the classifier that was trained on a data set, called `classifier`.

  Args:
    dataset: one of `CLASSIFIERS`.

  Raises:
    ValueError: if none comes with aejax for it.

  Example:
    >>> classifier("digits")(np.zeros((3, 8, 8, 1), np.uint8)).shape
    (3, 64)
  """
  if dataset not in CLASSIFIERS:
    raise ValueError(
      f"No classifier comes with aejax for {dataset}, only for {', '.join(CLASSIFIERS)}."
    )
  with resources.as_file(resources.files("aejax.metrics") / "classifiers") as folder:
    model, _ = read_classifier(folder / f"{dataset}.npz")
  return Extractor("classifier", model.features)


def read_classifier(path: Path) -> tuple[Classifier, dict[str, Any]]:
  """A classifier from its file, and what is known of it: `accuracy` on the test set.

  Raises:
    ValueError: if the file is no classifier's.
  """
  try:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
      about = json.loads(str(stored["about"]))
      shape = check_image_shape(about["image_shape"])
      classes = _checks.integer("classes", about["classes"], most=_MOST_CLASSES)
      values = {name: stored[name].astype(np.float32) for name in stored.files if name != "about"}
    model = nnx.eval_shape(lambda: Classifier(shape, classes, rngs=nnx.Rngs(0)))
    graphdef, shapes = nnx.split(model)
    flattened, structure = jax.tree_util.tree_flatten_with_path(shapes)
    leaves = []
    for where, leaf in flattened:
      value = values[jax.tree_util.keystr(where)]
      if value.shape != leaf.shape:
        raise ValueError(f"{jax.tree_util.keystr(where)} has shape {list(value.shape)}.")
      leaves.append(jnp.asarray(value))
  # NumPy, zipfile and zlib raise nearly every built-in exception on broken bytes.
  except Exception as error:
    raise ValueError(f"{path} holds no classifier: {_checks.short_message(error)}") from error
  return nnx.merge(graphdef, jax.tree_util.tree_unflatten(structure, leaves)), about


def write_classifier(path: Path, model: Classifier, **about: float) -> None:
  """Writes a classifier in half precision, which its features survive."""
  values = {
    jax.tree_util.keystr(where): np.asarray(value, np.float16)
    for where, value in jax.tree_util.tree_leaves_with_path(nnx.split(model)[1])
  }
  shape = {"image_shape": list(model.image_shape), "classes": model.classes}
  with replacing(path) as temporary, temporary.open("wb") as file:
    np.savez_compressed(file, allow_pickle=False, about=json.dumps({**shape, **about}), **values)
