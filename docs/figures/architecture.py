"""Draws which package of aejax imports which, from the source itself (a second).

python docs/figures/architecture.py

Writes architecture.svg next to this file, and prints the tables of docs/architecture.md. The floor
of a package is one above the highest package that it imports. An import that runs upward would
close a circle, and the script fails.
"""

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from aejax._files import replacing

ROOT = Path(__file__).parents[2]
OUT = Path(__file__).with_suffix(".svg")

Imports = Mapping[str, frozenset[str]]

# What each package is for, and its column in the drawing.
PACKAGES = {
  "experiments": ("scripts, benchmarks, Table 1", 1),
  "cli": ("the command aejax", 1),
  "runs": ("the calls fit and load", 2),
  "exporting": ("trained models as files for others", 2),
  "evaluation": ("scores, plots, reports of runs", 1),
  "training": ("step, loop, checkpoints, runs", 1),
  "metrics": ("numbers about latents and samples", 1),
  "objectives": ("reconstruction + λ · distance", 2),
  "networks": ("encoders and decoders", 1),
  "distances": ("distance of latents to a prior", 2),
  "data": ("data for training and test", 0),
  "autoencoder": ("encoder and decoder as one module", 1),
  "priors": ("distributions for the latents", 2),
  "ground": ("private modules that every package may import", 1),
}
# Private modules that belong to another package than the ground.
_PRIVATE = {"_commands": "cli", "_command_line": "cli", "_fit_arguments": "runs"}

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 250, 46, 50, 34, 20
_INK, _LINE, _FILL, _GROUND = "#333333", "#94a4a2", "#eef4fb", "#f4f1ea"
_FONT = "font-family='system-ui, sans-serif'"


def package_of(path: Path) -> str:
  """Returns the package of a source file: a folder, a module, or `ground` for private modules."""
  parts = path.relative_to(ROOT).with_suffix("").parts
  if parts[0] != "aejax":
    return parts[0]
  name = parts[1]
  return _PRIVATE.get(name, "ground" if name.startswith("_") else name)


def imported(tree: ast.Module) -> set[str]:
  """Returns the names directly below `aejax` that a file imports, at the top or in a function."""
  names = set()
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      parts = [alias.name.split(".") for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module:
      parts = [[*node.module.split("."), alias.name] for alias in node.names]
    else:
      continue
    names |= {part[1] for part in parts if part[0] == "aejax" and len(part) > 1}
  return names


def read_imports() -> Imports:
  """Returns the packages that each package imports. The façade aejax/__init__.py is left out."""
  found: dict[str, set[str]] = {}
  for folder in ("aejax", "experiments"):
    for path in sorted((ROOT / folder).rglob("*.py")):
      if path == ROOT / "aejax" / "__init__.py":
        continue
      importer = package_of(path)
      targets = found.setdefault(importer, set())
      for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
        if not name.startswith("__"):  # __version__ is the façade's
          targets.add(package_of(ROOT / "aejax" / name))
      targets.discard(importer)
  return {package: frozenset(targets) for package, targets in found.items()}


def floors(imports: Imports) -> dict[str, int]:
  """Returns the floor of each package, 0 for one that imports no other.

  Raises:
    ValueError: if packages import each other in a circle.
  """
  known: dict[str, int] = {}

  def floor(package: str, above: tuple[str, ...]) -> int:
    if package in above:
      raise ValueError(f"Packages import each other: {' → '.join([*above, package])}.")
    if package not in known:
      below = [floor(target, (*above, package)) for target in sorted(imports[package])]
      known[package] = max(below, default=-1) + 1
    return known[package]

  for package in imports:
    floor(package, ())
  return known


def arrows(imports: Imports) -> list[tuple[str, str]]:
  """Returns the imports, except those of the ground and those that other imports imply."""

  def reached(package: str) -> set[str]:
    return {package}.union(*(reached(target) for target in imports[package]))

  return [
    (package, target)
    for package, targets in imports.items()
    for target in sorted(targets - {"ground"})
    if not any(target in reached(other) for other in targets - {target})
  ]


def table(imports: Imports) -> list[str]:
  """Returns the lines of a Markdown table: floor, package, purpose, imports."""
  levels = floors(imports)
  lines = ["| floor | package | holds | imports |", "|---:|---|---|---|"]
  for package in sorted(levels, key=lambda p: (-levels[p], p)):
    purpose = PACKAGES.get(package, ("", 0))[0]
    targets = ", ".join(f"`{target}`" for target in sorted(imports[package]))
    lines.append(f"| {levels[package]} | `{package}` | {purpose} | {targets} |")
  return lines


def file_table() -> list[str]:
  """Returns the lines of a Markdown table: each file, and the first paragraph of its docstring."""
  lines = ["| file | what it holds |", "|---|---|"]
  for path in _sources():
    name = path.relative_to(ROOT).as_posix()
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    purpose = " ".join(docstring.split("\n\n")[0].split()).replace("|", "\\|")
    lines.append(f"| `{name}` | {purpose} |")
  return lines


def _sources() -> list[Path]:
  """Returns the files of aejax and of the experiments, those of a folder before its folders."""
  found = [path for name in ("aejax", "experiments") for path in (ROOT / name).rglob("*.py")]
  return sorted(found, key=lambda path: (path.parent.relative_to(ROOT).parts, path.name))


def draw(imports: Imports) -> str:
  """Returns the drawing as the text of an SVG file."""
  levels = floors(imports)
  boxes = {package: _place(package, levels) for package in sorted(levels)}
  columns = 1 + max(box.column for box in boxes.values())
  width = 2 * _MARGIN + columns * _WIDTH + (columns - 1) * _GAP_X
  height = 2 * _MARGIN + (max(levels.values()) + 1) * (_HEIGHT + _GAP_Y) - _GAP_Y
  parts = [
    f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' role='img'>",
    "<title>Packages of aejax and their imports</title>",
    f"<rect width='{width}' height='{height}' fill='white'/>",
    "<defs><marker id='head' viewBox='0 0 8 8' refX='8' refY='4' markerWidth='7' markerHeight='7' "
    f"orient='auto'><path d='M0,0 L8,4 L0,8 z' fill='{_LINE}'/></marker></defs>",
  ]
  for package, target in arrows(imports):
    points = _route(boxes[package], boxes[target], boxes.values())
    parts.append(
      f"<polyline points='{' '.join(f'{x},{y}' for x, y in points)}' fill='none' "
      f"stroke='{_LINE}' stroke-width='1.5' marker-end='url(#head)'/>"
    )
  for package, box in boxes.items():
    parts += _rectangle(package, box, width - 2 * _MARGIN)
  return "\n".join([*parts, "</svg>", ""])


class _Box(NamedTuple):
  """Where a package stands in the drawing."""

  column: int
  level: int
  x: int
  y: int

  @property
  def top(self) -> tuple[int, int]:
    return self.x + _WIDTH // 2, self.y

  @property
  def bottom(self) -> tuple[int, int]:
    return self.x + _WIDTH // 2, self.y + _HEIGHT

  def side(self, direction: int) -> tuple[int, int]:
    """The middle of the right side, or of the left side for a negative direction."""
    return self.x + (_WIDTH if direction > 0 else 0), self.y + _HEIGHT // 2


def _place(package: str, levels: Mapping[str, int]) -> _Box:
  column, level = PACKAGES.get(package, ("", 0))[1], levels[package]
  x = _MARGIN + column * (_WIDTH + _GAP_X)
  return _Box(column, level, x, _MARGIN + (max(levels.values()) - level) * (_HEIGHT + _GAP_Y))


def _route(start: _Box, end: _Box, boxes: Iterable[_Box]) -> list[tuple[int, int]]:
  """Returns the corners of an arrow that crosses no box."""
  if start.column == end.column:
    return [start.bottom, end.top]
  direction = 1 if end.column > start.column else -1
  x, y = start.side(direction)
  if not any(box.column == end.column and end.level < box.level <= start.level for box in boxes):
    return [(x, y), (end.top[0], y), end.top]
  gap = x + direction * _GAP_X // 2
  side = end.side(-direction)
  return [(x, y), (gap, y), (gap, side[1]), side]


def _rectangle(package: str, box: _Box, full_width: int) -> list[str]:
  """Returns a rectangle with the package's name and purpose; the ground is as wide as the page."""
  is_ground = package == "ground"
  x, width = (_MARGIN, full_width) if is_ground else (box.x, _WIDTH)
  fill = _GROUND if is_ground else _FILL
  parts = [f"<rect x='{x}' y='{box.y}' width='{width}' height='{_HEIGHT}' rx='6' fill='{fill}'/>"]
  purpose = PACKAGES.get(package, ("", 0))[0]
  for text, dy, size, weight in ((package, 19, 15, 600), (purpose, 36, 11, 400)):
    parts.append(
      f"<text x='{x + width // 2}' y='{box.y + dy}' {_FONT} font-size='{size}' "
      f"font-weight='{weight}' fill='{_INK}' text-anchor='middle'>{text}</text>"
    )
  return parts


def main() -> None:
  """Writes the drawing and prints the tables."""
  imports = read_imports()
  with replacing(OUT) as temporary:
    temporary.write_text(draw(imports), encoding="utf-8")
  print("\n".join([*table(imports), "", *file_table()]))


if __name__ == "__main__":
  main()
