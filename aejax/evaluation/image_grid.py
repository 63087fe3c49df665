"""Lays out images as tiles of a figure and writes figures as PNG files.

Images are enlarged by a whole factor and never resampled, because resampling would add smoothing
that is not the decoder's.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jax import dtypes
from jaxtyping import UInt8

from aejax import _checks
from aejax._extras import require
from aejax._files import replacing
from aejax.metrics._chunked import Real

if TYPE_CHECKING:
  from matplotlib.axis import Axis
  from matplotlib.figure import Figure

__all__ = [
  "DPI",
  "GAP",
  "LAYOUT",
  "Tiles",
  "as_figure",
  "as_pixels",
  "blank_figure",
  "in_rows",
  "label_powers",
  "tile",
  "tile_layout",
  "write_png",
]

# A power of two makes pixels / DPI exact: rounding would cut off the last row of pixels.
DPI = 128
GAP = 6
# Entry of a PNG with the factor by which its tiles are enlarged, and the width of its labels.
LAYOUT = "aejax layout"
_WIDTH = 1024  # target width in pixels, without labels
_MAX_TILE = 320  # limits the enlargement of a few small images
_MAX_SIDE = 16384
_WHITE = 255


class Tiles(NamedTuple):
  """Tiles on a canvas.

  Attributes:
    pixels: the canvas.
    centres: vertical centre of each row.
    factor: factor by which the tiles are enlarged.
  """

  pixels: UInt8[np.ndarray, "height width 3"]
  centres: list[float]
  factor: int


def as_pixels(name: str, images: Real, *, rank: int) -> UInt8[np.ndarray, "... 3"]:
  """Converts images in [0, 1] to colour bytes.

  Args:
    name: name of the argument, for error messages.
    images: grey or colour images; values outside [0, 1] are clipped.
    rank: number of axes that the array must have.

  Raises:
    ValueError: if `images` is not a non-empty, finite, floating-point array with `rank` axes, the
      last one with one or three channels.
  """
  array = np.asarray(_checks.array(name, images))
  layout = "[n, h, w, c]" if rank == 4 else "[rows, columns, h, w, c]"
  if array.ndim != rank or array.shape[-1] not in (1, 3) or array.size == 0:
    raise ValueError(
      f"{name} must be a non-empty {layout} with c = 1 or 3, but have shape {list(array.shape)}."
    )
  # NumPy's own test does not recognise bfloat16.
  if not dtypes.issubdtype(array.dtype, np.floating):
    raise ValueError(f"{name} must be floating-point in [0, 1], but have {array.dtype}.")
  array = array.astype(np.float32)
  if not np.isfinite(array).all():
    raise ValueError(f"{name} must be finite, but hold NaN or infinity.")
  pixels = np.rint(255.0 * np.clip(array, 0.0, 1.0)).astype(np.uint8)
  return np.broadcast_to(pixels, (*pixels.shape[:-1], 3))


def in_rows(
  images: UInt8[np.ndarray, "n h w 3"], columns: int
) -> UInt8[np.ndarray, "rows columns h w 3"]:
  """Arranges images row by row, and fills up the last row with white images."""
  columns = min(columns, len(images))
  rows = -(-len(images) // columns)
  padded = np.full((rows * columns, *images.shape[1:]), _WHITE, np.uint8)
  padded[: len(images)] = images
  return padded.reshape(rows, columns, *images.shape[1:])


def tile(
  tiles: UInt8[np.ndarray, "rows columns h w 3"],
  *,
  gap: int = GAP,
  group: int = 1,
  group_gap: int | None = None,
) -> Tiles:
  """Enlarges tiles and lays them out on a canvas.

  Args:
    tiles: images, row by row.
    gap: gap between tiles in pixels.
    group: number of rows in a group.
    group_gap: gap between groups in pixels; `gap` by default.
  """
  rows, columns, h, w, _ = tiles.shape
  factor, tops, (height, width) = tile_layout(
    rows, columns, (h, w), gap=gap, group=group, group_gap=group_gap
  )
  h = factor * h
  canvas = np.full((height, width, 3), _WHITE, np.uint8)
  for row, top in enumerate(tops):
    for column in range(columns):
      left = column * (factor * w + gap)
      enlarged = tiles[row, column].repeat(factor, axis=0).repeat(factor, axis=1)
      canvas[top : top + h, left : left + factor * w] = enlarged
  return Tiles(canvas, [top + h / 2 for top in tops], factor)


def tile_layout(
  rows: int,
  columns: int,
  size: tuple[int, int],
  *,
  gap: int = GAP,
  group: int = 1,
  group_gap: int | None = None,
) -> tuple[int, list[int], tuple[int, int]]:
  """Computes the layout of tiles; see `tile` for the gaps.

  Args:
    rows: number of rows.
    columns: number of columns.
    size: height and width of a tile before it is enlarged.
    gap: gap between tiles in pixels.
    group: number of rows in a group.
    group_gap: gap between groups in pixels; `gap` by default.

  Returns:
    The factor that enlarges the tiles, the top of each row, and the height and width of the canvas.

  Raises:
    ValueError: if the canvas is too large for one picture.
  """
  h, w = size
  factor = max(1, min(_WIDTH // (columns * w), _MAX_TILE // max(h, w)))
  h, w = factor * h, factor * w
  wider = 0 if group_gap is None else group_gap - gap
  height = rows * (h + gap) - gap + (rows - 1) // group * wider
  width = columns * (w + gap) - gap
  if max(height, width) > _MAX_SIDE:
    raise ValueError(
      f"images are too many or too large for one picture: {rows} rows of {columns} make "
      f"{width}×{height} pixels, but at most {_MAX_SIDE} a side are possible."
    )
  return factor, [row * (h + gap) + row // group * wider for row in range(rows)], (height, width)


def blank_figure(width: int, height: int) -> "Figure":
  """Returns an empty white figure of a size in pixels, made without pyplot and a display."""
  require("train", "matplotlib")
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
  FigureCanvasAgg(figure)
  return figure


def as_figure(canvas: UInt8[np.ndarray, "height width 3"], *, left: int = 0) -> "Figure":
  """Returns a figure that shows a canvas pixel for pixel, with a left margin for labels."""
  height, width = canvas.shape[:2]
  figure = blank_figure(left + width, height)
  figure.figimage(canvas, left, 0, origin="upper")
  return figure


def label_powers(axis: "Axis") -> None:
  """Labels 1, 2 and 5 times each power of ten on a logarithmic axis."""
  require("train", "matplotlib")
  from matplotlib.ticker import FuncFormatter, LogLocator

  axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
  axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
  axis.set_minor_locator(LogLocator(subs=()))


def write_png(path: str | Path, figure: "Figure", *, factor: int = 0, left: int = 0) -> Path:
  """Writes a figure to a PNG file, which is either complete or absent.

  Args:
    path: the file to write; its folder is made if it does not exist.
    figure: the figure.
    factor: factor by which tiles in the figure are enlarged, for the report; 0 if there are none.
    left: width of the labels left of the tiles.

  Returns:
    The path.

  Raises:
    ValueError: if `path` does not end in .png, or cannot be written.
  """
  if not isinstance(path, str | os.PathLike):
    raise ValueError(f"path must be a path, but is {_checks.type_name(path)}.")
  path = Path(path)
  if path.suffix.lower() != ".png":
    raise ValueError(f"path must end in .png, but is {str(path)!r}.")
  if path.is_dir():
    raise ValueError(f"path must be that of a file, but {path} is a folder.")
  try:
    with replacing(path) as temporary:
      # savefig would crop or rescale the figure if the user's matplotlibrc says so.
      canvas: Any = figure.canvas
      canvas.print_png(temporary, metadata={LAYOUT: f"{factor} {left}"} if factor else {})
  # Only errors of the path become a ValueError (one for a null byte), not those of the disk.
  except (FileExistsError, NotADirectoryError, ValueError) as error:
    raise ValueError(f"path cannot be written: {error}") from error
  return path
