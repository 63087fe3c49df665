"""Energy distances of coinciding rows: their kink at distance 0 must not see rounding errors.

The rows are made inside the jitted program, where XLA may round two copies of them differently.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from aejax import distances


def batch_norm(h):
  return (h - h.mean(0)) / (h.std(0) + 1e-3) * 1.3 + 0.7


def reparametrised(h):
  """Returns samples of a VAE's posteriors, far from the origin."""
  return 30 + h + np.exp(0.3) * (h[:, ::-1] / 3 + 0.1)


def linear(h):
  weights = np.linspace(-1, 1, h.shape[1] ** 2).reshape(h.shape[1], -1) + 0.3
  return h @ jnp.asarray(weights, h.dtype) + h.sum(1, keepdims=True) / 7


TRANSFORMS = (batch_norm, reparametrised, linear)


def features(n, dim):
  """Returns rows, about half of which coincide with another one."""
  generator = np.random.default_rng(n)
  different = generator.standard_normal((n - n // 2, dim)).astype(np.float32)
  return different[generator.permutation(np.r_[: len(different), generator.integers(0, 9, n // 2)])]


def slopes_of_energy(z, y=None):
  """Returns the gradient of E|x − x′|, or of E|x − y|, for each row of z in float64."""
  other = z if y is None else y
  d = cdist(z, other)
  unit = (z[:, None] - other) / np.where(d > 0, d, 1)[..., None]
  pairs = len(z) * (len(z) - 1) / 2 if y is None else d.size
  return unit.sum(1) / pairs


def rows_off(found, expected, pairs):
  """Returns the number of rows that have the wrong slope for a pair."""
  return int((np.abs(found - expected).max(1) > 0.25 / pairs).sum())


def count_rows_off(transform, n, dim):
  h = features(n, dim)

  @jax.jit
  def gradients(h):
    z = transform(h)
    # The difference to the closed form leaves E|x − x′|, with itself and with samples.
    within = jax.grad(lambda z: distances.energy_distance(z))(z)
    to_normal = jax.grad(lambda z: distances.energy_distance(z[:1], unbiased=False))
    normal = jax.vmap(lambda row: to_normal(row[None])[0])(z) / len(z)
    between = jax.grad(lambda x: distances.energy_distance(x, z, unbiased=False))(z)
    return normal - within, between

  within, between = gradients(h)
  with jax.enable_x64(True):
    z = np.asarray(transform(jnp.asarray(h, jnp.float64)))
  expected = slopes_of_energy(z)
  # The distance to the same samples has no gradient.
  return rows_off(within, expected, n * (n - 1) / 2), rows_off(between, 0, n * n)


@pytest.mark.parametrize(("transform", "dim"), [(batch_norm, 1), (linear, 2), (reparametrised, 3)])
def test_energy_of_coinciding_rows_made_in_the_same_program(transform, dim):
  assert count_rows_off(transform, 301, dim) == (0, 0)


@pytest.mark.slow
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("n", [301, 1000, 2000])
def test_energy_of_many_coinciding_rows_made_in_the_same_program(transform, dim, n):
  assert count_rows_off(transform, n, dim) == (0, 0)


def test_energy_on_a_line_equals_float64_double_sums():
  z, y = features(40, 1), features(26, 1)[:, ::-1] + np.float32(0.25)
  z[7] = y[3]

  def means(x, y, axis_name=None):
    within = distances.energy_distance(x, y, unbiased=False, axis_name=axis_name)
    return jnp.stack([within, distances.energy_distance(x, y, axis_name=axis_name)])

  xy, xx, yy = (np.abs(a - b.T).astype(np.float64).sum() for a, b in ((z, y), (z, z), (y, y)))
  n, m = 40, 26
  expected = [
    2 * xy / n / m - xx / n / n - yy / m / m,
    2 * xy / n / m - xx / n / (n - 1) - yy / m / (m - 1),
  ]
  np.testing.assert_allclose(means(z, y), expected, rtol=1e-6, atol=2e-6)
  gradients = jax.jit(jax.jacrev(means, (0, 1)))(z, y)
  sign_xy, sign_xx, sign_yy = (np.sign(a - b.T) for a, b in ((z, y), (z, z), (y, y)))
  expected = [
    2 * sign_xy.sum(1) / n / m - 2 * sign_xx.sum(1) / n / (n - 1),
    -2 * sign_xy.sum(0) / n / m - 2 * sign_yy.sum(1) / m / (m - 1),
  ]
  for gradient, exact in zip(gradients, expected, strict=True):
    np.testing.assert_allclose(gradient[1, :, 0], exact, rtol=1e-5, atol=1e-7)
  parts = z.reshape(2, 20, 1), y.reshape(2, 13, 1)
  shared = jax.jit(jax.vmap(lambda x, y: means(x, y, "devices"), axis_name="devices"))(*parts)
  np.testing.assert_allclose(shared, means(z, y)[None].repeat(2, 0), rtol=1e-6, atol=2e-6)


def test_nan_on_a_line_reaches_value_and_gradient():
  z = jnp.array([[0.0], [jnp.nan], [1.0]])
  value, gradient = jax.value_and_grad(distances.energy_distance)(z)
  assert np.isnan(value)
  assert np.isnan(gradient).all()
