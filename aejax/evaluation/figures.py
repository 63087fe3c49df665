"""Plots of images and of two-dimensional latents.

Images are floats in [0, 1], grey or colour. Values are clipped, and small images are enlarged
without smoothing. Each function writes a PNG file, which is complete or absent, and returns its
path.
"""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Shaped

from aejax import _checks
from aejax._extras import require
from aejax.evaluation._palette import INK, class_colours
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
from aejax.metrics._chunked import Real, features_in_float64

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

__all__ = [
  "check_grid",
  "save_decoded_plane",
  "save_grid",
  "save_interpolations",
  "save_latent_scatter",
  "save_reconstructions",
]

_SIDE = 800
_EDGE = 12
_MAX_POINTS = 10_000
_MAX_LEGEND_ROWS = 20


def save_grid(path: str | Path, images: Float[Real, "n h w c"], *, columns: int = 8) -> Path:
  """Saves images, such as decoded samples of the prior, row by row in a grid.

  Args:
    path: the PNG to write.
    images: images in [0, 1] with one or three channels.
    columns: number of images in a row.

  Returns:
    The path written.

  Raises:
    ValueError: if `images` has another shape or is not finite, if there are no images or too many
      for one picture, if `columns` is not positive, or if `path` does not end in .png.
  """
  _checks.integer("columns", columns)
  tiles = tile(in_rows(as_pixels("images", images, rank=4), columns))
  return write_png(path, as_figure(tiles.pixels), factor=tiles.factor)


def check_grid(num: int, size: tuple[int, int], *, columns: int = 8) -> None:
  """Checks that `save_grid` can save `num` images of a height and width.

  Raises:
    ValueError: if they are too many for one picture.
  """
  columns = min(columns, _checks.integer("num", num))
  tile_layout(-(-num // columns), columns, size)


def save_reconstructions(
  path: str | Path,
  images: Float[Real, "n h w c"],
  reconstructions: Float[Real, "n h w c"],
  *,
  names: tuple[str, str] = ("original", "reconstruction"),
) -> Path:
  """Saves images above their reconstructions, eight in a row.

  Args:
    path: the PNG to write.
    images: originals in [0, 1] with one or three channels.
    reconstructions: their reconstructions, of the same shape.
    names: labels of the images and of the reconstructions.

  Returns:
    The path written.

  Raises:
    ValueError: if the shapes differ, or for a reason given in `save_grid`.
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
  canvas, centres, factor = tile(pairs, group=2, group_gap=3 * GAP)
  left = 136 if max(map(len, names)) < 16 else 210
  figure = as_figure(canvas, left=left)
  height, width = canvas.shape[:2]
  for row, centre in enumerate(centres):
    x, y = (left - 12) / (left + width), 1 - centre / height
    figure.text(x, y, names[row % 2], ha="right", va="center", fontsize=9, color=INK)
  return write_png(path, figure, factor=factor, left=left)


def save_interpolations(path: str | Path, images: Float[Real, "rows steps h w c"]) -> Path:
  """Saves interpolations, one in each row.

  Args:
    path: the PNG to write.
    images: decoded images in [0, 1] with one or three channels, in the order of the interpolation.

  Returns:
    The path written.

  Raises:
    ValueError: for a reason given in `save_grid`.
  """
  tiles = tile(as_pixels("images", images, rank=5), group_gap=2 * GAP)
  return write_png(path, as_figure(tiles.pixels), factor=tiles.factor)


def save_decoded_plane(
  path: str | Path,
  images: Float[Real, "rows columns h w c"],
  extent: tuple[float, float, float, float],
) -> Path:
  """Saves a grid of images decoded from a two-dimensional latent space, on latent axes.

  Args:
    path: the PNG to write.
    images: decoded images in [0, 1] with one or three channels. The first row, at the top, has the
      largest z₂; the first column, on the left, has the smallest z₁.
    extent: latents (left, right, bottom, top) at the centres of the outermost images.

  Returns:
    The path written.

  Raises:
    ValueError: if `extent` is not finite and increasing, or for a reason given in `save_grid`.
  """
  left, right, bottom, top = _increasing(extent)
  pixels = as_pixels("images", images, rank=5)
  rows, columns = pixels.shape[:2]
  if min(rows, columns) < 2:
    raise ValueError(f"images must be at least 2 rows of 2 columns, but are {rows} of {columns}.")
  gap = 3
  canvas = tile(pixels, gap=gap).pixels
  height, width = canvas.shape[:2]
  figure, axes = _latent_axes(width, height)
  # The distance from a corner tile's centre to the canvas's edge is half a tile. That is less than
  # half a step, because a step also crosses a gap.
  margin_x = (right - left) / (columns - 1) * (0.5 - 0.5 * gap / ((width + gap) / columns))
  margin_y = (top - bottom) / (rows - 1) * (0.5 - 0.5 * gap / ((height + gap) / rows))
  axes.set_xlim(left - margin_x, right + margin_x)
  axes.set_ylim(bottom - margin_y, top + margin_y)
  # Draw the pixels below the axes and not in them: an axes image would be resampled.
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
  path: str | Path,
  latents: Float[Real, "n 2"],
  labels: Shaped[Real, " n"] | None = None,
  *,
  reference: Float[Real, "m 2"] | None = None,
) -> Path:
  """Saves a scatter plot of two-dimensional latents, with the circles |z| = 1, 2, 3 of N(0, I).

  At most 10,000 latents are shown, a fixed random subset of them. Points are drawn in a fixed
  random order, so that no class hides another if the data set is sorted.

  Args:
    path: the PNG to write.
    latents: latents, one a row.
    labels: class of each latent, if known.
    reference: samples of another prior, which then replace the circles.

  Returns:
    The path written.

  Raises:
    ValueError: if `latents` is not a finite, non-empty [n, 2], if the number of labels differs, or
      if `path` does not end in .png.
  """
  points = np.asarray(_checks.array("latents", latents))
  if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
    raise ValueError(f"latents must be a non-empty [n, 2], but have shape {list(points.shape)}.")
  points = features_in_float64("latents", points)
  if labels is not None and np.shape(labels) != (len(points),):
    raise ValueError(
      f"labels must have shape [{len(points)}], one for each latent, but have "
      f"{list(np.shape(labels))}."
    )

  require("train", "matplotlib")
  from matplotlib.lines import Line2D
  from matplotlib.patches import Circle

  order = np.random.default_rng(0).permutation(len(points))[:_MAX_POINTS]
  names = np.zeros(len(points)) if labels is None else np.asarray(labels)
  classes, class_indices = np.unique(names, return_inverse=True)
  colours = class_colours(len(classes))

  figure, axes = _latent_axes(_SIDE, _SIDE)
  point_colours = [colours[index] for index in class_indices[order]]
  if reference is not None:
    axes.scatter(*np.asarray(reference)[:_MAX_POINTS].T, color=INK, s=3, alpha=0.2, linewidths=0)
  axes.scatter(*points[order].T, c=point_colours, s=10, alpha=0.6, linewidths=0)
  for radius in (1, 2, 3) if reference is None else ():
    axes.add_patch(Circle((0, 0), radius, fill=False, color=INK, linewidth=0.8, linestyle="--"))
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
      labelcolor=INK,
      handletextpad=0.2,
      ncols=-(-len(classes) // _MAX_LEGEND_ROWS),
    )
  _fit(figure, axes, _SIDE, _SIDE)
  return write_png(path, figure)


def _latent_axes(width: int, height: int) -> tuple["Figure", "Axes"]:
  """Returns a figure with axes of the latent plane; the size is in pixels."""
  figure = blank_figure(width, height)
  axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
  axes.set_xlabel("$z_1$", color=INK)
  axes.set_ylabel("$z_2$", color=INK)
  axes.tick_params(colors=INK)
  for spine in axes.spines.values():
    spine.set_color(INK)
    spine.set_linewidth(0.8)
  return figure, axes


def _fit(figure: "Figure", axes: "Axes", width: int, height: int) -> tuple[int, int]:
  """Enlarges the figure around its axes until labels and legend fit.

  The axes keep their size in pixels. Fixed margins would cut long tick labels and class names, and
  matplotlib's layouts would move the axes off the pixel grid.

  Returns:
    The left and bottom pixel of the axes.
  """
  figure.canvas.draw()
  box = axes.get_tightbbox()
  assert box is not None  # only invisible axes have no box
  left, bottom = math.ceil(-box.x0) + _EDGE, math.ceil(-box.y0) + _EDGE
  total_width = left + max(width, math.ceil(box.x1)) + _EDGE
  total_height = bottom + max(height, math.ceil(box.y1)) + _EDGE
  figure.set_size_inches(total_width / DPI, total_height / DPI)
  axes.set_position(
    (left / total_width, bottom / total_height, width / total_width, height / total_height)
  )
  return left, bottom
