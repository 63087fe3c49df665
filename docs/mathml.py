"""Formulas as MathML, which browsers render themselves: no script, no font, no network."""

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

__all__ = ["setup"]

_LOGGER = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, bool]:
  """Makes the renderer `mathml` known to Sphinx."""
  app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
  return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(writer, node: nodes.math) -> None:
  writer.body.append(_mathml(node, as_block=False))
  raise nodes.SkipNode


def _block(writer, node: nodes.math_block) -> None:
  # A long formula scrolls on a narrow screen; the page does not.
  writer.body.append(f'<div class="math">{_mathml(node, as_block=True)}</div>\n')
  raise nodes.SkipNode


def _mathml(node: nodes.Element, *, as_block: bool) -> str:
  """Returns the formula of a node; what docutils does not know is a warning of Sphinx."""
  try:
    return latex2mathml.tex2mathml(node.astext(), as_block=as_block)
  except MathError as error:
    _LOGGER.warning("%s in the formula %s", error, node.astext(), location=node)
    return node.astext()
