"""Exact values from 40-digit arithmetic (tests/golden/distances.json), in float32 and float64."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import distances
from aejax.distances._radial import phi

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "distances.json").read_text())
EXPRESSIONS = sorted({e for case in GOLDEN["cases"] for e in case["exact"]})
# float32 in all dimensions, float64 in one dimension of each kind.
DIMS = {"float32": {len(case["z"][0]) for case in GOLDEN["cases"]}, "float64": {1, 2, 3, 5, 64}}


def tolerance(expression, exact, z):
  """Returns the error of float32: eps times the largest terms that cancel, times their factor.

  Kernels are at most 7 (the IMQ sums seven scales). Energies and Wasserstein distances are sums of
  norms. About eight operations lie between the input and the sum.
  """
  rounding = 8 * np.finfo(np.float32).eps
  largest = 1.0
  if expression.startswith("mmd"):
    largest = 7.0
  if expression.startswith("energy"):
    largest = np.linalg.norm(z, axis=1).max() + np.sqrt(z.shape[1])
  if expression.startswith("sliced"):
    largest = 1 + np.square(z).sum(1).max()
  if expression.startswith(("sigreg", "epps")):
    largest = 2 * np.pi * len(z)
  return rounding * max(largest, abs(exact))


@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_distance_equals_golden_value(expression, dtype):
  with jax.enable_x64(dtype == "float64"):
    for case in GOLDEN["cases"]:
      if expression not in case["exact"] or len(case["z"][0]) not in DIMS[dtype]:
        continue
      arrays = {k: jnp.asarray(case[k], dtype) for k in ("z", "samples", "directions")}
      value = float(eval(expression, dict(vars(distances)), arrays))
      exact = case["exact"][expression]
      # In float64 the fits and the quadratures limit the error, to 1e-9 or less.
      scale = 1.0 if dtype == "float32" else 1e-2
      assert abs(value - exact) <= scale * tolerance(expression, exact, np.asarray(case["z"]))


def test_phi_equals_golden_value():
  for entry in GOLDEN["phi"]:
    value = phi(jnp.float32(entry["s"]), entry["d"])
    assert abs(float(value) - entry["phi"]) < 5e-7
