"""Images of any size to square ones: centre crop, then a resize that does not alias.

Resizing is Pillow's bilinear filter, whose support grows with the scale when shrinking (an
antialiased triangle filter); values stay within those of the source, without ringing.
"""

import contextlib
import dataclasses
import io
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import UInt8

from aejax import _checks

__all__ = ["Header", "decode", "read_header", "resize"]

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF")

Source = str | os.PathLike[str] | io.BytesIO


@dataclasses.dataclass(frozen=True)
class Header:
  """What an image file says of itself before it is decoded.

  Grey is what is stored as grey, if only by its palette; WebP, for one, always stores colours.
  """

  width: int
  height: int
  grey: bool


def resize(images: UInt8[np.ndarray, "n h w c"], size: int) -> UInt8[np.ndarray, "n s s c"]:
  """Centre-crops every image to a square and resizes it to `size` x `size` pixels."""
  from PIL import Image

  if images.shape[1:3] == (size, size):
    return images
  resized = np.empty((len(images), size, size, images.shape[3]), np.uint8)
  for image, out in zip(images, resized, strict=True):
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    out[...] = np.asarray(_fit(picture, size)).reshape(out.shape)
  return resized


def read_header(source: Source, *, name: str) -> Header:
  """Reads an image's size and whether it is grey, without decoding its pixels.

  Args:
    source: a path, or a file in memory.
    name: what an error calls the image.

  Raises:
    ValueError: if this is no image, or has more pixels than Pillow deems safe to decode.
  """
  with _opened(source, name) as picture:
    return Header(picture.width, picture.height, _is_grey(picture))


def decode(
  source: Source, *, name: str, size: int, grey: bool = False, crop: int | None = None
) -> UInt8[np.ndarray, "s s c"]:
  """Decodes one image to `size` x `size` pixels.

  The orientation that a camera recorded (EXIF) is applied; transparent pixels are laid over white;
  of an animation the first frame counts; 16-bit grey keeps its upper 8 bits.

  Args:
    source: a path, or a file in memory.
    name: what an error calls the image.
    size: side of the result in pixels.
    grey: one channel instead of RGB.
    crop: side of the central square that is kept; by default the largest one.

  Raises:
    ValueError: if the image cannot be decoded, or is smaller than `crop`.
  """
  from PIL import Image, ImageOps

  with _opened(source, name) as picture:
    if crop is None:
      # A JPEG decodes at 1/2, 1/4 or 1/8 scale in a fraction of the time; twice the wanted size
      # leaves the last halving to the antialiasing filter.
      picture.draft(None, (2 * size, 2 * size))
    picture = ImageOps.exif_transpose(picture)
    if "I;16" in picture.mode:
      picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in ("I", "F"):
      raise ValueError(f"its pixels are 32-bit numbers (mode {picture.mode}) without a known range")
    if picture.has_transparency_data:
      picture = picture.convert("RGBA")
      picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = picture.convert("L" if grey else "RGB")
    if crop is not None:
      if min(picture.size) < crop:
        raise ValueError(f"{picture.width}x{picture.height} pixels are less than {crop}x{crop}")
      picture = _centre(picture, crop)
    return np.asarray(_fit(picture, size)).reshape(size, size, 1 if grey else 3)


@contextlib.contextmanager
def _opened(source: Source, name: str) -> Iterator[Any]:
  from PIL import Image

  try:
    # Not whatever Pillow knows: PostScript, for one, is a program that it would have run.
    with Image.open(source, formats=_FORMATS) as picture:
      limit = Image.MAX_IMAGE_PIXELS
      if limit is not None and picture.width * picture.height > limit:
        raise ValueError(f"{picture.width}x{picture.height} pixels are more than {limit}")
      yield picture
  # Pillow's readers raise nearly every built-in exception on broken bytes.
  except Exception as error:
    raise ValueError(
      f"{name} cannot be read as an image: {_checks.short_message(error)}"
    ) from error


def _is_grey(picture: Any) -> bool:
  if picture.mode != "P":
    return picture.mode in ("1", "L", "LA") or "I;16" in picture.mode
  palette = np.reshape(picture.getpalette("RGB"), (-1, 3))
  return bool((palette == palette[:, :1]).all())


def _centre(picture: Any, side: int) -> Any:
  left, top = (picture.width - side) // 2, (picture.height - side) // 2
  return picture.crop((left, top, left + side, top + side))


def _fit(picture: Any, size: int) -> Any:
  from PIL import Image

  # Cropped first: resize's own `box` would let the filter reach beyond the square.
  square = _centre(picture, min(picture.size))
  return square.resize((size, size), Image.Resampling.BILINEAR)
