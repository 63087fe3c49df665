"""Feature extractors, which images are compared by, and the classifiers that come with aejax.

Fréchet and kernel distances compare features, so their names say which: `frechet_classifier` uses
the features of a classifier that comes with aejax, and only `fid` uses those of Inception.
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

_MAX_CLASSES = 100_000

CLASSIFIERS = ("digits", "mnist", "fashion_mnist")
"""Names of the data sets for which a classifier comes with aejax."""


class Classifier(nnx.Module):
  """A classifier with two convolutions, a hidden layer of 64 features, and ReLUs.

  It is small so that aejax can contain its weights. Both convolutions have stride 2; for images
  smaller than 16 pixels, the first has stride 1.

  Attributes:
    image_shape: height, width and channels of the images.
    classes: number of classes.
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
    """Computes the features of images in [0, 1]: the activations of the hidden layer."""
    check_images(images, self.image_shape)
    x = images
    for convolution in self.convolutions:
      x = jax.nn.relu(convolution(x))
    return jax.nn.relu(self.hidden(flat(x)))

  def __call__(self, images: Float[Array, "n h w c"]) -> Float[Array, "n classes"]:
    """Computes the logits of the classes of images in [0, 1]."""
    return self.output(self.features(images))


@dataclasses.dataclass(frozen=True)
class Extractor:
  """A function that computes features of images, with a name for the metrics made from them.

  Attributes:
    name: name of the features in metrics, as in `frechet_NAME`.
    function: pure function from images in [0, 1] `[n, h, w, c]` to features `[n, f]`. Bind large
      weights with `jax.tree_util.Partial`, which keeps them out of the compiled program.
    batch: number of images in a call of the function, which bounds the memory of the activations.
  """

  name: str
  function: Callable[[Float[Array, "n h w c"]], Float[Array, "n f"]]
  batch: int = 1000

  @property
  def frechet_name(self) -> str:
    """Name of the Fréchet distance of these features."""
    return f"frechet_{self.name}"

  @property
  def kernel_name(self) -> str:
    """Name of the kernel distance of these features."""
    return f"kernel_{self.name}"

  def __call__(self, images: Num[Array | np.ndarray, "n h w c"]) -> Float[np.ndarray, "n f"]:
    """Computes the features of images, uint8 or floats in [0, 1], a batch at a time.

    Raises:
      ValueError: if there are no images, or the features are not `[n, f]` or not finite.
    """
    images = _checks.array("images", images)
    if images.ndim != 4:
      raise ValueError(f"images must have shape [n, h, w, c], but have {list(images.shape)}.")
    if images.dtype != np.uint8 and not jnp.issubdtype(images.dtype, jnp.floating):
      raise ValueError(f"images must be uint8, or floats in [0, 1], but are {images.dtype}.")
    if len(images) == 0:
      raise ValueError("images must hold at least one image, but are empty.")
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
  """Passes the bound arrays as arguments of the program, so that they do not become constants."""
  return function(images)


@functools.cache
def classifier(dataset: str) -> Extractor:
  """Returns the extractor of the features of the classifier for a data set.

  Args:
    dataset: one of `CLASSIFIERS`, on which the classifier was trained.

  Returns:
    The extractor, whose name is `classifier`.

  Raises:
    ValueError: if no classifier for the data set comes with aejax.

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
  """Reads a classifier from a file that `write_classifier` wrote.

  Returns:
    The classifier, and what was stored about it: `accuracy` on the test set.

  Raises:
    ValueError: if the file holds no classifier.
  """
  try:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
      about = json.loads(str(stored["about"]))
      shape = check_image_shape(about["image_shape"])
      classes = _checks.integer("classes", about["classes"], most=_MAX_CLASSES)
      values = {name: stored[name].astype(np.float32) for name in stored.files if name != "about"}
    model = nnx.eval_shape(lambda: Classifier(shape, classes, rngs=nnx.Rngs(0)))
    graphdef, shapes = nnx.split(model)
    flattened, structure = jax.tree_util.tree_flatten_with_path(shapes)
    leaves = []
    for path_of_leaf, leaf in flattened:
      name = jax.tree_util.keystr(path_of_leaf)
      if values[name].shape != leaf.shape:
        raise ValueError(f"{name} has shape {list(values[name].shape)}.")
      leaves.append(jnp.asarray(values[name]))
  # NumPy, zipfile and zlib raise nearly every built-in exception on damaged bytes.
  except Exception as error:
    raise ValueError(f"{path} holds no classifier: {_checks.short_message(error)}") from error
  return nnx.merge(graphdef, jax.tree_util.tree_unflatten(structure, leaves)), about


def write_classifier(path: Path, model: Classifier, **about: float) -> None:
  """Writes a classifier in half precision, which its features tolerate.

  Args:
    path: the file to write.
    model: the classifier.
    **about: numbers to store with it, such as `accuracy`.
  """
  values = {
    jax.tree_util.keystr(path_of_leaf): np.asarray(value, np.float16)
    for path_of_leaf, value in jax.tree_util.tree_leaves_with_path(nnx.split(model)[1])
  }
  shape = {"image_shape": list(model.image_shape), "classes": model.classes}
  with replacing(path) as temporary, temporary.open("wb") as file:
    np.savez_compressed(file, allow_pickle=False, about=json.dumps({**shape, **about}), **values)
