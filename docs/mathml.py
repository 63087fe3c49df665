"""Formulas as MathML, which browsers render themselves: no script, no font, no network."""

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx

__all__ = ["setup"]


def setup(app: Sphinx) -> dict[str, bool]:
  """Makes the renderer `mathml` known to Sphinx."""
  app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
  return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(writer, node: nodes.math) -> None:
  writer.body.append(latex2mathml.tex2mathml(node.astext(), as_block=False))
  raise nodes.SkipNode


def _block(writer, node: nodes.math_block) -> None:
  formula = latex2mathml.tex2mathml(node.astext(), as_block=True)
  # A long formula scrolls on a narrow screen; the page does not.
  writer.body.append(f'<div class="math">{formula}</div>\n')
  raise nodes.SkipNode
