import importlib.util
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, features

from aejax.data import images


def _file(image, kind="PNG", **options):
  file = io.BytesIO()
  image.save(file, kind, **options)
  file.seek(0)
  return file


def _decode(file, size, **options):
  return images.decode(file, name="it", size=size, **options)


def test_resize_returns_images_of_the_right_size():
  array = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4, 1)
  assert images.resize(array, 4) is array


def test_resize_takes_the_central_square():
  array = np.zeros((2, 4, 8, 3), np.uint8)
  array[:, :, 2:6] = (10, 20, 30)
  resized = images.resize(array, 4)
  np.testing.assert_array_equal(resized, np.broadcast_to([10, 20, 30], (2, 4, 4, 3)))


def test_resize_ignores_pixels_beyond_the_crop():
  array = np.full((1, 4, 8, 1), 255, np.uint8)
  array[:, :, 2:6] = 0
  assert images.resize(array, 2).max() == 0


def test_resize_does_not_alias():
  # Stripes of one pixel are at the Nyquist limit. Halved without a filter, they would become all
  # black or all white. Away from the border, the triangle filter of radius 2 gives black and white
  # the same weight.
  stripes = np.zeros((1, 16, 16, 1), np.uint8)
  stripes[:, :, ::2] = 255
  inner = images.resize(stripes, 8)[:, :, 1:-1]
  assert inner.min() >= 127
  assert inner.max() <= 128


@pytest.mark.parametrize(
  ("mode", "grey"),
  [("1", True), ("L", True), ("LA", True), ("I;16", True), ("RGB", False), ("RGBA", False)],
)
def test_read_header(mode, grey):
  header = images.read_header(_file(Image.new(mode, (5, 3))), name="it")
  assert header == images.Header(5, 3, grey, deep=mode == "I;16")


def test_read_header_finds_colours_of_16_bits():
  def chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

  header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
  pixels = chunk(b"IDAT", zlib.compress(bytes(7)))
  file = io.BytesIO(b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"IEND", b""))
  assert images.read_header(file, name="it") == images.Header(1, 1, False, truncated=True)


def test_read_header_of_palettes():
  grey = Image.new("P", (5, 3))
  grey.putpalette([0, 0, 0, 90, 90, 90])
  colour = Image.new("P", (5, 3))
  colour.putpalette([0, 0, 0, 90, 90, 91])
  assert images.read_header(_file(grey), name="it").grey
  assert not images.read_header(_file(colour), name="it").grey


def test_decode_keeps_pixels():
  pixels = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)
  np.testing.assert_array_equal(_decode(_file(Image.fromarray(pixels)), 6), pixels)
  grey = pixels[..., :1]
  decoded = _decode(_file(Image.fromarray(grey[..., 0])), 6, grey=True)
  np.testing.assert_array_equal(decoded, grey)


def test_decode_applies_exif_orientation():
  pixels = np.zeros((2, 2, 3), np.uint8)
  pixels[0, 0] = 255
  exif = Image.Exif()
  exif[0x0112] = 6  # Rotate by 90 degrees clockwise.
  decoded = _decode(_file(Image.fromarray(pixels), exif=exif), 2)
  np.testing.assert_array_equal(decoded[..., 0], [[0, 255], [0, 0]])


def test_decode_lays_transparent_pixels_over_white():
  pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0]]] * 2, np.uint8)
  decoded = _decode(_file(Image.fromarray(pixels)), 2)
  np.testing.assert_array_equal(decoded[0], [[10, 20, 30], [255, 255, 255]])


def test_decode_keeps_the_upper_bits_of_16_bit_grey():
  pixels = np.array([[0, 255], [256, 65535]], np.uint16)
  decoded = _decode(_file(Image.fromarray(pixels)), 2, grey=True)
  np.testing.assert_array_equal(decoded[..., 0], [[0, 0], [1, 255]])


def test_decode_takes_the_first_frame():
  frames = [Image.new("L", (4, 4), level) for level in (50, 200)]
  file = _file(frames[0], "GIF", save_all=True, append_images=frames[1:])
  np.testing.assert_array_equal(_decode(file, 4, grey=True), 50)


def test_decode_of_a_scaled_jpeg_agrees_with_full_decode():
  # JPEG keeps squares of 8x8 pixels, the size of its blocks, exactly, and so does its scaling. At a
  # quarter of the size each neighbour contributes 1/8, whether one filter is applied or the image
  # is halved first: the results agree up to rounding. Decoding at 1/8 and enlarging would
  # contribute 1/4, an error of 32 levels.
  squares = np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((8, 8))).astype(np.uint8) * 255
  image = Image.fromarray(squares)
  scaled = _decode(_file(image, "JPEG", quality=95), 16, grey=True)[..., 0]
  full = np.asarray(image.resize((16, 16), Image.Resampling.BILINEAR))
  np.testing.assert_allclose(scaled.astype(int), full.astype(int), atol=3)


def test_decode_crops():
  pixels = np.zeros((9, 7, 3), np.uint8)
  pixels[3:6, 2:5] = 200
  np.testing.assert_array_equal(_decode(_file(Image.fromarray(pixels)), 3, crop=3), 200)
  with pytest.raises(ValueError, match="it cannot be read as an image: its 7x9 pixels are fewer"):
    _decode(_file(Image.fromarray(pixels)), 3, crop=8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.7])
def test_decode_rejects_truncated_images(kind, keep):
  noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
  content = _file(Image.fromarray(noise), kind).getvalue()
  with pytest.raises(ValueError, match="it cannot be read as an image"):
    _decode(io.BytesIO(content[: int(keep * len(content))]), 8)


def test_decode_rejects_other_formats():
  with pytest.raises(ValueError, match="cannot identify image file"):
    _decode(_file(Image.new("L", (4, 4)), "PPM"), 4)


def test_decode_rejects_32_bit_pixels():
  with pytest.raises(ValueError, match=r"32-bit numbers \(mode F\)"):
    _decode(_file(Image.new("F", (4, 4)), "TIFF"), 4)


def test_decode_crops_and_resizes_16_bits():
  levels = np.zeros((4, 8), np.uint16)
  levels[:, 2:6] = 1000
  found = _decode(_file(Image.fromarray(levels)), 2, deep=True)
  np.testing.assert_allclose(found, np.full((2, 2, 3), 1000 / 65535), rtol=1e-6)
  cropped = _decode(_file(Image.fromarray(levels)), 2, crop=2, grey=True, deep=True)
  np.testing.assert_allclose(cropped, np.full((2, 2, 1), 1000 / 65535), rtol=1e-6)


def test_resize_of_floats_is_that_of_bytes_without_rounding():
  array = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
  found = images.resize(array.astype(np.float32) / 255, 4)
  assert found.dtype == np.float32
  np.testing.assert_allclose(found, images.resize(array, 4) / 255, atol=1.5 / 255)


def test_read_header_rejects_decompression_bombs():
  # A PNG of a few bytes that declares 20000x20000 pixels.
  def chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

  header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0))
  bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
  with pytest.raises(ValueError, match="it cannot be read as an image"):
    images.read_header(io.BytesIO(bomb), name="it")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_read_header_rejects_more_pixels_than_the_limit(monkeypatch):
  monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
  with pytest.raises(ValueError, match="6x6 pixels are more than 30"):
    images.read_header(_file(Image.new("L", (6, 6))), name="it")


def test_images_ask_for_pillow(monkeypatch):
  file = _file(Image.new("L", (4, 4)))
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  for call in (
    lambda: images.read_header(file, name="it"),
    lambda: _decode(file, 4),
    lambda: images.resize(np.zeros((1, 4, 4, 1), np.uint8), 2),
  ):
    with pytest.raises(ImportError, match=r"the package PIL, .* pip install 'aejax\[train\]'"):
      call()


def test_an_older_pillow_is_not_asked_for_avif(monkeypatch):
  """Such a Pillow does not know the format at all: naming it to `Image.open` is a KeyError."""
  Image.init()
  monkeypatch.setattr(
    features, "modules", {k: v for k, v in features.modules.items() if k != "avif"}
  )
  monkeypatch.delitem(Image.OPEN, "AVIF", raising=False)
  assert not images.reads_avif()
  # All formats are tried here.
  with pytest.raises(ValueError, match="cannot be read as an image: cannot identify"):
    _decode(io.BytesIO(b"no image"), 4)
