"""Sorting of columns: each way of sorting, and the permutation as the derivative."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax.distances import _sorting


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 100, 257])
def test_network_xla_and_packed_sort_agree(n):
  x = jnp.asarray(np.random.default_rng(n).standard_normal((n, 5)), jnp.float32)
  x = x.at[n // 2].set(x[0])  # a tie in each column
  expected = np.sort(x, axis=0)
  for values, both in (
    (_sorting._network_values, _sorting._network_values_and_order),
    (_sorting._xla_values, _sorting._xla_values_and_order),
    (lambda x: _sorting._packed(x)[0], _sorting._packed),
  ):
    np.testing.assert_array_equal(jax.jit(values)(x), expected)
    found, order = jax.jit(both)(x)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(jnp.take_along_axis(x, order, axis=0), expected)
    np.testing.assert_array_equal(np.sort(order, axis=0), np.arange(n)[:, None].repeat(5, 1))


@pytest.mark.parametrize("network_rows", [0, 1024])
def test_sort_columns_of_infinities_and_nan(network_rows, monkeypatch):
  monkeypatch.setattr(_sorting, "_MAX_NETWORK_ROWS", network_rows)
  x = jnp.array([[jnp.inf, 1.0], [0.0, jnp.nan], [-jnp.inf, 2.0]])
  values, tangent = jax.jvp(_sorting.sort_columns, (x,), (jnp.ones_like(x),))
  np.testing.assert_array_equal(values[:, 0], [-np.inf, 0, np.inf])
  assert np.all(np.isnan(values[:, 1]))
  assert np.all(np.isfinite(tangent))
  np.testing.assert_array_equal(values, _sorting.sort_columns(x))


def test_sort_columns_gradient_is_the_permutation():
  x = jax.random.normal(jax.random.key(0), (11, 3))
  weights = jax.random.normal(jax.random.key(1), (11, 3))
  gradient = jax.grad(lambda x: jnp.sum(weights * _sorting.sort_columns(x)))(x)
  order = np.argsort(x, axis=0)
  expected = np.empty((11, 3), np.float32)
  np.put_along_axis(expected, order, np.asarray(weights), axis=0)
  np.testing.assert_array_equal(gradient, expected)


def test_packed_sort_composes_with_vmap_loops_and_float64(monkeypatch):
  monkeypatch.setattr(_sorting, "_MAX_NETWORK_ROWS", 4)
  x = jax.random.normal(jax.random.key(0), (2, 6, 3)).at[0, 0].set(-0.0).at[0, 1].set(0.0)

  @jax.jit
  def twice(x):
    values = jax.vmap(_sorting.sort_columns)(x)
    assert values.dtype == jnp.float32
    return jax.lax.fori_loop(0, 3, lambda _, v: jax.vmap(_sorting.sort_columns)(-v), -values)

  np.testing.assert_array_equal(twice(x), -np.sort(-np.sort(x, axis=1), axis=1)[:, ::-1])
  values, tangent = jax.jvp(_sorting.sort_columns, (x[0],), (x[0],))
  np.testing.assert_array_equal(values, np.sort(x[0], axis=0))
  np.testing.assert_array_equal(tangent, values)
  with jax.enable_x64(True):
    doubles = jnp.asarray(x[1], jnp.float64)
    assert _sorting.sort_columns(doubles).dtype == jnp.float64
    np.testing.assert_array_equal(_sorting.sort_columns(doubles), np.sort(doubles, axis=0))
