"""Images that tests make, and saved plots that they read."""

import os

import numpy as np
from jaxtyping import Float, Shaped, UInt8
from PIL import Image


def random_images(*shape: int, seed: int = 0) -> Float[np.ndarray, "..."]:
  """Returns uniform noise in [0, 1), as float32."""
  return np.random.default_rng(seed).random(shape).astype(np.float32)


def read(path: str | os.PathLike[str]) -> UInt8[np.ndarray, "h w 3"]:
  """Reads a PNG file as RGB."""
  with Image.open(path) as image:
    assert image.format == "PNG"
    return np.asarray(image.convert("RGB"))


def enlarged(image: Shaped[np.ndarray, "h w c"], factor: int) -> UInt8[np.ndarray, "H W 3"]:
  """Returns the RGB bytes of an image in [0, 1], with each pixel as a square of `factor` pixels."""
  colour = np.broadcast_to(np.rint(255 * image), (*image.shape[:2], 3))
  return np.kron(colour, np.ones((factor, factor, 1))).astype(np.uint8)


def is_cut(image: UInt8[np.ndarray, "h w 3"]) -> bool:
  """Returns whether a plot, which should have a white margin, touches its edge."""
  edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
  return bool((edge != 255).any())
