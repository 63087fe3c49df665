"""Metrics against the prior of a run."""

import jax
import numpy as np
import pytest

from aejax import distances, metrics
from aejax.evaluation.prior_metrics import prior_baseline, prior_metrics
from aejax.priors import StandardNormal, UniformSphere

KEY = jax.random.key(0)
SPHERE = UniformSphere(2, radius=6.0)


def test_metrics_of_the_normal_prior_are_those_of_the_papers():
  z = jax.random.normal(KEY, (50, 2))
  assert prior_metrics(z, StandardNormal(2), key=KEY) == metrics.latent_metrics(z, key=KEY)
  baseline = metrics.normal_baseline(50, 2, key=KEY)
  expected = {name: reference.mean for name, reference in baseline.items()}
  assert prior_baseline(50, StandardNormal(2), key=KEY) == expected


def test_metrics_of_another_prior_compare_with_its_samples():
  normal, true = jax.random.normal(KEY, (200, 2)), SPHERE.sample(jax.random.key(1), 200)
  far, near = (prior_metrics(z, SPHERE, key=KEY) for z in (normal, true))
  assert set(far) == {"cramer_wold", "sliced_wasserstein", "mmd", "energy_distance"}
  baseline = prior_baseline(200, SPHERE, key=jax.random.key(2))
  for name, value in baseline.items():
    assert abs(near[name] - value) < 0.2 * far[name]
  _, samples_key = jax.random.split(KEY)
  samples = SPHERE.sample(samples_key, 200)
  expected = float(distances.energy_distance(normal, samples))
  assert far["energy_distance"] == pytest.approx(expected, rel=1e-6)
  # Along a direction, a sphere of radius 6 has variance 18, and the transport is between normals
  # and an arcsine distribution: about (√18 − 1)² ≈ 10.5.
  assert far["sliced_wasserstein"] == pytest.approx((np.sqrt(18) - 1) ** 2, rel=0.1)
