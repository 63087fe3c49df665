"""Shapes in signatures are checked by beartype in every test; warnings are errors."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jaxtyping

_hook = jaxtyping.install_import_hook("aejax", "beartype.beartype")
_hook.__enter__()
