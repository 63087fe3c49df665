"""The kernel Stein discrepancy from any density, against autodiff of its definition in float64."""

import functools
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aejax import distances, priors
from aejax.distances import _tiling, gaussian, imq, kernel_stein

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "priors.json").read_text())
MIXTURE = "kernel_stein(z, score of mixture, kernel=gaussian(bandwidth=1.5), unbiased=True)"
STUDENT = (
  "kernel_stein(z, score of StudentT(df=5): -(df+d)x/(df+|x|^2), kernel=imq(), unbiased=False)"
)


def mixture(dim, dtype=np.float32):
  means = np.linspace(-1, 1, 3 * dim).reshape(3, dim).astype(dtype)
  weights, variances = np.array([0.2, 0.3, 0.5], dtype), np.array([0.5, 1, 2], dtype)
  return priors.GaussianMixture(weights, means, variances)


def latents(n, dim, dtype=np.float32):
  return jnp.asarray(0.8 * np.random.default_rng(0).standard_normal((n, dim)) + 0.2, dtype)


def student(z):
  return -(5 + z.shape[1]) * z / (5 + jnp.sum(z * z, 1, keepdims=True))


def by_definition(z, log_prob, kernel, unbiased):
  """Returns the mean of s·s′k + s·∇′k + s′·∇k + tr ∇∇′k, one pair at a time."""
  dim = z.shape[1]
  score = jax.grad(log_prob)

  def k(x, y):
    return kernel(jnp.sum((x - y) ** 2), dim)

  def pair(x, y):
    of_x, of_y = jax.grad(k, (0, 1))(x, y)
    trace = jnp.trace(jax.jacfwd(jax.grad(k), 1)(x, y))
    return score(x) @ score(y) * k(x, y) + score(x) @ of_y + score(y) @ of_x + trace

  pairs = jax.vmap(lambda x: jax.vmap(lambda y: pair(x, y))(z))(z)
  n = len(z)
  return (jnp.sum(pairs) - jnp.trace(pairs)) / n / (n - 1) if unbiased else jnp.mean(pairs)


@pytest.mark.parametrize(
  ("dim", "kernel", "unbiased"),
  [(2, gaussian(1.5), True), (5, imq((0.1, 2.0)), False)],
  ids=("gaussian", "imq"),
)
@pytest.mark.parametrize("tiled", [False, True])
def test_kernel_stein_equals_its_definition(dim, kernel, unbiased, tiled, monkeypatch):
  if tiled:
    sizes = _tiling.Sizes(3, 4, 0, 0, multiple=1, recompute=True)
    monkeypatch.setattr(_tiling, "_CPU", sizes)
  with jax.enable_x64(True):
    z, target = latents(11, dim, np.float64), mixture(dim, np.float64)

    def value(z):
      return kernel_stein(z, target, kernel=kernel, unbiased=unbiased)

    def expected(z):
      return by_definition(z, target.log_prob, kernel, unbiased)

    found, exact = (jax.jit(jax.value_and_grad(f))(z) for f in (value, expected))
    np.testing.assert_allclose(found[0], exact[0], rtol=1e-12)
    np.testing.assert_allclose(found[1], exact[1], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: len(case["z"][0]))
def test_kernel_stein_equals_golden_value(case):
  z = jnp.asarray(case["z"], jnp.float32)
  weights, means, variances = (
    jnp.asarray(case["mixture"][k], jnp.float32) for k in ("weights", "means", "variances")
  )
  target = priors.GaussianMixture(weights, means, variances)
  for name, value in (
    (MIXTURE, kernel_stein(z, target, kernel=gaussian(1.5))),
    (STUDENT, kernel_stein(z, student, unbiased=False)),
  ):
    largest = 7 * float(jnp.max(jnp.sum(z * z, 1))) + z.shape[1]
    assert float(value) == pytest.approx(case["exact"][name], rel=1e-5, abs=2e-6 * largest)


def test_kernel_stein_from_a_normal_score_equals_that_from_none():
  z = latents(40, 6)
  functions = [
    functools.partial(kernel_stein, target=target, kernel=gaussian(2.0))
    # The normalisation of a density does not matter, and an object need be no pytree.
    for target in (None, priors.StandardNormal(6), lambda z: -z, Unnormalised())
  ]
  value, gradient = jax.value_and_grad(functions[0])(z)
  for function in functions[1:]:
    found, found_gradient = jax.value_and_grad(function)(z)
    np.testing.assert_allclose(found, value, rtol=1e-5)
    np.testing.assert_allclose(found_gradient, gradient, rtol=1e-4, atol=1e-6)


class Unnormalised:
  def log_prob(self, z):
    return -jnp.sum(z * z, 1) / 2


def test_kernel_stein_of_a_global_batch_over_a_mapped_axis():
  z, target = latents(12, 4), mixture(4)

  def value(z, axis_name=None):
    return kernel_stein(z, target, kernel=gaussian(2.0), axis_name=axis_name)

  whole, gradient = jax.value_and_grad(value)(z)
  shared = jax.vmap(jax.value_and_grad(lambda z: value(z, "devices")), axis_name="devices")
  values, gradients = shared(z.reshape(3, 4, 4))
  np.testing.assert_allclose(values, np.full(3, whole), rtol=1e-5)
  np.testing.assert_allclose(gradients.reshape(12, 4) / 3, gradient, rtol=1e-4, atol=1e-6)


def test_kernel_stein_differentiates_the_parameters_of_its_target():
  z = latents(8, 3)
  with jax.enable_x64(True):
    z = jnp.asarray(z, jnp.float64)

    def value(shift):
      return kernel_stein(z, lambda z: shift - z, kernel=gaussian(2.0))

    slope = jax.grad(value)(0.3)
    difference = (value(0.3 + 1e-5) - value(0.3 - 1e-5)) / 2e-5
    np.testing.assert_allclose(slope, difference, rtol=1e-7)


@pytest.mark.parametrize(
  ("target", "sentence"),
  [
    (priors.UniformSphere(3), "falls to zero smoothly, but UniformSphere is uniform"),
    (priors.UniformBall(3, radius=9), "falls to zero smoothly, but UniformBall is uniform"),
    (priors.UniformCube(3, half_width=9), "falls to zero smoothly, but UniformCube is uniform"),
    (priors.StandardNormal(2), "z has dimension 3, but the prior has dimension 2"),
    (lambda z: z[:, 0], r"must have the same shape, but has shape \[4\]"),
    (np.zeros((4, 3)), "target must be None, a prior with a density, or a score function, but is"),
  ],
  ids=["sphere", "ball", "cube", "dimension", "score", "samples"],
)
def test_kernel_stein_refuses_a_target_without_a_score(target, sentence, without_beartype):
  with pytest.raises(ValueError, match=sentence):
    kernel_stein(latents(4, 3), target)


class HalfSpace:
  def log_prob(self, z):
    return jnp.where(z[:, 0] > 0, -jnp.sum(z * z, 1), -jnp.inf)


def test_kernel_stein_refuses_latents_of_density_zero():
  z = jnp.array([[1.0, 0.0], [-1.0, 0.0]])
  with pytest.raises(ValueError, match="log_prob is −∞ at 1 of 2"):
    kernel_stein(z, HalfSpace())
  assert np.isnan(jax.jit(lambda z: kernel_stein(z, HalfSpace()))(z))


def test_kernel_stein_refuses_a_log_density_of_each_coordinate(without_beartype):
  class Coordinates:
    def log_prob(self, z):
      return -(z**2)

  with pytest.raises(ValueError, match=r"must have shape \[4\], but has shape \[4, 3\]"):
    kernel_stein(latents(4, 3), Coordinates())


@pytest.mark.slow
def test_kernel_stein_from_a_score_uses_linear_memory():
  def temporaries(n):
    program = jax.jit(jax.value_and_grad(lambda z: distances.kernel_stein(z, student)))
    compiled = program.lower(jax.ShapeDtypeStruct((n, 16), jnp.float32)).compile()
    return compiled.memory_analysis().temp_size_in_bytes

  # One matrix of all pairs has 1 GiB.
  assert temporaries(16_384) < 200 * 2**20
