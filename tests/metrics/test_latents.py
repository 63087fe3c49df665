import inspect
import json
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import distances
from aejax.metrics import _chunked, latents
from aejax.metrics.latents import (
  latent_metrics,
  mardia_kurtosis,
  mardia_skewness,
  reconstruction_error,
)


def normal(n: int, d: int, seed: int = 0) -> np.ndarray:
  return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def without_beartype(function):
  """The function without the shape checks that the tests wrap around it."""
  return inspect.unwrap(function)


def skewness_by_loops(z: np.ndarray) -> float:
  total = 0.0
  for x in z.astype(np.float64):
    for y in z.astype(np.float64):
      total += sum(a * b for a, b in zip(x, y, strict=True)) ** 3
  return total / len(z) ** 2


# Both ways to sum: third moments for d² ≤ n, pairs for d² > n.
SHAPES = [(2, 1), (12, 3), (9, 3), (7, 3), (5, 8), (2, 4)]


@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_mardia_matches_the_definitions(n, d):
  z = normal(n, d) + np.float32(0.5)
  # Float64 on both sides: about a hundred roundings of 1e-16.
  np.testing.assert_allclose(mardia_skewness(z), skewness_by_loops(z), rtol=1e-12)
  kurtosis = np.mean([sum(float(a) ** 2 for a in x) ** 2 for x in z]) - d * (d + 2)
  np.testing.assert_allclose(mardia_kurtosis(z), kurtosis, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("entries", [1, 50, 333, 10**6])
@pytest.mark.parametrize("way", ["_third_moment_norm", "_cubed_products"])
def test_mardia_skewness_does_not_depend_on_blocks(monkeypatch, way, entries):
  z = normal(37, 5).astype(np.float64) + 0.5
  monkeypatch.setattr(_chunked, "_BLOCK_ENTRIES", entries)
  expected = skewness_by_loops(z) * 37**2
  np.testing.assert_allclose(getattr(latents, way)(z), expected, rtol=1e-12)


@pytest.mark.parametrize(("n", "d"), [(4000, 8), (1000, 40)])
def test_mardia_of_normal_latents(n, d):
  z = normal(n, d, seed=3)
  sixth = d * (d + 2) * (d + 4)
  # The diagonal gives mean|z|⁶/n. Off the diagonal E[(z·z')³ | z] = 0, so the n(n−1) terms, equal
  # in pairs, have the variance 2·E(z·z')⁶ / n⁴ each, with E(z·z')⁶ = 15·E|z|⁶. The variance of the
  # diagonal is less than a hundredth of that.
  error = np.sqrt(2 * 15 * sixth) / n
  skewness = mardia_skewness(z)
  assert abs(skewness - sixth / n) < 4 * error
  # |z|⁴ has the variance E|z|⁸ − (E|z|⁴)².
  error = np.sqrt((sixth * (d + 6) - (d * (d + 2)) ** 2) / n)
  assert abs(mardia_kurtosis(z)) < 4 * error


def test_mardia_of_known_sets():
  e = np.array([[1.0, 2.0, 2.0]], np.float32)
  same = np.repeat(e, 20, axis=0)
  assert mardia_skewness(same) == pytest.approx(9.0**3, rel=1e-14)
  assert mardia_kurtosis(same) == pytest.approx(81.0 - 15.0, rel=1e-14)
  # The third moments of a set symmetric about 0 are zero; pairs cancel exactly.
  z = normal(30, 4)
  assert mardia_skewness(np.concatenate([z, -z])) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("n", "d"), [(50, 4), (20, 9)])
def test_mardia_ignores_rotation_permutation_and_reflection(n, d):
  z = normal(n, d).astype(np.float64) + 0.3
  rotation, _ = np.linalg.qr(np.random.default_rng(1).standard_normal((d, d)))
  for moved in (z @ rotation, z[::-1], -z):
    np.testing.assert_allclose(mardia_skewness(moved), mardia_skewness(z), rtol=1e-11)
    np.testing.assert_allclose(mardia_kurtosis(moved), mardia_kurtosis(z), rtol=1e-11)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16, jnp.bfloat16])
def test_latent_metrics_accept_jax_arrays_of_every_float_dtype(dtype):
  z = jnp.asarray(normal(20, 3), dtype)
  exact = np.asarray(z.astype(jnp.float32))
  assert mardia_skewness(z) == mardia_skewness(exact)
  assert mardia_kurtosis(z) == mardia_kurtosis(exact)
  assert reconstruction_error(z, z + 1) == pytest.approx(3.0, rel=0.05)


@pytest.mark.parametrize(("n", "d"), [(5000, 16), (5000, 80)])
def test_mardia_skewness_takes_memory_linear_in_n(n, d):
  z = normal(n, d)
  tracemalloc.start()
  mardia_skewness(z)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  # The latents in float64, and a few temporary blocks of 16 MiB; n² entries would be 200 MB.
  assert peak < 3 * z.size * 8 + 4 * _chunked._BLOCK_ENTRIES * 8
  assert peak < n * n * 8 / 2


BAD_LATENTS = {
  "rank 1": (np.zeros(3, np.float32), "shape"),
  "rank 3": (np.zeros((3, 2, 1), np.float32), "shape"),
  "one row": (np.zeros((1, 2), np.float32), "at least 2"),
  "no column": (np.zeros((3, 0), np.float32), "shape"),
  "NaN": (np.array([[0, 1], [np.nan, 0], [1, 1]], np.float32), "1 of its 3 rows"),
  "infinity": (np.array([[0, np.inf], [1, 0]], np.float32), "finite"),
}


@pytest.mark.parametrize("case", BAD_LATENTS)
def test_latent_metrics_reject_bad_latents(case):
  z, message = BAD_LATENTS[case]
  for function in (mardia_skewness, mardia_kurtosis):
    with pytest.raises(ValueError, match=message):
      without_beartype(function)(z)
  with pytest.raises(ValueError, match=message):
    without_beartype(latent_metrics)(z, key=jax.random.key(0))


@pytest.mark.parametrize("shape", [(5, 4), (3, 4, 6), (7, 4, 3, 2)])
@pytest.mark.parametrize("entries", [1, 50, 10**6])
def test_reconstruction_error_matches_the_definition(monkeypatch, shape, entries):
  monkeypatch.setattr(_chunked, "_BLOCK_ENTRIES", entries)
  x, y = np.random.default_rng(0).random((2, *shape)).astype(np.float32)
  expected = np.mean(
    [
      sum((float(a) - float(b)) ** 2 for a, b in zip(p.ravel(), q.ravel(), strict=True))
      for p, q in zip(x, y, strict=True)
    ]
  )
  np.testing.assert_allclose(reconstruction_error(x, jnp.asarray(y)), expected, rtol=1e-12)
  assert reconstruction_error(x, x) == 0.0


def test_reconstruction_error_rejects_bad_images():
  error = without_beartype(reconstruction_error)
  x = np.zeros((2, 4, 4, 1), np.float32)
  with pytest.raises(ValueError, match="one shape"):
    error(x, x[:1])
  with pytest.raises(ValueError, match="non-empty"):
    error(x[:0], x[:0])
  with pytest.raises(ValueError, match="reconstructions must be floating"):
    error(x, x.astype(np.uint8))
  with pytest.raises(ValueError, match="finite"):
    error(x, np.full_like(x, np.nan))


def test_latent_metrics_match_the_distances():
  z = normal(200, 5) * np.float32(1.1)
  key = jax.random.key(7)
  found = latent_metrics(z, key=key)
  directions = distances.random_directions(key, 1000, 5)
  expected = {
    "mardia_skewness": mardia_skewness(z),
    "mardia_kurtosis": mardia_kurtosis(z),
    "cramer_wold": distances.cramer_wold(jnp.asarray(z)),
    "sliced_wasserstein": distances.sliced_wasserstein(jnp.asarray(z), directions=directions),
    "mmd": distances.mmd(jnp.asarray(z)),
    "energy_distance": distances.energy_distance(jnp.asarray(z)),
  }
  assert list(found) == list(expected)
  assert all(type(value) is float for value in found.values())
  assert json.loads(json.dumps(found)) == found
  for name, value in expected.items():
    # A float32 mean over a thousand directions, in one chunk or in ten.
    np.testing.assert_allclose(found[name], float(value), rtol=1e-5, err_msg=name)


def test_latent_metrics_use_the_key_for_directions_only():
  z = normal(100, 4)
  first, again, other = (latent_metrics(z, key=jax.random.key(seed)) for seed in (0, 0, 1))
  assert first == again
  assert {name for name in first if first[name] != other[name]} == {"sliced_wasserstein"}


def test_latent_metrics_grow_with_the_distance():
  good, bad = (latent_metrics(scale * normal(500, 4), key=jax.random.key(0)) for scale in (1, 2))
  for name in ("mardia_kurtosis", "cramer_wold", "sliced_wasserstein", "mmd", "energy_distance"):
    assert abs(good[name]) < abs(bad[name]), name


def test_sliced_wasserstein_projects_in_chunks():
  n, d = 10_000, 64
  args = jax.ShapeDtypeStruct((n, d), jnp.float32), jax.ShapeDtypeStruct((1000, d), jnp.float32)
  memory = without_beartype(latents._sliced_wasserstein)
  analysis = jax.jit(memory).lower(*args).compile().memory_analysis()
  assert analysis is not None
  # All projections at once take 40 MB before the sort copies them.
  assert analysis.temp_size_in_bytes < n * 1000 * 4 / 2
