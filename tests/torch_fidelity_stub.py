"""Imports torch-fidelity without torchvision, which only its other networks need."""

import importlib
import importlib.util
import sys
from unittest import mock

import pytest

_PARTS = ("", ".datasets", ".transforms", ".transforms.functional")


def module(name):
  """Returns a module of torch_fidelity; skips the test if it or torch is not installed."""
  pytest.importorskip("torch")
  if importlib.util.find_spec("torch_fidelity") is None:
    pytest.skip("torch_fidelity is not installed")
  names = [f"torchvision{part}" for part in _PARTS]
  stand_ins = {name: mock.MagicMock() for name in names if name not in sys.modules}
  sys.modules.update(stand_ins)
  try:
    return importlib.import_module(f"torch_fidelity.{name}")
  finally:
    for stand_in in stand_ins:
      del sys.modules[stand_in]
