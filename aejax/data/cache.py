"""Decoded images in a file of the user's cache, so that a folder is decoded once."""

import hashlib
import os
from pathlib import Path

import numpy as np

from aejax._files import check_space, replacing
from aejax._messages import logger
from aejax.data.lazy import LazyImages, chunks

__all__ = ["cached"]


def cached(images: LazyImages, *, identity: str) -> LazyImages:
  """Returns the same images, read from a memory-mapped file that is written on first use.

  The file lies in `$XDG_CACHE_HOME/aejax/images`, by default `~/.cache/aejax/images`, and may be
  removed at any time.

  Args:
    images: images that are decoded when they are read.
    identity: text that is the same for the same source files.

  Raises:
    OSError: if the disk is full or not writable.
  """
  base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
  key = hashlib.sha256(f"{identity} {images.shape} {images.dtype}".encode()).hexdigest()
  path = Path(base, "aejax", "images", f"{key[:32]}.npy")
  if not path.is_file():
    path.parent.mkdir(parents=True, exist_ok=True)
    check_space(path.parent, images.size * images.dtype.itemsize)
    logger.info("Decoding %d images once, into %s …", len(images), path)
    with replacing(path) as temporary:
      file = np.lib.format.open_memmap(temporary, "w+", images.dtype, images.shape)
      for rows in chunks(images):
        file[rows] = images[rows]
      file.flush()
  file = np.load(path, mmap_mode="r")
  return LazyImages(images.shape, lambda rows: np.asarray(file[rows]), dtype=images.dtype)
