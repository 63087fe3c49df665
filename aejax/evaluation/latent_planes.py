"""The files of the report's interactive planes: decoded tiles, and latents as points.

Two latents span one plane. Of more latents, the planes are those of two principal axes, of the
means of two classes, and of two test images; each passes through the mean of the latents.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from aejax._files import write_json
from aejax.evaluation._palette import class_colours
from aejax.evaluation.image_grid import as_figure, as_pixels, tile, write_png
from aejax.training import TrainedAutoencoder

__all__ = ["decode_plane", "write_planes"]

_SIDES = 40, 13  # tiles a side of the only plane, and of each of several
_LEAST_SIDE = 5
_VALUES = 4_000_000, 1_500_000  # largest number of values of all tiles: of one plane, of several
_POINTS = 1000, 400
_OF_A_KIND = 3  # classes and test images whose planes are offered


def write_planes(
  workdir: Path,
  trained: TrainedAutoencoder,
  means: Float[np.ndarray, "n d"],
  labels: Shaped[np.ndarray, " n"] | None,
  *,
  extent: float,
  normal: bool,
) -> None:
  """Writes plane.json and plane_tiles.png.

  Args:
    workdir: folder of the files.
    trained: the trained autoencoder.
    means: latents of the test images.
    labels: their classes, if known.
    extent: largest coordinate.
    normal: whether the prior is N(0, I), of which the planes show the circles |z| = 1 and 2.
  """
  classes = np.zeros(0) if labels is None else np.unique(labels)
  numbers = np.zeros(len(means), int)
  if labels is not None:
    numbers = np.searchsorted(classes, labels)
  colours = class_colours(max(len(classes), 1))
  several = means.shape[1] > 2
  size = int(np.prod(trained.configuration.image_shape))
  spans = _spans(means, numbers, classes) if several else [_coordinates()]
  for fewer in (3, 1):
    if _side(size, len(spans), several) < _LEAST_SIDE:
      spans = spans[:fewer]
  side = max(_LEAST_SIDE, _side(size, len(spans), several))
  planes, tiles = [], []
  for axes, origin, basis, marks in spans:
    shown = means[: _POINTS[several]]
    points = (shown - origin) @ basis.T
    reach = extent
    if several:
      reach = float(np.quantile(np.abs(points), 0.995)) * 1.1 or 1.0
      reach = max(
        [reach, *(1.1 * float(np.abs((mark - origin) @ basis.T).max()) for _, mark in marks)]
      )
    tiles.append(decode_plane(trained, side, reach, origin, basis))
    planes.append(
      {
        "axes": axes,
        "extent": reach,
        "zero": (-origin @ basis.T).round(3).tolist(),
        "points": [
          [*map(float, point.round(3)), int(number)]
          for point, number in zip(points, numbers, strict=False)
        ],
        "marks": [
          [*map(float, ((mark - origin) @ basis.T).round(3)), label] for label, mark in marks
        ],
      }
    )
  canvas = tile(as_pixels("tiles", np.concatenate(tiles), rank=5), gap=0).pixels
  write_png(workdir / "plane_tiles.png", as_figure(canvas))
  write_json(
    workdir / "plane.json",
    {
      "side": side,
      "planes": planes,
      "circles": [1, 2] if normal else [],
      "classes": [[str(name), colour] for name, colour in zip(classes, colours, strict=False)],
      "colours": colours,
    },
  )


def decode_plane(
  trained: TrainedAutoencoder,
  side: int,
  extent: float,
  origin: Float[np.ndarray, " d"] | None = None,
  basis: Float[np.ndarray, "2 d"] | None = None,
) -> Float[np.ndarray, "{side} {side} ..."]:
  """Decodes a square grid of a latent plane; the top row has the largest second coordinate.

  Args:
    trained: the trained autoencoder.
    side: number of images a side.
    extent: largest coordinate.
    origin: latent in the middle; zero by default.
    basis: orthonormal directions of the plane; the coordinates of a latent by default.
  """
  line = np.linspace(-extent, extent, side, dtype=np.float32)
  x, y = np.meshgrid(line, line[::-1])
  latents = np.stack([x, y], -1).reshape(-1, 2)
  if basis is not None and origin is not None:
    latents = (latents @ basis + origin).astype(np.float32)
  images = trained.decode(latents)
  return np.asarray(images).reshape(side, side, *images.shape[1:])


_Span = tuple[list[str], np.ndarray, np.ndarray, Sequence[tuple[str, np.ndarray]]]


def _coordinates() -> _Span:
  return ["z₁", "z₂"], np.zeros(2, np.float32), np.eye(2, dtype=np.float32), ()


def _spans(means: np.ndarray, numbers: np.ndarray, classes: np.ndarray) -> list[_Span]:
  """Returns names, origin, basis and marked latents of each plane."""
  centre = means.mean(0)
  principal = np.linalg.svd(means - centre, full_matrices=False)[2]
  spans: list[_Span] = []
  for a, b in itertools.combinations(range(min(3, len(principal))), 2):
    names = [f"principal axis {a + 1}", f"principal axis {b + 1}"]
    spans.append((names, centre, principal[[a, b]], ()))
  ends = []
  if len(classes) > 1:
    found = np.unique(numbers)
    middle = np.stack([means[numbers == number].mean(0) for number in found])
    chosen = _far_apart(middle)
    ends.append([(f"class {classes[found[k]]}", middle[k]) for k in chosen])
  chosen = _far_apart(means[:50])
  ends.append([(f"test image {k + 1}", means[k]) for k in chosen])
  for group in ends:
    for first, second in itertools.combinations(group, 2):
      basis = _orthonormal(first[1] - centre, second[1] - centre)
      if basis is not None:
        spans.append(([first[0], second[0]], centre, basis, (first, second)))
  return spans


def _far_apart(points: np.ndarray) -> list[int]:
  """Returns at most three points that are far from each other."""
  chosen = [int(np.argmax(np.square(points - points.mean(0)).sum(1)))]
  while len(chosen) < min(_OF_A_KIND, len(points)):
    nearest = np.square(points[:, None] - points[chosen]).sum(-1).min(1)
    chosen.append(int(np.argmax(nearest)))
  return chosen


def _orthonormal(first: np.ndarray, second: np.ndarray) -> np.ndarray | None:
  """Returns an orthonormal basis of the plane of two vectors, or None if they are parallel."""
  length = float(np.linalg.norm(first))
  if length < 1e-6:
    return None
  one = first / length
  rest = second - (second @ one) * one
  length = float(np.linalg.norm(rest))
  return None if length < 1e-3 * float(np.linalg.norm(second)) else np.stack([one, rest / length])


def _side(size: int, count: int, several: bool) -> int:
  return min(_SIDES[several], int((_VALUES[several] / (size * count)) ** 0.5))
