import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from aejax.data import images


def _file(picture, kind="PNG", **options):
  file = io.BytesIO()
  picture.save(file, kind, **options)
  file.seek(0)
  return file


def _decode(file, size, **options):
  return images.decode(file, name="it", size=size, **options)


def test_resize_leaves_images_of_the_size_alone():
  array = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4, 1)
  assert images.resize(array, 4) is array


def test_resize_takes_the_central_square():
  array = np.zeros((2, 4, 8, 3), np.uint8)
  array[:, :, 2:6] = (10, 20, 30)
  resized = images.resize(array, 4)
  np.testing.assert_array_equal(resized, np.broadcast_to([10, 20, 30], (2, 4, 4, 3)))


def test_resize_does_not_see_beyond_the_crop():
  array = np.full((1, 4, 8, 1), 255, np.uint8)
  array[:, :, 2:6] = 0
  assert images.resize(array, 2).max() == 0


def test_resize_does_not_alias():
  # One-pixel stripes are at the Nyquist limit: halved without a filter they would be all black or
  # all white. Inside, the triangle filter of radius 2 weighs black and white equally.
  stripes = np.zeros((1, 16, 16, 1), np.uint8)
  stripes[:, :, ::2] = 255
  inner = images.resize(stripes, 8)[:, :, 1:-1]
  assert inner.min() >= 127
  assert inner.max() <= 128


@pytest.mark.parametrize(
  ("mode", "grey"),
  [("1", True), ("L", True), ("LA", True), ("I;16", True), ("RGB", False), ("RGBA", False)],
)
def test_header(mode, grey):
  header = images.read_header(_file(Image.new(mode, (5, 3))), name="it")
  assert header == images.Header(5, 3, grey)


def test_a_palette_is_grey_if_all_its_colours_are():
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


def test_decode_applies_the_cameras_orientation():
  pixels = np.zeros((2, 2, 3), np.uint8)
  pixels[0, 0] = 255
  exif = Image.Exif()
  exif[0x0112] = 6  # To be turned by a quarter clockwise.
  decoded = _decode(_file(Image.fromarray(pixels), exif=exif), 2)
  np.testing.assert_array_equal(decoded[..., 0], [[0, 255], [0, 0]])


def test_decode_lays_transparent_pixels_over_white():
  pixels = np.array([[[10, 20, 30, 255], [10, 20, 30, 0]]] * 2, np.uint8)
  decoded = _decode(_file(Image.fromarray(pixels)), 2)
  np.testing.assert_array_equal(decoded[0], [[10, 20, 30], [255, 255, 255]])


def test_decode_keeps_the_upper_bits_of_16():
  pixels = np.array([[0, 255], [256, 65535]], np.uint16)
  decoded = _decode(_file(Image.fromarray(pixels)), 2, grey=True)
  np.testing.assert_array_equal(decoded[..., 0], [[0, 0], [1, 255]])


def test_decode_takes_an_animations_first_frame():
  frames = [Image.new("L", (4, 4), level) for level in (50, 200)]
  file = _file(frames[0], "GIF", save_all=True, append_images=frames[1:])
  np.testing.assert_array_equal(_decode(file, 4, grey=True), 50)


def test_scaled_decoding_of_a_jpeg_agrees_with_a_full_decode():
  # Squares of 8x8 pixels, JPEG's own blocks, survive it and its scaling exactly. To a quarter of
  # the size, 1/8 of each side's neighbour shines in, in one filter as after halving: equal up to
  # rounding. Decoded at 1/8 and enlarged it would be 1/4, 32 levels off.
  squares = np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((8, 8))).astype(np.uint8) * 255
  picture = Image.fromarray(squares)
  scaled = _decode(_file(picture, "JPEG", quality=95), 16, grey=True)[..., 0]
  full = np.asarray(picture.resize((16, 16), Image.Resampling.BILINEAR))
  np.testing.assert_allclose(scaled.astype(int), full.astype(int), atol=3)


def test_crop():
  pixels = np.zeros((9, 7, 3), np.uint8)
  pixels[3:6, 2:5] = 200
  np.testing.assert_array_equal(_decode(_file(Image.fromarray(pixels)), 3, crop=3), 200)
  with pytest.raises(ValueError, match="it cannot be read as an image: 7x9 pixels are less than 8"):
    _decode(_file(Image.fromarray(pixels)), 3, crop=8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.7])
def test_truncated_images_are_refused(kind, keep):
  noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
  content = _file(Image.fromarray(noise), kind).getvalue()
  with pytest.raises(ValueError, match="it cannot be read as an image"):
    _decode(io.BytesIO(content[: int(keep * len(content))]), 8)


def test_formats_that_are_not_pictures_alone_are_refused():
  with pytest.raises(ValueError, match="cannot identify image file"):
    _decode(_file(Image.new("L", (4, 4)), "TIFF"), 4)


def test_32_bit_pixels_are_refused(monkeypatch):
  # Older versions of Pillow give them for a PNG of 16 bits; any, for a TIFF.
  monkeypatch.setattr(images, "_FORMATS", ("TIFF",))
  with pytest.raises(ValueError, match=r"32-bit numbers \(mode F\)"):
    _decode(_file(Image.new("F", (4, 4)), "TIFF"), 4)


def test_decompression_bombs_are_refused():
  # A PNG of a few bytes that announces 20000x20000 pixels.
  def chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

  header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0))
  bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
  with pytest.raises(ValueError, match="it cannot be read as an image"):
    images.read_header(io.BytesIO(bomb), name="it")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_what_pillow_only_warns_of_is_refused(monkeypatch):
  monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)
  with pytest.raises(ValueError, match="6x6 pixels are more than 30"):
    images.read_header(_file(Image.new("L", (6, 6))), name="it")
