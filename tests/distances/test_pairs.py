"""Distances from some of the pairs: the sum over these pairs, its variance, and its cost."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import latents

from aejax import distances, priors
from aejax.distances import _tiling

# Circles of points, so that each is in the same number of pairs.


def self_pairs(n, pairs):
  if 2 * pairs >= n - 1:
    return np.nonzero(~np.eye(n, dtype=bool))
  first = np.repeat(np.arange(n), pairs)
  return first, (first + 1 + np.tile(np.arange(pairs), n)) % n


def cross_pairs(n, m, pairs):
  if n < m:
    return cross_pairs(m, n, pairs)[::-1]
  if 2 * pairs >= m:
    return tuple(v.ravel() for v in np.indices((n, m)))
  first = np.repeat(np.arange(n), 2 * pairs)
  return first, (first * m // n + m // 2 + np.tile(np.arange(2 * pairs), n)) % m


def to_samples(kernel, x, y, pairs, *, unbiased):
  """Returns the MMD of a kernel of squared distances, from its definition."""

  def mean(a, b, first, second):
    return jnp.mean(kernel(jnp.sum((a[first] - b[second]) ** 2, 1)))

  xx, yy = (
    mean(v, v, *self_pairs(len(v), pairs)) * (1 if unbiased else 1 - 1 / len(v))
    + (0 if unbiased else kernel(jnp.zeros(())) / len(v))
    for v in (x, y)
  )
  return xx + yy - 2 * mean(x, y, *cross_pairs(len(x), len(y), pairs))


# Equal and different sizes, one tile and several, a band wider than a tile, all pairs.
@pytest.mark.parametrize(
  ("n", "m", "dim", "pairs", "sizes"),
  [
    (21, 21, 5, 2, None),
    pytest.param(40, 13, 3, 4, (7, 9, 3, 1), marks=pytest.mark.slow),
    (13, 40, 5, 3, (4, 3, 2, 8)),
    pytest.param(30, 30, 2, 11, (4, 5, 1, 1), marks=pytest.mark.slow),
    pytest.param(9, 9, 4, 4, None, marks=pytest.mark.slow),
  ],
)
def test_pairs_sum_over_a_circle(n, m, dim, pairs, sizes, monkeypatch):
  if sizes is not None:
    block, width, band_block, multiple = sizes
    few = _tiling.Sizes(block, width, 0, 0, multiple, multiple > 1, band_block)
    monkeypatch.setattr(_tiling, "_CPU", few)
  generator = np.random.default_rng(0)
  with jax.enable_x64(True):
    x, y = (jnp.asarray(generator.standard_normal((size, dim))) for size in (n, m))

    def computed(x, y):
      kernel = distances.gaussian(1.5)
      one = distances.mmd(x, y, kernel=kernel, unbiased=False, pairs=pairs)
      return one + distances.energy_distance(x, y, pairs=pairs)

    def expected(x, y):
      one = to_samples(lambda d: jnp.exp(-d / 4.5), x, y, pairs, unbiased=False)
      return one + to_samples(lambda d: -jnp.sqrt(d), x, y, pairs, unbiased=True)

    found = jax.jit(jax.value_and_grad(computed, (0, 1)))(x, y)
    exact = jax.jit(jax.value_and_grad(expected, (0, 1)))(x, y)
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-12), found, exact)


def test_pairs_to_priors_replace_only_the_mean_over_latents():
  with jax.enable_x64(True):
    z, _ = latents(21, 3, dtype=np.float64)
    first, second = self_pairs(21, 4)
    d = jnp.sum((z[:, None] - z) ** 2, -1)
    off = ~np.eye(21, dtype=bool)
    sphere, kernel = priors.UniformSphere(3, radius=2.0), distances.imq()
    for target in (None, sphere):
      values = kernel(d, 3)
      difference = values[first, second].mean() - values[off].mean()
      found = distances.mmd(z, target, pairs=4) - distances.mmd(z, target)
      np.testing.assert_allclose(found, difference, atol=1e-12)
      difference = jnp.sqrt(d)[off].mean() - jnp.sqrt(d)[first, second].mean()
      found = distances.energy_distance(z, target, pairs=4) - distances.energy_distance(z, target)
      np.testing.assert_allclose(found, difference, atol=1e-12)
    u = [
      distances.kernel_stein(z[jnp.array(pair)], lambda z: -z / 2)
      for pair in zip(first, second, strict=True)
    ]
    found = distances.kernel_stein(z, lambda z: -z / 2, pairs=4)
    np.testing.assert_allclose(found, np.mean(u), atol=1e-12)
    u = [distances.kernel_stein(z[jnp.array(p)]) for p in zip(first, second, strict=True)]
    np.testing.assert_allclose(distances.kernel_stein(z, pairs=4), np.mean(u), atol=1e-12)
    u = [
      distances.cramer_wold(z[jnp.array(p)], gamma=0.3, unbiased=True)
      for p in zip(first, second, strict=True)
    ]
    found = distances.cramer_wold(z, gamma=0.3, unbiased=True, pairs=4)
    np.testing.assert_allclose(found, np.mean(u), atol=1e-12)
    np.testing.assert_allclose(
      distances.sigreg(z, pairs=4),
      2 * np.pi * 21 * distances.cramer_wold(z, gamma=0.5, pairs=4),
      rtol=1e-12,
    )


def test_pairs_have_the_variance_of_the_docstring():
  """At the prior, E k̃² / (n pairs) to N(0, I), and the sum of three such terms to samples."""
  n, m, dim, pairs, draws = 40, 30, 3, 5, 4000
  b2 = 1 / 1.5**2
  centred = (
    (1 + 4 * b2) ** (-dim / 2) - 2 * ((1 + b2) * (1 + 3 * b2)) ** (-dim / 2) + (1 + 2 * b2) ** -dim
  )
  kernel = distances.gaussian(1.5)

  @jax.jit
  @jax.vmap
  def both(key):
    first, second = jax.random.split(key)
    x, y = jax.random.normal(first, (n, dim)), jax.random.normal(second, (m, dim))
    of = functools.partial(distances.mmd, kernel=kernel, pairs=pairs)
    return jnp.stack([of(x), of(x, y)])

  values = np.asarray(both(jax.random.split(jax.random.key(0), draws)))
  expected = centred / pairs * np.array([1 / n, 1 / n + 1 / m + 2 / max(n, m)])
  # A variance of 4000 nearly normal values is known to √(2 / 4000) = 2.2 %. The columns of the
  # smaller set are in one pair more or less, which adds 1 %.
  np.testing.assert_allclose(values.var(0), expected, rtol=0.08)
  assert (np.abs(values.mean(0)) < 4 * np.sqrt(expected / draws)).all()


def test_pairs_are_checked(without_beartype):
  z, _ = latents(6, 3)
  for bad in (0, -1, 1.5, "all", True):
    with pytest.raises(ValueError, match="pairs must be a whole number"):
      distances.mmd(z, pairs=bad)


def test_pairs_need_linear_work_and_memory():
  def compiled(n):
    z = jax.ShapeDtypeStruct((n, 16), jnp.float32)
    step = jax.value_and_grad(functools.partial(distances.cramer_wold, pairs=8))
    return jax.jit(step).lower(z).compile()

  small, large = compiled(4096), compiled(32768)
  ratio = large.memory_analysis().temp_size_in_bytes / small.memory_analysis().temp_size_in_bytes
  assert ratio < 8.5
  # A few arrays [n, 16], far from the gigabyte of half of the pairs.
  assert large.memory_analysis().temp_size_in_bytes < 16 * 4 * 16 * 32768


@pytest.mark.parametrize("name", ["cramer_wold", "sigreg"])
def test_pairs_average_to_all_pairs_over_random_orders(name):
  function = functools.partial(getattr(distances, name), **_UNBIASED[name])
  z, _ = latents(15, 3)
  orders = jax.vmap(lambda key: jax.random.permutation(key, z))(
    jax.random.split(jax.random.key(0), 400)
  )
  values = np.asarray(jax.jit(jax.vmap(functools.partial(function, pairs=2)))(orders))
  error = values.std() / 20
  assert error > 0
  assert abs(values.mean() - float(function(z))) < 4 * error


_UNBIASED = {"cramer_wold": {"unbiased": True}, "sigreg": {}}
