"""Configuration of Sphinx. `make docs` builds the pages from the root; a warning is an error."""

import inspect
import re
from pathlib import Path

from flax import nnx
from sphinx.application import Sphinx

import aejax

project = "aejax"
release = aejax.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
root_doc = "README"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "results/**.md"]
html_theme = "furo"
html_title = f"aejax {release}"

smartquotes = False  # they turn `--dataset` into a dash and a word
myst_heading_anchors = 3  # links to headings, as on GitHub
default_role = "code"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
python_maximum_signature_line_length = 80

_CONTENTS = """
```{toctree}
:hidden:
:caption: User guide

docs/installation
docs/data
docs/distances
docs/cost
docs/self_supervised
docs/evaluation
docs/reliability
docs/devices
docs/glossary
```

```{toctree}
:hidden:
:caption: Reference

docs/api
docs/architecture
CONTRIBUTING
CHANGELOG
```

```{toctree}
:hidden:
:caption: Results

results/distances/results
results/training/results
results/compiled/compiled
results/collapse/collapse
results/levels/levels
results/self_supervised/README
results/table1-fashion_mnist/table
results/table1-mnist/table
results/table1-digits/table
ACCELERATORS
```
"""
# One page for each device on which somebody ran `make accelerator`.
_ROOT = Path(__file__).parents[1]
_ACCELERATORS = sorted(_ROOT.glob("results/accelerator/*/results.md"))


def setup(app: Sphinx) -> None:
  """Adds what neither the README nor the docstrings contain, since both are read elsewhere too."""
  app.connect("source-read", _add_contents)
  app.connect("autodoc-process-docstring", _escape_bars)
  app.connect("autodoc-process-signature", _sign)


def _add_contents(app: Sphinx, name: str, source: list[str]) -> None:
  """Appends the table of contents to the first page."""
  if name == root_doc:
    pages = [str(page.relative_to(_ROOT).with_suffix("")) for page in _ACCELERATORS]
    source[0] += _CONTENTS.replace("ACCELERATORS\n", "".join(f"{page}\n" for page in pages))


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
