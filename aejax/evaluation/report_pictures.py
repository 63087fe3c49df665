"""Pictures of a report, embedded in the page with what it needs to show them sharply."""

import base64
import dataclasses
import html
import json
import struct
from collections.abc import Sequence
from pathlib import Path

from aejax._files import read_json
from aejax.evaluation.image_grid import LAYOUT

__all__ = ["columns", "figure", "plane", "side_by_side"]

# Plots have labels of 14 pixels; below this scale they would be smaller than 9.
_LEAST_SCALE = 0.66


@dataclasses.dataclass(frozen=True)
class _Layout:
  """Size of a picture in pixels, the factor of its tiles, and the width of its labels."""

  width: int
  height: int
  factor: int = 0
  left: int = 0


def figure(path: Path, caption: str, alternative: str) -> str:
  """Returns a picture that a click enlarges, or nothing if there is no such file.

  Tiles of images are shown at whole multiples of their pixels. A plot has a vector graphic beside
  it, which is shown instead; where a plot is too wide for its labels to be read, it scrolls.

  Args:
    path: the PNG.
    caption: text below the picture.
    alternative: text for those who do not see it.
  """
  if not path.is_file():
    return ""
  content = path.read_bytes()
  layout = _layout(content)
  kind, source = "image/png", content
  vectors = path.with_suffix(".svg")
  if not layout.factor and vectors.is_file():
    kind, source = "image/svg+xml", vectors.read_bytes()
  least = ""
  if not layout.factor and layout.width:
    least = f' style="min-width:{int(_LEAST_SCALE * layout.width)}px;max-width:{layout.width}px"'
  data = f' data-factor="{layout.factor}" data-left="{layout.left}"' if layout.factor else ""
  size = f' width="{layout.width}" height="{layout.height}"' if layout.width else ""
  alt = html.escape(alternative, quote=True)
  return (
    f'<figure class="{"tiles" if layout.factor else "plot"}"><div class="scroll">'
    f'<button class="zoom" type="button" aria-label="Enlarge: {alt}"{least}>'
    f'<img src="{_embedded(source, kind)}" alt="{alt}"{size}{data} loading="lazy"></button></div>'
    f"<figcaption>{html.escape(caption)}</figcaption></figure>"
  )


def side_by_side(names: Sequence[str], bodies: Sequence[str]) -> str:
  """Returns the pictures of each run below its name, in even rows."""
  if len(bodies) == 1:
    return f'<div class="one">{bodies[0]}</div>'
  cells = [
    f"<div><h3>{html.escape(name)}</h3>{body}</div>"
    for name, body in zip(names, bodies, strict=True)
    if body
  ]
  wide, middle = columns(len(cells), 5), columns(len(cells), 3)
  return f'<div class="runs" style="--wide:{wide};--middle:{middle}">{"".join(cells)}</div>'


def columns(count: int, most: int) -> int:
  """Returns the number of columns, from two to `most`, that leaves the fewest cells empty."""
  choices = range(min(2, count), min(most, count) + 1)
  return min(choices, key=lambda each: (-count % each, -each))


def plane(folder: Path, name: str) -> str:
  """Returns the interactive planes of the latents, if the run has some."""
  sprite, about = folder / "plane_tiles.png", folder / "plane.json"
  if not (sprite.is_file() and about.is_file()):
    return ""
  described = read_json(about)
  if not isinstance(described, dict) or "planes" not in described:  # of an older edition
    return ""
  planes = [f"{a} and {b}" for a, b in (each["axes"] for each in described["planes"])]
  options = "".join(f'<option value="{k}">{html.escape(p)}</option>' for k, p in enumerate(planes))
  choice = f"<label>Directions <select>{options}</select></label>" if len(planes) > 1 else ""
  swatches = "".join(
    f'<li><span class="swatch" style="background:{colour}"></span>{html.escape(label)}</li>'
    for label, colour in described["classes"]
  )
  legend = f'<ul class="legend">{swatches}</ul>' if swatches else ""
  data = html.escape(json.dumps(described), quote=True)
  source = _embedded(sprite.read_bytes(), "image/png")
  title = html.escape(f"Latents of {name} in a plane; arrow keys move the point", quote=True)
  return (
    f'<div class="plane" data-about="{data}" data-sprite="{source}"><div class="map">{choice}'
    f'<canvas class="latents" width="840" height="840" tabindex="0" role="application" '
    f'aria-label="{title}"></canvas>{legend}</div>'
    '<div class="decoded"><canvas class="tile" width="224" height="224" role="img" '
    'aria-label="image decoded from the point"></canvas>'
    '<output aria-live="polite"></output></div></div>'
  )


def _embedded(content: bytes, kind: str) -> str:
  return f"data:{kind};base64," + base64.b64encode(content).decode("ascii")


def _layout(content: bytes) -> _Layout:
  """Reads the size of a PNG, and what `write_png` recorded in it."""
  if content[:8] != b"\x89PNG\r\n\x1a\n":
    return _Layout(0, 0)
  width, height = struct.unpack(">II", content[16:24])
  at, factor, left = 8, 0, 0
  while at + 8 <= len(content):
    (length,) = struct.unpack(">I", content[at : at + 4])
    kind, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + length]
    if kind == b"IDAT":
      break
    if kind == b"tEXt" and data.startswith(LAYOUT.encode() + b"\0"):
      factor, left = map(int, data.split(b"\0")[1].split())
    at += 12 + length
  return _Layout(width, height, factor, left)
