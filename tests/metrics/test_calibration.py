"""Null distributions against exact moments, and p-values of samples of the prior."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from aejax import distances, priors
from aejax.metrics import NullDistribution, calibration, null_distribution, prior_test

KEY = jax.random.key(0)

# E k̃² of the doubly centred kernel in two and in eight dimensions, from closed forms in double
# precision. The variance of the unbiased estimate is 2 E k̃² / (n (n − 1)).
SECOND_MOMENTS = {
  "mmd": (0.895971, 0.190171),
  "energy_distance": (0.459146, 0.494173),
  "kernel_stein": (48.24, 111.5),
}


@pytest.fixture
def few_draws(monkeypatch):
  monkeypatch.setattr(calibration, "_DRAWS", 300)
  calibration._simulated.cache_clear()
  yield
  calibration._simulated.cache_clear()


def exact_deviation(distance, n, dim):
  return (2 * SECOND_MOMENTS[distance][(2, 8).index(dim)] / (n * (n - 1))) ** 0.5


def test_null_distribution_has_the_exact_moments():
  null = null_distribution("mmd", 64, 2, key=KEY)
  assert null.mean == 0
  # 4000 draws of excess kurtosis κ estimate a deviation to √((κ + 2) / 4 / 4000), with κ ≈ 3.
  assert null.standard_deviation == pytest.approx(exact_deviation("mmd", 64, 2), rel=0.06)
  assert null.skewness == pytest.approx(1.47, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("dim", [2, 8])
@pytest.mark.parametrize("distance", SECOND_MOMENTS)
@pytest.mark.parametrize("n", [128, 3000])
def test_null_distribution_has_the_exact_deviation(distance, n, dim):
  null = null_distribution(distance, n, dim, key=KEY)
  expected = exact_deviation(distance, n, dim)
  assert null.standard_deviation == pytest.approx(expected, rel=0.06)


@pytest.mark.slow
@pytest.mark.parametrize("distance", calibration.STATISTICS)
def test_scaled_null_distribution_is_that_of_more_latents(distance, monkeypatch):
  scaled = null_distribution(distance, 1200, 3, key=KEY)
  monkeypatch.setattr(calibration, "_MAX_LATENTS", 10_000)
  calibration._simulated.cache_clear()
  direct = null_distribution(distance, 1200, 3, key=KEY)
  calibration._simulated.cache_clear()
  error = direct.standard_deviation * 5 / calibration._DRAWS**0.5
  assert scaled.mean == pytest.approx(direct.mean, abs=2 * error)
  assert scaled.standard_deviation == pytest.approx(direct.standard_deviation, rel=0.12)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "dim"), [(128, 2), (128, 64), (1000, 8)])
@pytest.mark.parametrize("distance", calibration.STATISTICS)
def test_level_of_five_percent(distance, n, dim):
  """Of 4000 sets of normal latents, between 4 and 6 % have a p-value below 5 %."""
  null = null_distribution(distance, n, dim, key=KEY)
  # Other sets than those of the null distribution, along the same directions.
  others = jax.random.split(jax.random.key(99), 4000)
  function = calibration.statistic_of(distance, n, dim, key=KEY)

  def value(key):
    return function(jax.random.normal(key, (n, dim)))

  values = np.asarray(jax.jit(lambda keys: jax.lax.map(value, keys))(others))
  level = np.mean(values > null.quantile(0.95))
  # The standard error of a level from 4000 sets is 0.34 %.
  assert 0.04 - 0.0034 < level < 0.06 + 0.0034, level


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize("distance", ["cramer_wold", "sliced_wasserstein"])
def test_prior_test_follows_the_prior(distance):
  sphere = priors.UniformSphere(3, radius=2.5)
  z = sphere.sample(jax.random.key(5), 60)
  assert prior_test(z, distance, prior=sphere, key=KEY).p_value > 0.01
  assert prior_test(z, distance, key=KEY).p_value < 1e-3
  assert prior_test(z, distance, prior=priors.StandardNormal(3), key=KEY).p_value < 1e-3


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize("distance", ["cramer_wold", "sigreg"])
def test_null_distribution_of_many_latents_is_scaled(distance, monkeypatch):
  """Silverman's γ is that of all latents, and the mean and deviation fall as 1/n, or not at all."""
  found = []
  for most in (30, 1000):
    monkeypatch.setattr(calibration, "_MAX_LATENTS", most)
    found.append(null_distribution(distance, 240, 2, key=KEY))
  scaled, direct = found
  assert scaled.mean == pytest.approx(direct.mean, rel=0.15)
  assert scaled.standard_deviation == pytest.approx(direct.standard_deviation, rel=0.4)


@pytest.mark.usefixtures("few_draws")
def test_null_distribution_draws_samples_of_the_prior():
  sphere = priors.UniformSphere(3, radius=2.5)
  null = null_distribution("energy_distance", 40, 3, prior=sphere, key=KEY)
  keys = jax.random.split(jax.random.key(7), 100)
  values = [distances.energy_distance(sphere.sample(key, 40), sphere) for key in keys]
  assert null.standard_deviation == pytest.approx(float(np.std(values)), rel=0.4)
  to_normal = null_distribution("energy_distance", 40, 3, key=KEY)
  assert to_normal.standard_deviation != pytest.approx(null.standard_deviation, rel=0.1)


@pytest.mark.usefixtures("few_draws")
def test_prior_test_reports_the_distance_and_its_null_distribution():
  z = np.random.default_rng(0).standard_normal((50, 2))
  found = prior_test(z, "energy_distance", key=KEY)
  null = null_distribution("energy_distance", 50, 2, key=KEY)
  assert found.statistic == pytest.approx(float(distances.energy_distance(z)))
  assert found[1:] == (0.0, null.standard_deviation, null.p_value(found.statistic))
  assert prior_test(z, "energy_distance", key=KEY) == found
  assert prior_test(z, "sliced_wasserstein", key=KEY) != prior_test(
    z, "sliced_wasserstein", key=jax.random.key(1)
  )


@pytest.mark.usefixtures("few_draws")
def test_prior_test_takes_keys_of_another_generator():
  z = np.random.default_rng(0).standard_normal((20, 2))
  assert 0 < prior_test(z, "sliced_wasserstein", key=jax.random.key(0, impl="rbg")).p_value < 1


def test_null_distribution_is_simulated_once(few_draws):
  null_distribution("cramer_wold", 20, 2, key=KEY)
  null_distribution("cramer_wold", 20, 2, key=KEY)
  assert calibration._simulated.cache_info().misses == 1


@pytest.mark.parametrize("skewness", [0.9, 0.0, -0.9])
def test_quantile_and_p_value_are_those_of_pearson_three(skewness):
  null = NullDistribution(2.0, 0.5, skewness)
  expected = stats.pearson3(skewness, loc=2.0, scale=0.5)
  for probability in (0.01, 0.5, 0.95, 0.999):
    x = null.quantile(probability)
    assert x == pytest.approx(expected.ppf(probability), rel=1e-6)
    assert null.p_value(x) == pytest.approx(1 - probability, rel=1e-6)


def test_p_value_below_the_smallest_possible_distance_is_one():
  assert NullDistribution(1.0, 0.5, 1.0).p_value(-10.0) == 1


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda: null_distribution("wasserstein", 9, 2, key=KEY), "There is no distance 'wasserstein'"),
    (lambda: null_distribution("mmd", 1, 2, key=KEY), "n must be"),
    (lambda: null_distribution("mmd", 9, 0, key=KEY), "dim must be"),
    (lambda: null_distribution("mmd", 9, 2, key=0), "key must be"),
    (lambda: null_distribution("mmd", 9, 2, prior=1, key=KEY), "None or a prior"),
    (
      lambda: null_distribution("mmd", 9, 2, prior=priors.UniformBall(3), key=KEY),
      "prior has dimension 3, but the latents have 2",
    ),
    (
      lambda: null_distribution("sigreg", 9, 2, prior=priors.UniformBall(2), key=KEY),
      "compares with N\\(0, I\\) only",
    ),
    (lambda: prior_test(jnp.full((5, 2), jnp.nan), key=KEY), "z must be finite"),
    (lambda: prior_test(jnp.ones((1, 2)), key=KEY), "n at least 2"),
    (lambda: NullDistribution(0.0, 1.0, 0.0).quantile(1.0), "between 0 and 1"),
  ],
)
def test_calibration_rejects_bad_arguments(call, message, without_beartype):
  with pytest.raises(ValueError, match=message):
    call()


def test_null_distribution_of_fewer_draws_is_coarser(few_draws):
  key = jax.random.key(0)
  default, same, fewer = (
    null_distribution("energy_distance", 8, 2, key=key, draws=draws)
    for draws in (None, calibration._DRAWS, 40)
  )
  assert default == same != fewer
  assert fewer.standard_deviation == pytest.approx(default.standard_deviation, rel=0.5)
  with pytest.raises(ValueError, match="draws must be a whole number from 10 up"):
    null_distribution("energy_distance", 8, 2, key=key, draws=2)
