"""Decodes images of any size to square arrays: a centre crop, then an antialiased resize.

The resize is Pillow's bilinear filter. When it shrinks an image, the support of the filter grows
with the scale (an antialiased triangle filter). Values stay within the range of the source, so
there is no ringing.
"""

import contextlib
import dataclasses
import importlib.util
import io
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8

from aejax import _checks
from aejax._extras import require

__all__ = ["Header", "decode", "read_header", "reads_avif", "resize"]

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")

Source = str | os.PathLike[str] | io.BytesIO


@dataclasses.dataclass(frozen=True)
class Header:
  """Properties of an image file that can be read without decoding its pixels.

  Attributes:
    width: width in pixels.
    height: height in pixels.
    grey: whether the file stores grey values, or a palette of grey values only. WebP always stores
      colours.
    deep: whether the file stores 16-bit grey values, which bytes would not hold.
    truncated: whether Pillow keeps only the upper 8 bits of 16-bit colours.
    frames: number of frames or pages.
  """

  width: int
  height: int
  grey: bool
  deep: bool = False
  truncated: bool = False
  frames: int = 1


def resize(
  images: UInt8[np.ndarray, "n h w c"] | Float32[np.ndarray, "n h w c"], size: int
) -> UInt8[np.ndarray, "n s s c"] | Float32[np.ndarray, "n s s c"]:
  """Crops every image to its central square and resizes that to `size` x `size` pixels."""
  if images.shape[1:3] == (size, size):
    return images
  require("train", "PIL")
  from PIL import Image

  resized = np.empty((len(images), size, size, images.shape[3]), images.dtype)
  for pixels, out in zip(images, resized, strict=True):
    if images.dtype == np.uint8 and images.shape[3] == 3:
      out[...] = np.asarray(_fit(Image.fromarray(pixels), size))
      continue
    for channel in range(images.shape[3]):  # Pillow has no colour images of floats
      out[..., channel] = np.asarray(_fit(Image.fromarray(pixels[..., channel]), size))
  return resized


def read_header(source: Source, *, name: str) -> Header:
  """Reads the size of an image and whether it is grey, without decoding its pixels.

  Args:
    source: path of the image, or the content of its file.
    name: name of the image in error messages.

  Raises:
    ValueError: if the source is not an image, or has more pixels than Pillow considers safe.
  """
  with _open(source, name) as image:
    raw_modes = [str(tile[3]) for tile in image.tile]
    return Header(
      image.width,
      image.height,
      _is_grey(image),
      deep="I;16" in image.mode,
      truncated="I;16" not in image.mode and any(";16" in mode for mode in raw_modes),
      frames=getattr(image, "n_frames", 1),
    )


def decode(
  source: Source,
  *,
  name: str,
  size: int,
  grey: bool = False,
  crop: int | None = None,
  deep: bool = False,
) -> UInt8[np.ndarray, "s s c"] | Float32[np.ndarray, "s s c"]:
  """Decodes one image to `size` x `size` pixels.

  Applies the orientation that a camera recorded (EXIF), lays transparent pixels over white, and
  takes the first frame of an animation.

  Args:
    source: path of the image, or the content of its file.
    name: name of the image in error messages.
    size: side of the result in pixels.
    grey: whether the result has one channel instead of RGB.
    crop: side of the central square to keep; by default the largest that fits.
    deep: whether the result is float32 in [0, 1], which holds 16-bit grey exactly. Otherwise it is
      bytes, with the upper 8 bits of 16-bit grey.

  Raises:
    ValueError: if the image cannot be decoded, or is smaller than `crop`.
  """
  with _open(source, name) as image:
    from PIL import Image, ImageOps

    if crop is None:
      # A JPEG decodes at 1/2, 1/4 or 1/8 scale in a fraction of the time. Asking for twice the
      # target size leaves at least the last halving to the antialiasing filter.
      image.draft(None, (2 * size, 2 * size))
    image = ImageOps.exif_transpose(image)
    if "I;16" in image.mode:
      levels = np.asarray(image)
      image = Image.fromarray(
        levels.astype(np.float32) / 65535 if deep else (levels >> 8).astype(np.uint8)
      )
      if deep:
        square = np.asarray(_fit(_cropped(image, crop), size), np.float32)
        return np.repeat(square[..., None], 1 if grey else 3, axis=2)
    if image.mode in ("I", "F"):
      raise ValueError(f"its pixels are 32-bit numbers (mode {image.mode}) without a known range")
    if image.has_transparency_data:
      image = image.convert("RGBA")
      image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("L" if grey else "RGB")
    square = np.asarray(_fit(_cropped(image, crop), size)).reshape(size, size, 1 if grey else 3)
    return square / np.float32(255) if deep else square


def reads_avif() -> bool:
  """Returns whether the installed Pillow decodes AVIF."""
  if importlib.util.find_spec("PIL") is None:
    return False
  from PIL import features

  return "avif" in features.modules and bool(features.check("avif"))


@contextlib.contextmanager
def _open(source: Source, name: str) -> Iterator[Any]:
  """Yields an open Pillow image; any error inside the block becomes a ValueError with its name."""
  require("train", "PIL")
  from PIL import Image

  try:
    # Without a list of formats Pillow would also open PostScript, and run it in Ghostscript.
    # An older Pillow raises a KeyError for a format that it does not know.
    formats = (*_FORMATS, "AVIF") if reads_avif() else _FORMATS
    with Image.open(source, formats=formats) as image:
      limit = Image.MAX_IMAGE_PIXELS
      if limit is not None and image.width * image.height > limit:
        raise ValueError(f"its {image.width}x{image.height} pixels are more than {limit}")
      yield image
  # Pillow's readers raise nearly every built-in exception on damaged files.
  except Exception as error:
    raise ValueError(
      f"{name} cannot be read as an image: {_checks.short_message(error)}"
    ) from error


def _is_grey(image: Any) -> bool:
  if image.mode != "P":
    return image.mode in ("1", "L", "LA") or "I;16" in image.mode
  palette = np.reshape(image.getpalette("RGB"), (-1, 3))
  return bool((palette == palette[:, :1]).all())


def _cropped(image: Any, side: int | None) -> Any:
  if side is None:
    return image
  if min(image.size) < side:
    raise ValueError(
      f"its {image.width}x{image.height} pixels are fewer than the crop of {side}x{side}"
    )
  return _crop_centre(image, side)


def _crop_centre(image: Any, side: int) -> Any:
  left, top = (image.width - side) // 2, (image.height - side) // 2
  return image.crop((left, top, left + side, top + side))


def _fit(image: Any, size: int) -> Any:
  from PIL import Image

  # Crop first: with the `box` argument of Pillow's resize, the filter reads beyond the square.
  square = _crop_centre(image, min(image.size))
  return square.resize((size, size), Image.Resampling.BILINEAR)
