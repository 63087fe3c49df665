"""Configuration of Sphinx. `make docs` builds the pages from the root; a warning is an error."""

import importlib
import inspect
import re
import sys
from pathlib import Path

from flax import nnx
from sphinx.application import Sphinx

import aejax

_ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(_ROOT / "docs"))

project = "aejax"
release = aejax.__version__
extensions = [
  "myst_parser",
  "sphinx.ext.autodoc",
  "sphinx.ext.autosummary",
  "sphinx.ext.napoleon",
  "sphinx.ext.viewcode",
  "mathml",
]
source_suffix = {".md": "markdown"}
root_doc = "README"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/**.md", "results/**.md"]
html_theme = "furo"
html_title = f"aejax {release}"
html_static_path = ["static"]
html_css_files = ["aejax.css"]
html_extra_path = ["extra"]  # index.html, which leads to README.html
html_math_renderer = "mathml"

smartquotes = False  # they turn `--dataset` into a dash and a word
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3  # links to headings, as on GitHub
default_role = "code"
autodoc_preserve_defaults = True
autosummary_generate = False
napoleon_use_ivar = True
python_maximum_signature_line_length = 80

# The pages of each section, in order. A page of docs/ that is missing here follows under How-to.
_SECTIONS = {
  "Start": ["docs/installation", "docs/quickstart", "docs/faq"],
  "Tutorials": [
    "docs/tutorials/own_images",
    "docs/tutorials/vectors",
    "docs/tutorials/own_network",
    "docs/tutorials/which_distance",
    "docs/tutorials/sphere",
    "docs/tutorials/many_devices",
    "docs/tutorials/serving",
    "docs/self_supervised",
  ],
  "How-to": ["docs/data", "docs/devices", "docs/reliability", "docs/other_libraries"],
  "Concepts": [
    "docs/distances",
    "docs/cost",
    "docs/evaluation",
    "docs/comparison",
    "docs/glossary",
    "docs/bibliography",
  ],
  "Reference": ["docs/api", "docs/architecture", "docs/testing", "CONTRIBUTING", "CHANGELOG"],
  "Results": [
    "docs/gallery",
    "results/distances/results",
    "results/training/results",
    "results/compiled/compiled",
    "results/collapse/collapse",
    "results/levels/levels",
    "results/self_supervised/README",
    "results/table1-fashion_mnist/table",
    "results/table1-mnist/table",
    "results/table1-digits/table",
    # One page for each device on which somebody ran `make accelerator`.
    *sorted(
      path.relative_to(_ROOT).with_suffix("").as_posix()
      for path in _ROOT.glob("results/accelerator/*/results.md")
    ),
  ],
}


def setup(app: Sphinx) -> None:
  """Adds what neither the README nor the docstrings contain, since both are read elsewhere too."""
  app.connect("source-read", _add_contents)
  app.connect("autodoc-process-docstring", _escape_bars)
  app.connect("autodoc-process-signature", _sign)


def _contents() -> str:
  """Returns the tables of contents of the first page."""
  sections = {caption: list(pages) for caption, pages in _SECTIONS.items()}
  listed = {page for pages in sections.values() for page in pages}
  found = {f"docs/{path.stem}" for path in _ROOT.glob("docs/*.md")}
  sections["How-to"] += sorted(found - listed)
  return "".join(
    f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n" + "\n".join(pages) + "\n```\n"
    for caption, pages in sections.items()
  )


def _add_contents(app: Sphinx, name: str, source: list[str]) -> None:
  """Adds summaries, and tables of contents: of the site to the first page, of a folder to its."""
  if name == root_doc:
    source[0] += _contents()
  source[0] = re.sub(r"<!-- summary: (\S+) -->", _summary, source[0])
  folder = _ROOT / name
  if name in ("docs/api", "docs/distances") and folder.is_dir():
    pages = sorted(f"/{name}/{path.stem}" for path in folder.glob("*.md"))
    source[0] += "\n```{toctree}\n:hidden:\n\n" + "\n".join(pages) + "\n```\n"


def _summary(match: re.Match[str]) -> str:
  """Returns a table of the public names of a module, with the first sentence of each docstring."""
  module = importlib.import_module(match[1])
  # A table of names has no docstring of its own.
  public = [name for name in module.__all__ if callable(getattr(module, name))]
  names = "".join(f"   {name}\n" for name in public)
  return (
    f"```{{eval-rst}}\n.. currentmodule:: {match[1]}\n\n"
    f".. autosummary::\n   :nosignatures:\n\n{names}```"
  )


def _escape_bars(app, kind, name, thing, options, lines: list[str]) -> None:
  """Escapes the bars of |z|, which reStructuredText reads as a substitution, outside of code."""
  for number, line in enumerate(lines):
    parts = re.split(r"(`[^`]*`)", line)
    lines[number] = "".join(p if p.startswith("`") else p.replace("|", r"\|") for p in parts)


def _sign(app, kind, name, thing, options, signature: str | None, returned: str | None):
  """Shows a Flax module's own arguments, not its metaclass's, and arrays by their public name."""
  if kind == "class" and issubclass(thing, nnx.Module):
    parameters = list(inspect.signature(thing.__init__).parameters.values())[1:]
    signature = str(inspect.Signature(parameters))
  return tuple(text and text.replace("jaxlib._jax.", "") for text in (signature, returned))
