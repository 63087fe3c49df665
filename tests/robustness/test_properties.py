"""What holds for every distance and metric, whatever the numbers: hypothesis looks for those."""

import functools

import jax
import numpy as np
import pytest
from catalogue import FORMS
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from aejax import evaluation

N, DIM = 6, 3
FEW, MANY = 25, 400
# Forms that are zero for equal samples, and those that do not mind which set comes first.
SAMPLED = [form for form in FORMS if form.samples]
ZERO_FOR_EQUAL = [form for form in SAMPLED if not form.unbiased]
# The Cramer-Wold distance takes its γ from the target, unless it is told.
SYMMETRIC = [form for form in SAMPLED if form.name != "cramer_wold-samples"]
FEWER = settings(max_examples=FEW, derandomize=True, database=None, deadline=None)
MORE = settings(max_examples=MANY, derandomize=True, database=None, deadline=None)


@st.composite
def latents(draw, n=N, dim=DIM):
  """Sets of points: of any scale, off the centre, with ties, on a line, with one far away."""
  seed = draw(st.integers(0, 2**16))
  z = np.random.default_rng(seed).standard_normal((n, dim))
  kind = draw(st.sampled_from(("plain", "equal", "zero", "twins", "line", "outlier", "whole")))
  if kind == "equal":
    z[:] = z[0]
  elif kind == "zero":
    z[:] = 0
  elif kind == "twins":
    z[1::2] = z[: n // 2 * 2 : 2]
  elif kind == "line":
    z[:, 1:] = 0
  elif kind == "outlier":
    z[0] *= draw(st.floats(1, 1e3))
  elif kind == "whole":
    z = np.rint(z)
  scale = 10.0 ** draw(st.integers(-6, 3))
  offset = draw(st.sampled_from((0.0, 0.0, 1.0, -30.0, 1e3)))
  return (scale * z + offset).astype(np.float32)


@functools.cache
def _directions():
  generator = np.random.default_rng(0)
  directions = generator.standard_normal((5, DIM))
  return (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)


@functools.cache
def _compiled(form):
  """The value and its gradient, compiled once for all tests of the form."""

  def value(z, y):
    return form(z, {"samples": y, "directions": _directions()})

  return jax.jit(jax.value_and_grad(value))


def _value(form, z, y):
  value, gradient = _compiled(form)(z, y)
  return float(value), np.asarray(gradient)


def _tolerance(form, *sets):
  """Each form is a mean or sum over points of terms no larger than n (d + s²), s the largest norm.

  Their rounding is some units in the last place of that: 16 of them, 1.2e-7 each. With γ from the
  samples the Cramer-Wold distance has the unit γ^(−1/2), and γ is about their variance.
  """
  largest = max(float(np.square(z.astype(np.float64)).sum(1).max()) for z in sets)
  unit = max(1e-6, min(1, *(float(z.std()) for z in sets)))
  by_samples = form.name == "cramer_wold-samples"
  return 16 * 1.2e-7 * N * (7 * DIM + largest) / (unit if by_samples else 1)


def check_a_distance(form, z, y):
  """Finite, with a finite gradient, non-negative where it must be, blind to the order."""
  value, gradient = _value(form, z, y)
  assert np.isfinite(value)
  assert np.isfinite(gradient).all()
  tolerance = _tolerance(form, z, y)
  if not form.unbiased:
    assert value >= -tolerance
  order = np.random.default_rng(1).permutation(N)
  moved, moved_gradient = _value(form, z[order], y)
  assert moved == pytest.approx(value, rel=1e-3, abs=tolerance)
  assert np.isfinite(moved_gradient).all()


EXTREMES = [
  (np.zeros((N, DIM), np.float32), np.zeros((N, DIM), np.float32)),
  (np.full((N, DIM), 1e4, np.float32), np.full((N, DIM), -1e4, np.float32)),
  (np.full((N, DIM), 1e-30, np.float32), np.full((N, DIM), 1e-38, np.float32)),
]


def _with_examples(test):
  for z, y in EXTREMES:
    test = example(z, y)(test)
  return given(latents(), latents())(test)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_distance(form):
  FEWER(_with_examples(lambda z, y: check_a_distance(form, z, y)))()


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_distance_more_often(form):
  MORE(_with_examples(lambda z, y: check_a_distance(form, z, y)))()


@pytest.mark.parametrize("form", ZERO_FOR_EQUAL, ids=lambda form: form.name)
@FEWER
@given(z=latents())
def test_zero_for_equal_samples(form, z):
  value, gradient = _value(form, z, z)
  assert abs(value) <= _tolerance(form, z, z)
  assert np.isfinite(gradient).all()


@pytest.mark.parametrize("form", SYMMETRIC, ids=lambda form: form.name)
@FEWER
@given(z=latents(), y=latents())
def test_symmetric(form, z, y):
  there, back = _value(form, z, y)[0], _value(form, y, z)[0]
  assert there == pytest.approx(back, rel=1e-3, abs=_tolerance(form, z, y))


# Their distribution functions have a value at infinity: the statistics are finite there, and right.
BOUNDED = ("cramer_von_mises", "kolmogorov_smirnov")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_what_is_not_finite_is_not_hidden(form, bad):
  z = np.random.default_rng(0).standard_normal((N, DIM)).astype(np.float32)
  y = z[::-1] / 2
  z[2, 1] = bad
  assert np.isfinite(_value(form, z, y)[0]) == (form.name in BOUNDED and np.isinf(bad))


# Metrics, in NumPy: no compilation, so many shapes.


@st.composite
def features(draw, least=6):
  n, dim = draw(st.integers(least, 12)), draw(st.integers(1, 5))
  return draw(latents(n, dim)).astype(draw(st.sampled_from((np.float32, np.float64))))


@FEWER
@given(z=features())
def test_mardia(z):
  skewness, kurtosis = evaluation.mardia_skewness(z), evaluation.mardia_kurtosis(z)
  assert np.isfinite([skewness, kurtosis]).all()
  assert skewness >= 0
  d = z.shape[1]
  assert kurtosis >= -d * (d + 2)
  order = np.random.default_rng(1).permutation(len(z))
  assert evaluation.mardia_skewness(z[order]) == pytest.approx(skewness, rel=1e-9)
  assert evaluation.mardia_kurtosis(z[order]) == pytest.approx(kurtosis, rel=1e-9)


@FEWER
@given(x=features(), data=st.data())
def test_frechet_distance(x, data):
  y = data.draw(latents(data.draw(st.integers(2, 9)), x.shape[1]))
  size = np.square(x, dtype=np.float64).sum(1).max() + np.square(y, dtype=np.float64).sum(1).max()
  distance = evaluation.frechet_distance(x, y)
  assert np.isfinite(distance)
  assert distance >= 0
  # Sums of squares in float64, and roots of covariances: those of zeros are off by 1e-8.
  assert evaluation.frechet_distance(y, x) == pytest.approx(distance, rel=1e-6, abs=1e-8 * size)
  assert evaluation.frechet_distance(x, x) <= 1e-8 * size
  moved = evaluation.frechet_distance(x[::-1], y)
  assert moved == pytest.approx(distance, rel=1e-6, abs=1e-8 * size)
  parts = evaluation.Moments.of(x[:3]) + evaluation.Moments.of(x[3:])
  assert evaluation.frechet_distance(parts, y) == pytest.approx(distance, rel=1e-6, abs=1e-8 * size)


@FEWER
@given(x=features(), data=st.data())
def test_kernel_distance(x, data):
  y = data.draw(latents(data.draw(st.integers(2, 9)), x.shape[1]))
  norms = [np.square(v, dtype=np.float64).sum(1).max() / x.shape[1] for v in (x, y)]
  largest = (1 + max(norms)) ** 3
  distance = evaluation.kernel_distance(x, y)
  assert np.isfinite(distance)
  assert evaluation.kernel_distance(y, x) == pytest.approx(distance, abs=1e-12 * largest)
  assert evaluation.kernel_distance(x[::-1], y) == pytest.approx(distance, abs=1e-12 * largest)
  own = evaluation.kernel_distance_in_blocks(x, x[::-1], key=jax.random.key(0))
  assert np.isfinite(own).all()
  assert own.standard_error >= 0


@FEWER
@given(x=features(), data=st.data())
def test_coverage(x, data):
  y = data.draw(latents(data.draw(st.integers(6, 9)), x.shape[1]))
  found = evaluation.coverage_metrics(x, y)
  for name in ("precision", "recall", "coverage"):
    assert 0 <= found[name] <= 1
  assert 0 <= found["density"] < len(x)
  same = evaluation.coverage_metrics(x, x)
  assert same["precision"] == same["recall"] == same["coverage"] == 1
  moved = evaluation.coverage_metrics(x[::-1], y[::-1])
  assert moved == pytest.approx(found)


@FEWER
@given(x=latents(), y=latents())
def test_reconstruction_error(x, y):
  error = evaluation.reconstruction_error(x, y)
  assert np.isfinite(error)
  assert error >= 0
  assert evaluation.reconstruction_error(x, x) == 0
  assert evaluation.reconstruction_error(y, x) == error
  order = np.random.default_rng(1).permutation(N)
  assert evaluation.reconstruction_error(x[order], y[order]) == pytest.approx(error)


@FEWER
@given(x=latents(), y=latents())
def test_nearest_training_images(x, y):
  assume((y != y[0]).any())
  found = evaluation.nearest_training_images(x, y, num=3)
  assert np.isfinite(found.distances).all()
  assert (np.diff(found.distances, axis=1) >= 0).all()
  assert (found.ratios >= 0).all()
  apart = np.linalg.norm(x[:, None].astype(np.float64) - y, axis=-1)
  np.testing.assert_allclose(found.distances, np.sort(apart, axis=1)[:, :3], rtol=1e-6, atol=1e-30)
  copies = evaluation.nearest_training_images(y, y)
  assert (copies.distances == 0).all()
  assert (copies.ratios == 0).all()
