"""Colours of the plots."""

__all__ = ["BLUE", "COLOURS", "GREY", "INK"]

INK = "#333333"
"""Colour of text, axes and reference lines."""

# Petroff, 2021, arXiv 2107.02270: colours that remain distinct under colour-vision deficiencies.
COLOURS = (
  *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
  *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)
"""Colours of classes."""

BLUE, GREY = COLOURS[0], COLOURS[3]
