"""The Sinkhorn divergence of degenerate latents, and wrong arguments."""

import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from transport import divergence, float32, points, transport, with_gradients

from aejax.distances import sinkhorn_divergence

_TWICE = np.repeat(points(6), 2, 0)
EDGE_CASES = {
  "collapsed": (np.zeros((12, 3)), points(9)),
  "both collapsed": (np.zeros((12, 3)), np.zeros((9, 3))),
  "target collapsed": (points(12), np.ones((9, 3))),
  "duplicates": (_TWICE, _TWICE[:9]),
  "far": (points(12, shift=1e4), points(9)),
  "wide": (1e6 * points(12), points(9)),
  "tiny": (1e-12 * points(12), 1e-12 * points(9, seed=1)),
  "an outlier": (np.vstack([points(11), np.full((1, 3), 1e5)]), points(9)),
  "one of each": (points(1), points(1, seed=1)),
}


@pytest.mark.parametrize("name", EDGE_CASES)
@pytest.mark.parametrize("epsilon", [0.01, 1.0, 1e5])
def test_sinkhorn_divergence_of_edge_cases_is_finite_and_not_negative(name, epsilon):
  x, y = float32(*EDGE_CASES[name])
  value, gradients = with_gradients(x, y, epsilon)
  assert all(np.isfinite(gradient).all() for gradient in gradients)
  # Rounding errors are relative to the largest cost.
  assert value >= -1e-6 * max(1, float(jnp.max(x**2)), float(jnp.max(y**2)))


def test_sinkhorn_divergence_of_collapsed_latents_has_a_closed_form():
  y = points(9)
  # One point has one coupling: the value is mean |x − y|² minus half of OT_ε(y, y).
  x = np.full((12, 3), 0.25)
  expected = np.mean(np.sum((y - 0.25) ** 2, 1)) - transport(y, y, 1.0) / 2
  value, (gradient, *_) = with_gradients(*float32(x, y), 1.0)
  np.testing.assert_allclose(value, expected, rtol=2e-6, atol=6e-6)
  np.testing.assert_allclose(gradient, 2 * (x - y.mean(0)) / 12, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("nan"), float("inf")])
def test_sinkhorn_divergence_rejects_epsilon_that_is_not_positive(epsilon):
  with pytest.raises(ValueError, match=r"^epsilon must be positive and finite, but is"):
    sinkhorn_divergence(jnp.zeros((3, 2)), jnp.ones((3, 2)), epsilon=epsilon)


def test_sinkhorn_divergence_rejects_zero_iterations():
  with pytest.raises(ValueError, match=r"^max_iterations must be a whole number .* but is 0\.$"):
    sinkhorn_divergence(jnp.zeros((3, 2)), jnp.ones((3, 2)), epsilon=1.0, max_iterations=0)


def test_sinkhorn_divergence_rejects_shapes_that_do_not_fit(without_beartype):
  with pytest.raises(ValueError, match="z has dimension 2, but samples has dimension 3"):
    sinkhorn_divergence(jnp.zeros((3, 2)), jnp.ones((3, 3)), epsilon=1.0)
  with pytest.raises(ValueError, match=r"z must have shape \[n, d\]"):
    sinkhorn_divergence(jnp.zeros(3), jnp.ones((3, 3)), epsilon=1.0)


def test_sinkhorn_divergence_names_the_missing_extra(monkeypatch):
  x, y = float32(points(12), points(9))
  # Compile first: the error must not depend on a cache.
  divergence(x, y, 1.0)
  monkeypatch.setitem(sys.modules, "ott", None)
  with pytest.raises(ImportError, match=r"needs ott-jax: pip install aejax\[sinkhorn\]\.$"):
    divergence(x, y, 1.0)


def test_ott_is_imported_on_first_use_without_a_warning():
  program = """
import sys
import jax.numpy as jnp
from aejax import distances
assert "ott" not in sys.modules
distances.sinkhorn_divergence(jnp.zeros((3, 2)), jnp.ones((3, 2)), epsilon=1.0)
assert "ott" in sys.modules
"""
  subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=120)
