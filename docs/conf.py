"""Sphinx reads this: `make docs` builds the pages from the root; a warning is an error."""

import importlib.metadata
import inspect
import re

from flax import nnx
from sphinx.application import Sphinx

project = "aejax"
release = importlib.metadata.version("aejax")
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
root_doc = "README"
include_patterns = ["README.md", "docs/*.md", "results/**.md"]
html_theme = "furo"
html_title = f"aejax {release}"

default_role = "code"
autodoc_preserve_defaults = True
napoleon_use_ivar = True
python_maximum_signature_line_length = 80

_CONTENTS = """
```{toctree}
:hidden:

docs/distances
docs/cost
docs/devices
docs/evaluation
docs/reliability
docs/api
results/distances/results
results/training/results
results/table1-fashion_mnist/table
results/table1-mnist/table
results/table1-digits/table
```
"""


def setup(app: Sphinx) -> None:
  """Adds what neither the README nor the docstrings say, for they are read elsewhere too."""
  app.connect("source-read", _add_contents)
  app.connect("autodoc-process-docstring", _escape_bars)
  app.connect("autodoc-process-signature", _sign)


def _add_contents(app: Sphinx, name: str, source: list[str]) -> None:
  if name == root_doc:
    source[0] += _CONTENTS


def _escape_bars(app, kind, name, thing, options, lines: list[str]) -> None:
  """The bars of |z| are no substitution; those between backticks stay."""
  for number, line in enumerate(lines):
    parts = re.split(r"(`[^`]*`)", line)
    lines[number] = "".join(p if p.startswith("`") else p.replace("|", r"\|") for p in parts)


def _sign(app, kind, name, thing, options, signature: str | None, returned: str | None):
  """Modules of Flax by their own arguments, not their metaclass's; arrays by their public name."""
  if kind == "class" and issubclass(thing, nnx.Module):
    parameters = list(inspect.signature(thing.__init__).parameters.values())[1:]
    signature = str(inspect.Signature(parameters))
  return tuple(text and text.replace("jaxlib._jax.", "") for text in (signature, returned))
