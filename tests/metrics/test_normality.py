import jax
import numpy as np
import pytest

from aejax.metrics import Reference, latent_metrics, normal_baseline


def test_normal_baseline_matches_another_draw():
  n, d, draws = 300, 3, 20
  found = normal_baseline(n, d, key=jax.random.key(0), draws=draws)
  z = np.random.default_rng(0).standard_normal((n, d)).astype(np.float32)
  scores = latent_metrics(z, key=jax.random.key(1))
  assert list(found) == list(scores)
  for name, value in scores.items():
    reference = found[name]
    assert isinstance(reference, Reference)
    assert type(reference.mean) is type(reference.standard_deviation) is float
    # A 21st set. Student's t exceeds 6 with a probability below 1e-5; some tails are heavier.
    assert abs(value - reference.mean) < 6 * reference.standard_deviation * np.sqrt(1 + 1 / draws)
    # Latents that are not normal are ten deviations away.
    worse = latent_metrics(1.6 * z, key=jax.random.key(1))[name]
    if name != "mardia_skewness":
      assert abs(worse - reference.mean) > 10 * reference.standard_deviation, name
  # Exact means: d(d + 2)(d + 4) / n, zero, zero and zero.
  expected = {"mardia_skewness": 105 / n, "mardia_kurtosis": 0, "mmd": 0, "energy_distance": 0}
  for name, value in expected.items():
    error = found[name].standard_deviation / np.sqrt(draws)
    assert abs(found[name].mean - value) < 5 * error, name
  # The exact deviation of the kurtosis: |z|⁴ has the variance E|z|⁸ − (E|z|⁴)². Twenty sets
  # estimate a deviation to 16 %; the tolerance is three times that.
  variance = (105 * 9 - 15**2) / n
  assert abs(found["mardia_kurtosis"].standard_deviation / np.sqrt(variance) - 1) < 0.5


def test_normal_baseline_is_mean_and_deviation_of_draws():
  key = jax.random.key(3)
  found = normal_baseline(50, 2, key=key, draws=2)
  scores = []
  for draw_key in jax.random.split(key, 2):
    latents_key, directions_key = jax.random.split(draw_key)
    scores.append(latent_metrics(jax.random.normal(latents_key, (50, 2)), key=directions_key))
  for name, reference in found.items():
    first, second = (score[name] for score in scores)
    assert reference.mean == pytest.approx((first + second) / 2, rel=1e-12)
    assert reference.standard_deviation == pytest.approx(abs(first - second) / 2**0.5, rel=1e-12)
  assert normal_baseline(50, 2, key=key, draws=2) == found
  assert normal_baseline(50, 2, key=jax.random.key(4), draws=2) != found


@pytest.mark.parametrize(
  ("n", "d", "draws", "message"),
  [
    (1, 2, 5, "n must be a whole number from 2 up, but is 1"),
    (5, 0, 5, "d must be a whole number from 1 up, but is 0"),
    (5, 2, 1, "draws must be a whole number from 2 up, but is 1"),
  ],
)
def test_normal_baseline_rejects_bad_arguments(n, d, draws, message):
  with pytest.raises(ValueError, match=message):
    normal_baseline(n, d, key=jax.random.key(0), draws=draws)
