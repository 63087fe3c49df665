"""Random directions, and the distances that take directions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import latents

from aejax import distances


@pytest.mark.parametrize("orthogonal", [False, True])
def test_random_directions_are_unit_and_uniform(orthogonal):
  directions = distances.random_directions(jax.random.key(0), 9000, 3, orthogonal=orthogonal)
  assert directions.shape == (9000, 3)
  np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, atol=1e-6)
  # In three dimensions each coordinate is uniform on [−1, 1]. The standard errors of the mean and
  # of the mean square are 0.006 and 0.003.
  assert np.all(np.abs(directions.mean(0)) < 0.025)
  np.testing.assert_allclose((directions**2).mean(0), 1 / 3, atol=0.013)


def test_random_directions_orthogonal_frames():
  directions = distances.random_directions(jax.random.key(1), 10, 4, orthogonal=True)
  for frame in (directions[:4], directions[4:8], directions[8:]):
    np.testing.assert_allclose(frame @ frame.T, np.eye(len(frame)), atol=1e-6)
  other = distances.random_directions(jax.random.key(2), 10, 4, orthogonal=True)
  assert not np.allclose(directions, other)


def test_orthogonal_directions_reduce_variance():
  z, _ = latents(64, 8)
  keys = jax.random.split(jax.random.key(3), 200)

  def spread(orthogonal):
    def value(key):
      directions = distances.random_directions(key, 16, 8, orthogonal=orthogonal)
      return distances.sliced_wasserstein(z, directions=directions)

    return float(jnp.var(jax.vmap(value)(keys)))

  # From 200 draws, the ratio of two variances has an error of about 15 %.
  assert spread(True) < 0.7 * spread(False)


@pytest.mark.parametrize(("num", "dim"), [(0, 3), (3, 0)])
def test_random_directions_rejects_sizes_below_one(num, dim):
  with pytest.raises(ValueError, match=r"(num|dim) must be a whole number from 1 up, but is 0"):
    distances.random_directions(jax.random.key(0), num, dim)


def test_sliced_wasserstein_aligns_uneven_samples_by_quantiles():
  """Repeating every sample does not change the distribution."""
  z, rest = latents(6, 2, m=4)
  directions, y = rest["directions"], rest["samples"]
  uneven = distances.sliced_wasserstein(z, y, directions=directions)
  even = distances.sliced_wasserstein(
    jnp.repeat(z, 2, axis=0), jnp.repeat(y, 3, axis=0), directions=directions
  )
  assert uneven == pytest.approx(float(even), rel=1e-5)


def test_max_sliced_wasserstein_ascent_finds_the_differing_direction():
  z = jax.random.normal(jax.random.key(4), (500, 6)).at[:, 2].multiply(3.0)
  start = distances.random_directions(jax.random.key(5), 8, 6)
  best = distances.max_sliced_wasserstein(z, directions=jnp.eye(6)[2:3])
  given = distances.max_sliced_wasserstein(z, directions=start)
  climbed = distances.max_sliced_wasserstein(z, directions=start, ascent_steps=50)
  assert given < climbed
  assert climbed >= 0.97 * best


def test_epps_pulley_equals_double_sum_at_any_scale():
  """The number of nodes depends on the spread; the double sum is in float64."""
  for scale in (1e-3, 1.0, 30.0, 300.0):
    z, rest = latents(12, 2)
    z = scale * z
    p = np.asarray(rest["directions"], np.float64) @ np.asarray(z, np.float64).T
    pairs = np.exp(-((p[:, :, None] - p[:, None, :]) ** 2) / 2).mean((1, 2))
    exact = 12 * (
      np.sqrt(2 * np.pi) * pairs
      - 2 * np.sqrt(np.pi) * np.exp(-(p**2) / 4).mean(1)
      + np.sqrt(2 * np.pi / 3)
    )
    value = distances.epps_pulley(z, directions=rest["directions"])
    # cos(t p) has an error of eps |t p|, and t goes up to about 6.
    bound = 12 * 2.5 * np.finfo(np.float32).eps * max(8, 6 * np.abs(p).max())
    assert abs(float(value) - exact.mean()) < bound


GROUPED = {
  "sliced_wasserstein": distances.sliced_wasserstein,
  "epps_pulley": distances.epps_pulley,
  "max_sliced_wasserstein": distances.max_sliced_wasserstein,
}


@pytest.mark.parametrize("name", GROUPED)
def test_groups_of_directions_give_the_value_of_all(name, monkeypatch):
  z, rest = latents(9, 3, num=7)
  step = jax.value_and_grad(lambda z: GROUPED[name](z, directions=rest["directions"]))
  value, gradient = step(z)
  jax.clear_caches()
  monkeypatch.setattr("aejax.distances.directions._MAX_PROJECTIONS", 20)
  assert "scan" in str(jax.make_jaxpr(step)(z))
  found, gradient_found = step(z)
  jax.clear_caches()
  np.testing.assert_allclose(found, value, rtol=1e-5)
  np.testing.assert_allclose(gradient_found, gradient, rtol=1e-4, atol=1e-6)
