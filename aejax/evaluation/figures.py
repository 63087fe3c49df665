"""The pictures of a run: samples, reconstructions, interpolations, two-dimensional latents.

Images are floats in [0, 1], grey or colour, clipped for display, small ones enlarged and crisp.
Each function writes a PNG, whole or not at all, and returns its path.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Array, Float, Shaped

from aejax import _checks
from aejax.evaluation.image_grid import (
  DPI,
  GAP,
  as_figure,
  as_pixels,
  blank_figure,
  in_rows,
  tile,
  tile_layout,
  write_png,
)
from aejax.metrics._chunked import features_in_float64

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

__all__ = [
  "check_grid",
  "class_colours",
  "save_decoded_plane",
  "save_grid",
  "save_interpolations",
  "save_latent_scatter",
  "save_reconstructions",
]

Real = np.ndarray | Array

_INK = "#333333"

# Petroff, 2021, arXiv 2107.02270: ten colours that stay apart under colour-vision deficiencies.
_COLOURS = (
  *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
  *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)
_SIDE = 800
_EDGE = 12
_MOST_POINTS = 10_000
_LEGEND_ROWS = 20


def save_grid(path: str | Path, images: Float[Real, "n h w c"], *, columns: int = 8) -> Path:
  """Saves images, such as decoded prior samples, row by row in a grid.

  Args:
    path: the PNG to write.
    images: images in [0, 1] with one or three channels.
    columns: images in a row.

  Returns:
    The path written.

  Raises:
    ValueError: if `images` has another shape or is not finite, if there are none or too many for
      one picture, if `columns` is not positive, or if `path` does not end in .png.
  """
  _checks.integer("columns", columns)
  canvas, _ = tile(in_rows(as_pixels("images", images, rank=4), columns))
  return write_png(path, as_figure(canvas))


def check_grid(num: int, size: tuple[int, int], *, columns: int = 8) -> None:
  """Raises a ValueError if so many images of that height and width are too many for `save_grid`."""
  columns = min(columns, _checks.integer("num", num))
  tile_layout(-(-num // columns), columns, size)


def save_reconstructions(
  path: str | Path,
  images: Float[Real, "n h w c"],
  reconstructions: Float[Real, "n h w c"],
  *,
  names: tuple[str, str] = ("original", "reconstruction"),
) -> Path:
  """Saves images, each above its reconstruction, eight to a row.

  Args:
    path: the PNG to write.
    images: originals in [0, 1] with one or three channels.
    reconstructions: their reconstructions, of the same shape.
    names: of both kinds, for the margin.

  Returns:
    The path written.

  Raises:
    ValueError: if the shapes differ, and for the reasons of `save_grid`.
  """
  images = _checks.array("images", images)
  reconstructions = _checks.array("reconstructions", reconstructions)
  if not isinstance(names, tuple | list) or [isinstance(n, str) for n in names] != [True, True]:
    raise ValueError(f"names must be two strings, but is {_checks.short_repr(names)}.")
  if images.shape != reconstructions.shape:
    raise ValueError(
      f"images and reconstructions must have one shape, but have "
      f"{list(images.shape)} and {list(reconstructions.shape)}."
    )
  originals = in_rows(as_pixels("images", images, rank=4), 8)
  copies = in_rows(as_pixels("reconstructions", reconstructions, rank=4), 8)
  pairs = np.stack([originals, copies], axis=1).reshape(-1, *originals.shape[1:])
  canvas, centres = tile(pairs, group=2, group_gap=3 * GAP)
  left = 136 if max(map(len, names)) < 16 else 210
  figure = as_figure(canvas, left=left)
  height, width = canvas.shape[:2]
  for row, centre in enumerate(centres):
    x, y = (left - 12) / (left + width), 1 - centre / height
    figure.text(x, y, names[row % 2], ha="right", va="center", fontsize=9, color=_INK)
  return write_png(path, figure)


def save_interpolations(path: str | Path, images: Float[Real, "rows steps h w c"]) -> Path:
  """Saves interpolations, each row a walk from one image to another.

  Args:
    path: the PNG to write.
    images: decoded images in [0, 1] with one or three channels, in the order of the walk.

  Returns:
    The path written.

  Raises:
    ValueError: for the reasons of `save_grid`.
  """
  canvas, _ = tile(as_pixels("images", images, rank=5), group_gap=2 * GAP)
  return write_png(path, as_figure(canvas))


def save_decoded_plane(
  path: str | Path,
  images: Float[Real, "rows columns h w c"],
  extent: tuple[float, float, float, float],
) -> Path:
  """Saves a two-dimensional latent space as the images that it decodes to, on latent axes.

  Args:
    path: the PNG to write.
    images: decoded images in [0, 1] with one or three channels; the first row is the top one, of
      the largest z₂, and the first column the left one, of the smallest z₁.
    extent: the latents (left, right, bottom, top) at the centres of the outermost images.

  Returns:
    The path written.

  Raises:
    ValueError: if `extent` is not finite and increasing, and for the reasons of `save_grid`.
  """
  left, right, bottom, top = _increasing(extent)
  pixels = as_pixels("images", images, rank=5)
  rows, columns = pixels.shape[:2]
  if min(rows, columns) < 2:
    raise ValueError(f"images must be at least 2 rows of 2 columns, but are {rows} of {columns}.")
  gap = 3
  canvas, _ = tile(pixels, gap=gap)
  height, width = canvas.shape[:2]
  figure, axes = _latent_axes(width, height)
  # From a corner tile's centre to the canvas's edge is half a tile, which is less than half a step
  # because a step also crosses a gap.
  to_side = (right - left) / (columns - 1) * (0.5 - 0.5 * gap / ((width + gap) / columns))
  to_end = (top - bottom) / (rows - 1) * (0.5 - 0.5 * gap / ((height + gap) / rows))
  axes.set_xlim(left - to_side, right + to_side)
  axes.set_ylim(bottom - to_end, top + to_end)
  # The pixels lie below the axes, not in them: an axes image would be resampled.
  axes.patch.set_visible(False)
  figure.figimage(canvas, *_fit(figure, axes, width, height), origin="upper")
  return write_png(path, figure)


def _increasing(extent: Any) -> tuple[float, float, float, float]:
  try:
    left, right, bottom, top = (float(_checks.finite("extent", value)) for value in extent)
    if left < right and bottom < top:
      return left, right, bottom, top
  except (TypeError, ValueError):
    pass
  raise ValueError(
    f"extent must be finite with left < right, bottom < top, but is {_checks.short_repr(extent)}."
  )


def save_latent_scatter(
  path: str | Path, latents: Float[Real, "n 2"], labels: Shaped[Real, " n"] | None = None
) -> Path:
  """Saves two-dimensional latents as points, with the circles |z| = 1, 2, 3 of N(0, I).

  Beyond 10,000 latents a fixed random subset is drawn. Points lie in a fixed random order, so that
  no class hides another because the data set is sorted.

  Args:
    path: the PNG to write.
    latents: latents, one a row.
    labels: the class of each latent, if known.

  Returns:
    The path written.

  Raises:
    ValueError: if `latents` is not a finite, non-empty [n, 2], if there is not one label a latent,
      or if `path` does not end in .png.
  """
  points = np.asarray(_checks.array("latents", latents))
  if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
    raise ValueError(f"latents must be a non-empty [n, 2], but have shape {list(points.shape)}.")
  points = features_in_float64("latents", points)
  if labels is not None and np.shape(labels) != (len(points),):
    raise ValueError(
      f"labels must have shape [{len(points)}], one a latent, but have {list(np.shape(labels))}."
    )

  from matplotlib.lines import Line2D
  from matplotlib.patches import Circle

  order = np.random.default_rng(0).permutation(len(points))[:_MOST_POINTS]
  names = np.zeros(len(points)) if labels is None else np.asarray(labels)
  classes, of_point = np.unique(names, return_inverse=True)
  colours = class_colours(len(classes))

  figure, axes = _latent_axes(_SIDE, _SIDE)
  dots = [colours[index] for index in of_point[order]]
  axes.scatter(*points[order].T, c=dots, s=10, alpha=0.6, linewidths=0)
  for radius in (1, 2, 3):
    axes.add_patch(Circle((0, 0), radius, fill=False, color=_INK, linewidth=0.8, linestyle="--"))
  limit = max(3.5, 1.05 * float(np.abs(points[order]).max()))
  axes.set(xlim=(-limit, limit), ylim=(-limit, limit))
  if labels is not None:
    handles = [
      Line2D([], [], linestyle="", marker="o", markersize=5, color=colour, label=str(name))
      for name, colour in zip(classes, colours, strict=True)
    ]
    axes.legend(
      handles=handles,
      loc="upper left",
      bbox_to_anchor=(1.0, 1.0),
      frameon=False,
      labelcolor=_INK,
      handletextpad=0.2,
      ncols=-(-len(classes) // _LEGEND_ROWS),
    )
  _fit(figure, axes, _SIDE, _SIDE)
  return write_png(path, figure)


def class_colours(count: int) -> list[str]:
  """A colour for each class, as #rrggbb."""
  if count <= len(_COLOURS):
    return list(_COLOURS[:count])
  from matplotlib import colormaps
  from matplotlib.colors import to_hex

  return [to_hex(colour) for colour in colormaps["viridis"](np.linspace(0, 1, count))]


def _latent_axes(width: int, height: int) -> tuple["Figure", "Axes"]:
  """Axes of the latent plane, of that many pixels, alone in a figure."""
  figure = blank_figure(width, height)
  axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
  axes.set_xlabel("$z_1$", color=_INK)
  axes.set_ylabel("$z_2$", color=_INK)
  axes.tick_params(colors=_INK)
  for spine in axes.spines.values():
    spine.set_color(_INK)
    spine.set_linewidth(0.8)
  return figure, axes


def _fit(figure: "Figure", axes: "Axes", width: int, height: int) -> tuple[int, int]:
  """Grows the figure around its axes until labels and legend fit; returns the axes' corner.

  The axes keep their size in pixels: fixed margins would cut long tick labels and class names, and
  matplotlib's layouts would move the axes off the pixel grid.
  """
  figure.canvas.draw()
  box = axes.get_tightbbox()
  assert box is not None  # it is None for invisible axes only
  left, bottom = math.ceil(-box.x0) + _EDGE, math.ceil(-box.y0) + _EDGE
  total_width = left + max(width, math.ceil(box.x1)) + _EDGE
  total_height = bottom + max(height, math.ceil(box.y1)) + _EDGE
  figure.set_size_inches(total_width / DPI, total_height / DPI)
  axes.set_position(
    (left / total_width, bottom / total_height, width / total_width, height / total_height)
  )
  return left, bottom
