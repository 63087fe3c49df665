import dataclasses
import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax.metrics import GaussianSampler, MixtureSampler, PriorSampler
from aejax.metrics.density import BY_NAME

KEY = jax.random.key(0)
N = 20_000

A = np.array([[1.0, 0.0, 0.0], [0.8, 0.5, 0.0], [-0.3, 0.2, 2.0]])
MEAN = np.array([1.0, -2.0, 0.5])


def correlated(n: int = 2000) -> np.ndarray:
  z = np.random.default_rng(0).standard_normal((n, 3)) @ A.T + MEAN
  return z.astype(np.float32)


def two_clusters(n: int = 3000) -> np.ndarray:
  """Two clusters with a quarter and three quarters of the points, eight deviations apart."""
  z = np.random.default_rng(1).standard_normal((n, 2))
  quarter = n // 4
  z[:quarter] = z[:quarter] @ np.array([[0.5, 0.4], [0.0, 0.3]]) + 4
  z[quarter:] -= 4
  return z


def assert_moments(drawn, mean, covariance):
  drawn = np.asarray(drawn, np.float64)
  # Five standard errors. Of a covariance of normal draws it is at most √2 σσ' / √N.
  deviations = np.sqrt(np.diag(covariance))
  assert (np.abs(drawn.mean(0) - mean) < 5 * deviations / np.sqrt(len(drawn)) + 1e-6).all()
  bound = 5 * np.sqrt(2 / len(drawn)) * np.outer(deviations, deviations)
  assert (np.abs(np.cov(drawn.T) - covariance) < bound + 1e-6).all()


def test_prior_sampler_is_standard_normal():
  sampler = PriorSampler.fit(correlated())
  assert sampler == PriorSampler(3)
  drawn = sampler.sample(KEY, N)
  assert drawn.shape == (N, 3)
  assert_moments(drawn, np.zeros(3), np.eye(3))
  np.testing.assert_array_equal(drawn, jax.random.normal(KEY, (N, 3)))


def test_gaussian_sampler_has_the_moments_of_the_latents():
  z = correlated()
  sampler = GaussianSampler.fit(z)
  exact = z.astype(np.float64)
  np.testing.assert_allclose(sampler.mean, exact.mean(0), rtol=1e-12)
  np.testing.assert_allclose(sampler.factor @ sampler.factor.T, np.cov(exact.T), rtol=1e-12)
  assert_moments(sampler.sample(KEY, N), exact.mean(0), np.cov(exact.T))


def test_gaussian_sampler_stays_in_the_plane_of_the_latents():
  z = correlated()
  # A plane: the second coordinate is the sum of the others plus 7.
  flat = z.astype(np.float64)
  flat[:, 1] = flat[:, 0] + flat[:, 2] + 7
  sampler = GaussianSampler.fit(flat)
  drawn = np.asarray(sampler.sample(KEY, 1000))
  assert sampler.factor.shape == (3, 2)
  # Coordinates are up to 20 in float32.
  np.testing.assert_allclose(drawn[:, 1], drawn[:, 0] + drawn[:, 2] + 7, atol=1e-5)
  assert drawn[:, 0].std() > 0.5


def test_gaussian_sampler_of_equal_latents_is_constant():
  sampler = GaussianSampler.fit(np.ones((5, 2)))
  np.testing.assert_array_equal(sampler.sample(KEY, 3), np.ones((3, 2)))


def test_mixture_sampler_finds_two_clusters():
  z = two_clusters()
  quarter = len(z) // 4
  sampler = MixtureSampler.fit(z, key=KEY, components=2)
  order = np.argsort(sampler.weights)
  # The clusters do not overlap: responsibilities are 0 or 1 up to e^{−16}. So each component has
  # the moments of its cluster, with n, and with the 1e-6 that scikit-learn adds to variances.
  np.testing.assert_allclose(sampler.weights[order], [0.25, 0.75], atol=1e-4)
  for k, cluster in zip(order, (z[:quarter], z[quarter:]), strict=True):
    np.testing.assert_allclose(sampler.means[k], cluster.mean(0), atol=1e-3)
    covariance = sampler.factors[k] @ sampler.factors[k].T
    np.testing.assert_allclose(covariance, np.cov(cluster.T, ddof=0), atol=2e-3)

  drawn = np.asarray(sampler.sample(KEY, N), np.float64)
  high = drawn[:, 0] > 0.5
  assert abs(high.mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / N)
  for chosen, cluster in ((high, z[:quarter]), (~high, z[quarter:])):
    assert_moments(drawn[chosen], cluster.mean(0), np.cov(cluster.T))


def test_mixture_sampler_draws_each_component():
  sampler = MixtureSampler(
    np.array([0.2, 0.5, 0.3]),
    np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0]]),
    np.stack([np.eye(2), 2 * np.eye(2), np.array([[1.0, 0.0], [3.0, 0.5]])]),
  )
  drawn = np.asarray(sampler.sample(KEY, N))
  component = np.select([drawn[:, 0] > 50, drawn[:, 1] > 50], [1, 2], 0)
  for k, weight in enumerate(sampler.weights):
    assert abs(np.mean(component == k) - weight) < 5 * np.sqrt(weight * (1 - weight) / N)
    factor = sampler.factors[k]
    assert_moments(drawn[component == k], sampler.means[k], factor @ factor.T)


def test_samplers_are_determined_by_their_key():
  z = np.random.default_rng(0).standard_normal((200, 3))
  first, again, other = (
    MixtureSampler.fit(z, key=jax.random.key(seed), components=4) for seed in (0, 0, 1)
  )
  np.testing.assert_array_equal(first.means, again.means)
  assert not np.array_equal(first.means, other.means)
  for name, fitted in ((n, s.fit(z, key=KEY)) for n, s in BY_NAME.items()):
    one, same, another = (fitted.sample(jax.random.key(seed), 5) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same, err_msg=name)
    assert not np.array_equal(one, another), name


def test_samplers_share_one_interface():
  z = jnp.asarray(correlated(200))
  assert list(BY_NAME) == ["prior", "gaussian", "mixture"]
  for sampler in BY_NAME.values():
    fitted = sampler.fit(z, key=KEY)
    drawn = fitted.sample(KEY, 7)
    assert drawn.shape == (7, 3)
    assert drawn.dtype == jnp.float32
    with pytest.raises(ValueError, match="num must be a whole number from 1 up, but is 0"):
      fitted.sample(KEY, 0)
    with pytest.raises(dataclasses.FrozenInstanceError):
      fitted.mean = 0
  assert len(MixtureSampler.fit(z, key=KEY).weights) == 10


@pytest.mark.usefixtures("without_beartype")
@pytest.mark.parametrize("name", BY_NAME)
@pytest.mark.parametrize(
  ("latents", "message"),
  [
    (np.zeros(5), "latents must have shape"),
    (np.zeros((0, 2)), "latents must have shape"),
    (np.zeros((30, 2), int), "latents must be floating-point"),
    (np.full((30, 2), np.nan), "latents must be finite"),
  ],
)
def test_samplers_reject_bad_latents(name, latents, message):
  with pytest.raises(ValueError, match=message):
    BY_NAME[name].fit(latents, key=KEY)


def test_mixture_sampler_rejects_too_few_latents():
  with pytest.raises(ValueError, match="n at least 20"):
    MixtureSampler.fit(np.zeros((19, 2)), key=KEY)
  with pytest.raises(ValueError, match="components must be a whole number from 1 up, but is 0"):
    MixtureSampler.fit(np.zeros((19, 2)), key=KEY, components=0)


def test_mixture_sampler_names_the_extra_of_scikit_learn(monkeypatch):
  find_spec = importlib.util.find_spec
  hidden = lambda name: None if name == "sklearn" else find_spec(name)  # noqa: E731
  monkeypatch.setattr(importlib.util, "find_spec", hidden)
  with pytest.raises(ImportError, match=r"sklearn, which is not installed: .*aejax\[train\]"):
    MixtureSampler.fit(correlated(), key=KEY)
