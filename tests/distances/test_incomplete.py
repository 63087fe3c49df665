"""Means over pairs within blocks: which pairs they use, their gradient, bias and variance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import distances
from aejax.distances._incomplete import incomplete_self_mean
from aejax.distances._pairwise import self_mean

KERNEL = distances.gaussian(1.5)


def of_blocks(x, block):
  """Returns the mean by its definition, one block at a time."""
  n = len(x)
  parts = [x[i : i + block] for i in range(0, n - block + 1, block)]
  means = [self_mean(KERNEL, part, unbiased=True) for part in parts]
  whole = block * len(parts)
  return (block * sum(means) + (n - whole) * self_mean(KERNEL, x[-block:], unbiased=True)) / n


@pytest.mark.parametrize(("n", "partners"), [(12, 3), (14, 4)])
def test_incomplete_mean_is_that_of_its_blocks(n, partners):
  x = jax.random.normal(jax.random.key(0), (n, 5))
  found = jax.value_and_grad(lambda x: incomplete_self_mean(KERNEL, x, partners=partners))(x)
  expected = jax.value_and_grad(lambda x: of_blocks(x, partners + 1))(x)
  for a, b in zip(found, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
  assert np.all(np.any(found[1] != 0, axis=1))


def test_incomplete_mean_of_all_partners_is_complete():
  x = jax.random.normal(jax.random.key(0), (9, 4))
  complete = self_mean(KERNEL, x, unbiased=True)
  np.testing.assert_allclose(incomplete_self_mean(KERNEL, x, partners=8), complete, rtol=1e-6)


@pytest.mark.slow
def test_incomplete_mmd_is_unbiased_with_the_variance_it_promises():
  n, partners, dim, num = 24, 5, 2, 20_000
  x = jax.random.normal(jax.random.key(0), (num, n, dim))

  def mmd(x):
    to_prior = jnp.mean(KERNEL.normal_mean(jnp.sum(x * x, 1), dim))
    mean = incomplete_self_mean(KERNEL, x, partners=partners)
    return mean - 2 * to_prior + KERNEL.normal_pair_mean(dim)

  values = np.asarray(jax.jit(lambda x: jax.lax.map(mmd, x, batch_size=500))(x), np.float64)
  # E k̃² of the Gaussian kernel with b = 1 / bandwidth².
  b = 1 / 1.5**2
  centred = (1 + 4 * b) ** (-dim / 2) - 2 * ((1 + b) * (1 + 3 * b)) ** (-dim / 2)
  variance = 2 * (centred + (1 + 2 * b) ** -dim) / (n * partners)
  # 20,000 draws put the standard error of the mean at 0.7 % of a deviation, and that of a variance
  # with the kurtosis of such statistics at about 2 %.
  assert abs(values.mean()) < 4 * np.sqrt(variance / num)
  assert values.var() == pytest.approx(variance, rel=0.08)
