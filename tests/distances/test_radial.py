"""Kummer's function and φ_D against arithmetic with 30 digits."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from aejax.distances._radial import kummer, phi

DIMENSIONS = [1, 2, 3, 4, 5, 7, 8, 12, 33, 128, 1024]
ARGUMENTS = np.concatenate([[0.0], np.geomspace(1e-6, 1e8, 57)]).astype(np.float32)


def exact(a, b, s):
  with mpmath.workdps(30):
    return float(mpmath.hyp1f1(a, b, -mpmath.mpf(float(s))))


@pytest.mark.parametrize("dim", DIMENSIONS)
def test_phi_and_derivatives_are_accurate(dim):
  s = jnp.asarray(ARGUMENTS)
  order = [
    phi(s, dim),
    jax.vmap(jax.grad(lambda s: phi(s, dim)))(s),
    jax.vmap(jax.grad(jax.grad(lambda s: phi(s, dim))))(s),
  ]
  # d/ds ₁F₁(a; b; −s) = −(a/b) ₁F₁(a+1; b+1; −s).
  factor = 1.0
  for k, values in enumerate(order):
    a, b = 0.5 + k, dim / 2 + k
    truth = np.array([factor * exact(a, b, x) for x in ARGUMENTS])
    # The error is relative to the value at 0, where φ is 1.
    assert np.max(np.abs(np.asarray(values) - truth)) < 1e-6 * abs(factor)
    factor *= -a / b


@pytest.mark.parametrize("dim", [1, 2, 3, 8, 64, 1024])
def test_kummer_of_energy_distance_is_accurate(dim):
  """₁F₁(−1/2; D/2; −s) grows like √s."""
  truth = np.array([exact(-0.5, dim / 2, x) for x in ARGUMENTS])
  values = np.asarray(kummer(-0.5, dim / 2, jnp.asarray(ARGUMENTS)))
  assert np.max(np.abs(values / truth - 1)) < 1e-6


@pytest.mark.parametrize("dim", [2, 5, 64])
def test_phi_in_float64_is_accurate(dim):
  with jax.enable_x64(True):
    values = np.asarray(phi(jnp.asarray(ARGUMENTS, jnp.float64), dim))
  truth = np.array([exact(0.5, dim / 2, x) for x in ARGUMENTS])
  assert np.max(np.abs(values - truth)) < 1e-12


def test_phi_equals_mean_over_directions():
  """The definition is the mean of exp(−s u₁²) over the sphere; here over a million directions."""
  u = np.random.default_rng(0).standard_normal((1_000_000, 5))
  u1 = u[:, 0] ** 2 / (u**2).sum(1)
  for s in (0.3, 4.0, 50.0):
    draws = np.exp(-s * u1)
    assert abs(draws.mean() - float(phi(jnp.float32(s), 5))) < 5 * draws.std() / 1e3
