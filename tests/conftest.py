"""Shapes in signatures are checked by beartype in every test; warnings are errors."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jaxtyping
import pytest

_hook = jaxtyping.install_import_hook("aejax", "checker.check")
_hook.__enter__()


@pytest.fixture
def unchecked():
  """Signatures unchecked, as users have them: a bad argument reaches the function's own checks."""
  jaxtyping.config.update("jaxtyping_disable", True)
  yield
  jaxtyping.config.update("jaxtyping_disable", False)
