"""Pictures that tests draw and read."""

import numpy as np
from PIL import Image


def random_images(*shape: int, seed: int = 0) -> np.ndarray:
  return np.random.default_rng(seed).random(shape).astype(np.float32)


def read(path) -> np.ndarray:
  with Image.open(path) as picture:
    assert picture.format == "PNG"
    return np.asarray(picture.convert("RGB"))


def enlarged(image: np.ndarray, factor: int) -> np.ndarray:
  """The bytes that an image in [0, 1] should appear as, one pixel a block."""
  colour = np.broadcast_to(np.rint(255 * image), (*image.shape[:2], 3))
  return np.kron(colour, np.ones((factor, factor, 1))).astype(np.uint8)


def is_cut(picture: np.ndarray) -> bool:
  """Whether something touches the edge of a picture that should have a margin."""
  edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
  return bool((edge != 255).any())
