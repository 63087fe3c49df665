import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from aejax.metrics import correlation_difference, marginal_distance

RANDOM = np.random.default_rng(0)
REAL = RANDOM.normal(size=(500, 3)) @ [[1, 0.5, 0], [0, 2, 0], [0, 0, 3]]
GENERATED = RANDOM.normal(size=(400, 3)) * 2 + 1


def test_marginal_distance_is_the_mean_wasserstein_distance():
  expected = np.mean(
    [stats.wasserstein_distance(GENERATED[:, k], REAL[:, k]) / REAL[:, k].std() for k in range(3)]
  )
  assert marginal_distance(GENERATED, REAL) == pytest.approx(expected, rel=0.01)
  assert marginal_distance(REAL, REAL) == 0
  scale = np.array([3.0, 0.1, 7.0])
  assert marginal_distance(GENERATED * scale, REAL * scale) == pytest.approx(
    marginal_distance(GENERATED, REAL)
  )
  # A shift by two standard deviations.
  assert marginal_distance(REAL + 2 * REAL.std(0), REAL) == pytest.approx(2, rel=1e-6)


def test_correlation_difference_is_the_mean_over_pairs():
  a, b = np.corrcoef(GENERATED, rowvar=False), np.corrcoef(REAL, rowvar=False)
  expected = np.mean([abs(a[i, j] - b[i, j]) for i, j in ((0, 1), (0, 2), (1, 2))])
  assert correlation_difference(GENERATED, REAL) == pytest.approx(expected)
  f32 = correlation_difference(jnp.asarray(GENERATED), jnp.asarray(REAL))
  assert f32 == pytest.approx(expected, abs=1e-6)
  assert correlation_difference(GENERATED[:, :1], REAL[:, :1]) == 0


def test_constant_features_have_no_correlation():
  constant = REAL.copy()
  constant[:, 0] = 0.1
  b = np.corrcoef(REAL, rowvar=False)
  expected = (abs(b[0, 1]) + abs(b[0, 2])) / 3
  assert correlation_difference(constant, REAL) == pytest.approx(expected)
  assert np.isfinite(marginal_distance(REAL, constant))


@pytest.mark.usefixtures("without_beartype")
@pytest.mark.parametrize("metric", [marginal_distance, correlation_difference])
def test_metrics_reject_other_arrays(metric):
  with pytest.raises(ValueError, match="generated and real must have one dimension"):
    metric(REAL[:, :2], REAL)
  with pytest.raises(ValueError, match=r"^generated "):
    metric(REAL * np.nan, REAL)
