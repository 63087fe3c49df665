import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax.distances import sorting


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 100, 257])
def test_network_and_xla_sort_alike(n):
  x = jnp.asarray(np.random.default_rng(n).standard_normal((n, 5)), jnp.float32)
  x = x.at[n // 2].set(x[0])  # a tie in each column
  expected = np.sort(x, axis=0)
  for values, both in (
    (sorting._network_values, sorting._network_values_and_order),
    (sorting._xla_values, sorting._xla_values_and_order),
  ):
    np.testing.assert_array_equal(values(x), expected)
    found, order = both(x)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(jnp.take_along_axis(x, order, axis=0), expected)
    np.testing.assert_array_equal(np.sort(order, axis=0), np.arange(n)[:, None].repeat(5, 1))


def test_infinities_and_nan():
  x = jnp.array([[jnp.inf, 1.0], [0.0, jnp.nan], [-jnp.inf, 2.0]])
  values, tangent = jax.jvp(sorting.sort_columns, (x,), (jnp.ones_like(x),))
  np.testing.assert_array_equal(values[:, 0], [-np.inf, 0, np.inf])
  assert np.all(np.isnan(values[:, 1]))
  assert np.all(np.isfinite(tangent))
  np.testing.assert_array_equal(values, sorting.sort_columns(x))


def test_gradient_is_the_permutation():
  x = jax.random.normal(jax.random.key(0), (11, 3))
  weights = jax.random.normal(jax.random.key(1), (11, 3))
  gradient = jax.grad(lambda x: jnp.sum(weights * sorting.sort_columns(x)))(x)
  order = np.argsort(x, axis=0)
  expected = np.empty((11, 3), np.float32)
  np.put_along_axis(expected, order, np.asarray(weights), axis=0)
  np.testing.assert_array_equal(gradient, expected)


def test_large_columns_go_to_xla(monkeypatch):
  monkeypatch.setattr(sorting, "_MOST_ROWS", 4)
  x = jax.random.normal(jax.random.key(0), (6, 2))
  values, tangent = jax.jvp(sorting.sort_columns, (x,), (x,))
  np.testing.assert_array_equal(values, np.sort(x, axis=0))
  np.testing.assert_array_equal(tangent, values)
  assert "platform_index" not in str(jax.make_jaxpr(sorting.sort_columns)(x))
