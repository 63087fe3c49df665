"""The training images nearest to generated ones, which show whether a model has memorised."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Shaped

from aejax import _checks
from aejax.metrics._chunked import Real, row_blocks, rows_in_float64, squared_distances

__all__ = ["Neighbours", "nearest_training_images"]

Images = Shaped[Real, "..."]


class Neighbours(NamedTuple):
  """The nearest training images of each generated image.

  Attributes:
    indices: indices of the training images, the nearest first.
    distances: Euclidean distances to these images, with pixels in [0, 1].
    ratios: distance to the nearest training image, divided by the distance from that image to its
      own nearest training image that is not a copy. About 1 for a new image of the same
      distribution; far below 1 for an image that is nearer to a training image than training images
      are to each other; 0 for a copy.
  """

  indices: Int[np.ndarray, "m k"]
  distances: Float[np.ndarray, "m k"]
  ratios: Float[np.ndarray, " m"]


def nearest_training_images(generated: Images, training: Images, *, num: int = 1) -> Neighbours:
  """Finds the training images nearest to each generated image, by their pixels.

  Computed in float64, in memory linear in the number of generated images and independent of the
  number of training images.

  Args:
    generated: images, uint8 or floats in [0, 1], stacked along the leading axis.
    training: images that the model was trained on, uint8 or floats in [0, 1].
    num: number of neighbours of each generated image.

  Returns:
    Indices and distances of the neighbours, and the ratios that show memorisation.

  Raises:
    ValueError: if the images of both sets differ in shape or are not uint8 or finite floats, `num`
      is not between 1 and the number of training images, or all training images are the same.

  Reference: Meehan, Chaudhuri & Dasgupta, AISTATS 2020, arXiv 2004.05675, on data copying; van den
    Burg & Williams, NeurIPS 2021, arXiv 2106.03216, on memorisation.
  """
  generated, training = (
    _checks.array(name, images)
    for name, images in (("generated", generated), ("training", training))
  )
  for name, images in (("generated", generated), ("training", training)):
    if images.ndim < 2 or images.size == 0:
      raise ValueError(f"{name} must be a non-empty [n, ...], but has shape {list(images.shape)}.")
    if images.dtype != np.uint8 and not jnp.issubdtype(images.dtype, jnp.floating):
      raise ValueError(f"{name} must be uint8, or floats in [0, 1], but is {images.dtype}.")
  if generated.shape[1:] != training.shape[1:]:
    raise ValueError(
      f"generated and training must hold images of one shape, but hold "
      f"{list(generated.shape[1:])} and {list(training.shape[1:])}."
    )
  if _checks.integer("num", num) > len(training):
    raise ValueError(f"num must be between 1 and {len(training)}, but is {num}.")
  queries = _flat("generated", generated)
  indices, distances = _nearest(queries, training, num, skip_copies=False)
  # Only the images that were found need neighbours: all pairs of the training set would be slow.
  found, position = np.unique(indices[:, 0], return_inverse=True)
  _, gaps = _nearest(_flat("training", training[found]), training, 1, skip_copies=True)
  if not np.isfinite(gaps).all():
    raise ValueError("training must hold two different images, but all are the same.")
  return Neighbours(indices, distances, distances[:, 0] / gaps[position, 0])


def _nearest(
  queries: Float[np.ndarray, "m p"], training: Images, num: int, *, skip_copies: bool
) -> tuple[Int[np.ndarray, "m num"], Float[np.ndarray, "m num"]]:
  """Returns indices and distances of each query's nearest training images, the nearest first."""
  m, width = queries.shape
  best = np.full((m, num), np.inf)
  indices = np.zeros((m, num), np.int64)
  for rows in row_blocks(len(training), entries_per_row=max(m, width)):
    block = _flat("training", training[rows])
    for part, squares, rounding in squared_distances(queries, block):
      if skip_copies:
        # The distance of a copy is zero up to rounding.
        squares[squares <= rounding] = np.inf
      candidates = np.concatenate([best[part], squares], axis=1)
      kept = np.argpartition(candidates, num - 1, axis=1)[:, :num]
      best[part] = np.take_along_axis(candidates, kept, axis=1)
      previous = np.take_along_axis(indices[part], np.minimum(kept, num - 1), axis=1)
      indices[part] = np.where(kept < num, previous, rows.start + kept - num)
  # Norms and products put a copy at a distance of 1e-7, so compute the distances from differences.
  distances = np.where(np.isinf(best), np.inf, _distances(queries, training, indices))
  order = np.lexsort((indices, distances), axis=1)
  return np.take_along_axis(indices, order, axis=1), np.take_along_axis(distances, order, axis=1)


def _distances(
  queries: Float[np.ndarray, "m p"], training: Images, indices: Int[np.ndarray, "m num"]
) -> Float[np.ndarray, "m num"]:
  distances = np.empty(indices.shape)
  for rows in row_blocks(len(queries), entries_per_row=queries.shape[1]):
    for rank, chosen in enumerate(indices[rows].T):
      differences = queries[rows] - _flat("training", training[chosen])
      distances[rows, rank] = np.sqrt(np.einsum("np,np->n", differences, differences))
  return distances


def _flat(name: str, images: Images) -> Float[np.ndarray, "n p"]:
  """Returns pixels in [0, 1] in float64, one image a row."""
  pixels = rows_in_float64(name, images).reshape(len(images), -1)
  return pixels / 255 if images.dtype == np.uint8 else pixels
