"""From images to a PNG: pixels checked and enlarged, tiles laid out, the file written whole.

Every pixel is enlarged by a whole factor and placed as it is: a resampled image would show
matplotlib's smoothing, not the decoder's.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jax import dtypes
from jaxtyping import Array, UInt8

from aejax import _checks
from aejax._files import replacing

if TYPE_CHECKING:
  from matplotlib.axis import Axis
  from matplotlib.figure import Figure

__all__ = [
  "DPI",
  "GAP",
  "as_figure",
  "as_pixels",
  "blank_figure",
  "in_rows",
  "label_powers",
  "tile",
  "tile_layout",
  "write_png",
]

Real = np.ndarray | Array

# A power of two: pixels / DPI is exact, and no rounding costs a picture its last row.
DPI = 128
GAP = 6
_WIDTH = 1024  # pixels aimed at, labels not counted
_LARGEST_TILE = 320  # a few small images do not become posters
_LARGEST_SIDE = 16384
_WHITE = 255


def as_pixels(name: str, images: Real, *, rank: int) -> UInt8[np.ndarray, "... 3"]:
  """Images in [0, 1] as colour bytes, or what is wrong with them.

  Raises:
    ValueError: if `images` is no non-empty, finite, floating-point array of `rank` axes whose last
      holds one or three channels.
  """
  array = np.asarray(_checks.array(name, images))
  layout = "[n, h, w, c]" if rank == 4 else "[rows, columns, h, w, c]"
  if array.ndim != rank or array.shape[-1] not in (1, 3) or array.size == 0:
    raise ValueError(
      f"{name} must be a non-empty {layout} with c = 1 or 3, but have shape {list(array.shape)}."
    )
  # jax's test, as numpy's does not know bfloat16.
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
  """Images row by row, the last row filled up with white ones."""
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
) -> tuple[UInt8[np.ndarray, "height width 3"], list[float]]:
  """Tiles enlarged and laid out, `group_gap` after every `group` rows; the centre of each row."""
  rows, columns, h, w, _ = tiles.shape
  factor, tops, (height, width) = tile_layout(
    rows, columns, (h, w), gap=gap, group=group, group_gap=group_gap
  )
  h = factor * h
  canvas = np.full((height, width, 3), _WHITE, np.uint8)
  for row, top in enumerate(tops):
    for column in range(columns):
      left = column * (factor * w + gap)
      tile = tiles[row, column].repeat(factor, axis=0).repeat(factor, axis=1)
      canvas[top : top + h, left : left + factor * w] = tile
  return canvas, [top + h / 2 for top in tops]


def tile_layout(
  rows: int,
  columns: int,
  size: tuple[int, int],
  *,
  gap: int = GAP,
  group: int = 1,
  group_gap: int | None = None,
) -> tuple[int, list[int], tuple[int, int]]:
  """How far tiles of a size are enlarged, where each row begins, and the size of the whole.

  Raises:
    ValueError: if it is too large for one picture.
  """
  h, w = size
  factor = max(1, min(_WIDTH // (columns * w), _LARGEST_TILE // max(h, w)))
  h, w = factor * h, factor * w
  wider = 0 if group_gap is None else group_gap - gap
  height = rows * (h + gap) - gap + (rows - 1) // group * wider
  width = columns * (w + gap) - gap
  if max(height, width) > _LARGEST_SIDE:
    raise ValueError(
      f"images are too many or too large for one picture: {rows} rows of {columns} make "
      f"{width}×{height} pixels, at most {_LARGEST_SIDE} a side."
    )
  return factor, [row * (h + gap) + row // group * wider for row in range(rows)], (height, width)


def blank_figure(width: int, height: int) -> "Figure":
  """An empty white figure of that many pixels, by the object API: no global state, no display."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure

  figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
  FigureCanvasAgg(figure)
  return figure


def as_figure(canvas: UInt8[np.ndarray, "height width 3"], *, left: int = 0) -> "Figure":
  """A figure that shows the canvas pixel for pixel, with a margin on the left for labels."""
  height, width = canvas.shape[:2]
  figure = blank_figure(left + width, height)
  figure.figimage(canvas, left, 0, origin="upper")
  return figure


def label_powers(axis: "Axis") -> None:
  """Names 1, 2 and 5 of each power of ten on a logarithmic axis, in as few digits as they have."""
  from matplotlib.ticker import FuncFormatter, LogLocator

  axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
  axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
  axis.set_minor_locator(LogLocator(subs=()))


def write_png(path: str | Path, figure: "Figure") -> Path:
  """Writes the figure whole or not at all, making the folder if need be; returns the path.

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
      # Not savefig: a user's matplotlibrc may crop or rescale what it writes.
      figure.canvas.print_png(temporary)  # pyright: ignore[reportAttributeAccessIssue]
  # What is wrong with the path, and not with the disk; the last for a null byte in it.
  except (FileExistsError, NotADirectoryError, ValueError) as error:
    raise ValueError(f"path cannot be written: {error}") from error
  return path
