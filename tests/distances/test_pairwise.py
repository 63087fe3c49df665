"""Sums over pairs: memory linear in n, forward and backward, and tiles of any size."""

import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import distances
from aejax.distances import _pairwise, _tiling

PAIRWISE = {
  "cramer_wold": distances.cramer_wold,
  "mmd": distances.mmd,
  "energy_distance": distances.energy_distance,
  "kernel_stein": distances.kernel_stein,
}


@pytest.mark.parametrize(
  "name", [pytest.param(n, marks=pytest.mark.slow) if n != "cramer_wold" else n for n in PAIRWISE]
)
def test_pairwise_gradient_uses_linear_memory(name):
  def temporaries(n):
    z = jax.ShapeDtypeStruct((n, 16), jnp.float32)
    compiled = jax.jit(jax.value_and_grad(PAIRWISE[name])).lower(z).compile()
    return compiled.memory_analysis().temp_size_in_bytes

  small, large = temporaries(4096), temporaries(16384)
  # One matrix of all pairs has 1 GiB. A tile reaches its 4 MiB only above n = 4096, and at most
  # twice that. A few arrays [n, 16] with four times the rows have some MB.
  assert large < 160 * 2**20
  assert large < 2 * small + 16 * 2**20


def energy(squared_distances, dim):
  return -jnp.sqrt(squared_distances + 1.0)


# An even and an odd number of blocks, windows of one tile and of several, incomplete blocks.
@pytest.mark.parametrize(
  ("sizes", "dim", "block", "width", "multiple"),
  [
    ((40, 33), 5, 7, 100, 1),
    pytest.param((40, 33), 5, 8, 5, 1, marks=pytest.mark.slow),
    pytest.param((14, 7), 3, 7, 3, 1, marks=pytest.mark.slow),
    ((6, 5), 5, 2, 1, 1),
    # As on accelerators, the width is rounded up: columns beyond the window have weight 0.
    pytest.param((40, 33), 5, 7, 4, 8, marks=pytest.mark.slow),
    ((14, 7), 3, 7, 3, 16),
  ],
)
def test_tiling_does_not_change_values(sizes, dim, block, width, multiple, monkeypatch):
  """Compares many tiles with one tile, and one tile with the double sum."""
  generator = np.random.default_rng(0)
  with jax.enable_x64(True):
    x, y = (jnp.asarray(generator.standard_normal((n, dim))) for n in sizes)

    def value(x, y):
      def pair(d, r):
        return energy(d, dim) * r

      return jnp.stack(
        [
          _pairwise.self_mean(energy, x),
          _pairwise.self_mean(energy, x, unbiased=True),
          _pairwise.cross_mean(energy, x, y),
          _pairwise.self_sum(pair, x, jnp.sum(x * x, 1)),
        ]
      )

    def values_and_gradients():
      def compute(x, y):
        of_one = jax.jacrev(value, 1)(x, y)
        return (value(x, y), *jax.jacrev(value, (0, 1))(x, y)), of_one

      return jax.jit(compute)(x, y)

    whole, of_one = values_and_gradients()
    monkeypatch.setattr(_tiling, "_CPU", _tiling.Sizes(block, width, 0, 0, multiple, multiple > 1))
    tiled, of_one_tiled = values_and_gradients()
    for a, b in zip(tiled, whole, strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(of_one_tiled, of_one, rtol=1e-10, atol=1e-12)
    d = np.asarray(jnp.sum((x[:, None] - y) ** 2, -1))
    np.testing.assert_allclose(whole[0][2], -np.sqrt(d + 1).mean(), rtol=1e-12)

    def double_sum(x, y):
      return jnp.mean(-jnp.sqrt(jnp.sum((x[:, None] - y) ** 2, -1) + 1))

    for computed, expected in zip(whole[1:], jax.grad(double_sum, (0, 1))(x, y), strict=True):
      np.testing.assert_allclose(computed[2], expected, rtol=1e-10, atol=1e-12)
    of_itself = jax.grad(lambda x: double_sum(x, x))(x)
    np.testing.assert_allclose(whole[1][0], of_itself, rtol=1e-10, atol=1e-12)


def test_coinciding_rows_have_distance_zero():
  x = 100 + 30 * jax.random.normal(jax.random.key(0), (300, 67))
  # In another order, norms and products of the rows are rounded differently.
  value = _pairwise.cross_mean(lambda d, dim: (d == 0) * 1.0, x, x[::-1])
  assert value == pytest.approx(1 / 300)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cramer_wold", "mmd", "energy_distance"])
def test_pairwise_gradient_of_65536_latents_needs_less_than_a_gibibyte(name):
  script = f"""
    import resource, jax, jax.numpy as jnp
    from aejax import distances
    def peak():
      return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    z = jax.random.normal(jax.random.key(0), (65536, 64))
    step = jax.jit(jax.value_and_grad(distances.{name}))
    jax.block_until_ready(step(z[:8]))
    before = peak()
    value, gradient = jax.block_until_ready(step(z))
    assert jnp.isfinite(value) and jnp.isfinite(gradient).all()
    print(peak() - before)
  """
  out = subprocess.run(
    [sys.executable, "-c", textwrap.dedent(script)], check=True, capture_output=True, text=True
  )
  assert float(out.stdout) < 1.0
