"""Colours of the plots, and of the classes in them."""

import numpy as np

from aejax._extras import require

__all__ = ["BLUE", "COLOURS", "GREY", "INK", "class_colours"]

INK = "#333333"
"""Colour of text, axes and reference lines."""

# Petroff, 2021, arXiv 2107.02270: colours that remain distinct under colour-vision deficiencies.
# The second of its two greys is a dark blue here: without, they were the nearest pair.
COLOURS = (
  *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
  *("#a96b59", "#e76300", "#b9ac70", "#2d3c5a", "#92dadd"),
)
"""Colours of classes."""

BLUE, GREY = COLOURS[0], COLOURS[3]


def class_colours(count: int) -> list[str]:
  """Returns a colour for each class, as #rrggbb."""
  if count <= len(COLOURS):
    return list(COLOURS[:count])
  require("train", "matplotlib")
  from matplotlib import colormaps
  from matplotlib.colors import to_hex

  return [to_hex(colour) for colour in colormaps["viridis"](np.linspace(0, 1, count))]
