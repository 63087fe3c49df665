"""Expectations of kernels under priors against float64 oracles, and their derivatives."""

import functools
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import latents
from jit_o0 import jit_o0
from scipy import integrate, special, stats

from aejax import distances, priors
from aejax.distances._distance_kernels import NegativeDistance
from aejax.distances._expectations import prior_mean, prior_pair_mean
from aejax.distances._one_coordinate import erfcx, pair_nodes
from aejax.distances._quantiles import prior_quantiles

sys.path.insert(0, str(Path(__file__).parents[2] / "docs" / "figures"))
import prior_expectations as oracle

sys.path.pop(0)

DIMENSIONS = (1, 2, 3, 8, 64, 65, 1024)
NAMES = list(oracle.priors_of(1))
KERNELS = oracle.KERNELS
COVARIANCE = np.array([[1.0, 0.4], [0.4, 0.5]])


def expectation_cases():
  """Quick ones are those that the golden values leave out, and the two rules for the angle."""
  for dim in DIMENSIONS:
    for name in NAMES:
      for kernel in KERNELS:
        without_golden_value = name[:3] in ("Stu", "Lap")
        without_golden_value |= name == "UniformCube" and kernel in KERNELS[::3]
        quick = dim == 2 and without_golden_value
        quick = quick or (name == "UniformSphere" and dim in (64, 65) and kernel == KERNELS[-1])
        marks = () if quick else pytest.mark.slow
        yield pytest.param(dim, name, kernel, marks=marks, id=f"{name}-{kernel}-dim{dim}")


@pytest.mark.parametrize(("dim", "name", "kernel"), list(expectation_cases()))
def test_expectation_equals_oracle(dim, name, kernel):
  # Largest errors in docs/distances.md are 1e-6; they are a few units of float32's rounding.
  assert oracle.error(kernel, oracle.priors_of(dim)[name], oracle.points(dim)) < 2e-6


def draws(name, prior):
  """Returns points and weights that integrate smooth functions under a prior in two dimensions."""
  if name == "UniformSphere":
    return np.array([[prior.radius, 0.0]]), np.ones(1)
  if name == "UniformBall":
    v, w = np.polynomial.legendre.leggauss(40)
    v, w = (v + 1) / 2, w * (v + 1)
    return prior.radius * np.stack([v, 0 * v], 1), w / w.sum()
  if name.startswith("StudentT"):
    log_square = np.arange(-25, 40, 0.1)
    w = stats.f.pdf(np.exp(log_square), 2, prior.df) * np.exp(log_square)
    return np.stack([np.sqrt(2 * np.exp(log_square)), 0 * log_square], 1), w / w.sum()
  t, w = np.polynomial.hermite_e.hermegauss(30)
  grid = np.stack(np.meshgrid(t, t), -1).reshape(-1, 2)
  weights = np.outer(w, w).ravel() / w.sum() ** 2
  if name == "Normal":
    root = np.linalg.cholesky(np.asarray(prior.covariance, np.float64))
    return np.asarray(prior.mean) + grid @ root.T, weights
  means, deviations = np.asarray(prior.means), np.sqrt(np.asarray(prior.variances))
  parts = np.asarray(prior.weights) / np.sum(prior.weights)
  points = means[:, None] + deviations[:, None, None] * grid
  return points.reshape(-1, 2), np.outer(parts, weights).ravel()


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("Laplace", "UniformCube")])
def test_pair_expectation_is_the_mean_of_the_expectation(name):
  prior = oracle.priors_of(2)[name]
  points, weights = draws(name, prior)
  # The golden values have the pair expectations of imq under mixtures and normal distributions.
  with_imq = (distances.imq(),) if name not in ("GaussianMixture", "Normal") else ()
  for kernel in (NegativeDistance(), *with_imq):
    compute = jit_o0(functools.partial(prior_mean, kernel))
    mean = weights @ np.asarray(compute(jnp.asarray(points, jnp.float32), prior))
    np.testing.assert_allclose(prior_pair_mean(kernel, prior, jnp.float32), mean, rtol=3e-6)


@pytest.mark.parametrize("prior", [priors.Laplace(1, scale=0.7), priors.UniformCube(1, 1.7)])
def test_pair_expectation_of_independent_coordinates(prior):
  laplace = isinstance(prior, priors.Laplace)
  t, w = np.polynomial.legendre.leggauss(200)
  half = (t + 1) / 2 * (30 * prior.scale if laplace else prior.half_width)
  y, w = np.concatenate([-half, half]), np.concatenate([w, w])
  w = w * np.exp(-np.abs(y) / prior.scale) if laplace else w
  w /= w.sum()
  squares, weights = pair_nodes(prior)
  for a in (1e-3, 0.3, 30.0):
    by_pairs = w @ np.exp(-a * (y[:, None] - y) ** 2 / 2) @ w
    np.testing.assert_allclose(weights @ np.exp(-a * squares / 2), by_pairs, rtol=1e-9)
  mean_distance = 1.5 * prior.scale if laplace else 2 / 3 * prior.half_width
  value = prior_pair_mean(NegativeDistance(), prior, jnp.float32)
  np.testing.assert_allclose(-value, mean_distance, rtol=1e-7)


def test_erfcx_is_accurate_for_all_arguments():
  x = np.concatenate([[0], np.geomspace(1e-3, 1e6, 200)]).astype(np.float32)
  np.testing.assert_allclose(erfcx(jnp.asarray(x)), special.erfcx(x.astype(np.float64)), rtol=6e-7)


def some_distances(z, covariance):
  """Distances to one prior of each kind in two dimensions; the slow tests have all pairs."""
  normal = priors.Normal(jnp.array([0.5, -1.0], z.dtype), covariance)
  return jnp.stack(
    [
      distances.energy_distance(z, normal),
      distances.energy_distance(z, priors.Laplace(2)),
      distances.mmd(z, priors.UniformSphere(2)),
      distances.mmd(z, priors.UniformCube(2), kernel=distances.gaussian(1.0)),
      distances.cramer_wold(z, priors.StudentT(2, df=3.0)),
      distances.sliced_wasserstein(z, normal, directions=jnp.array([[0.6, 0.8]], z.dtype)),
    ]
  )


def test_derivatives_equal_finite_differences():
  with jax.enable_x64(True):
    z = jnp.asarray(np.random.default_rng(0).standard_normal((5, 2)))
    # The eigenvalues coincide, and there eigh has no derivative.
    primals = z, jnp.eye(2)
    tangents = (
      jnp.asarray(np.random.default_rng(1).standard_normal((5, 2))),
      jnp.asarray(COVARIANCE),
    )
    compute = jit_o0(lambda primals, tangents: jax.jvp(some_distances, primals, tangents))
    value, slope = compute(primals, tangents)
    step = 1e-5

    def moved(sign):
      return tuple(p + sign * step * t for p, t in zip(primals, tangents, strict=True))

    above, below = (compute(moved(sign), tangents)[0] for sign in (1, -1))
    np.testing.assert_allclose(slope, (above - below) / (2 * step), rtol=1e-6, atol=1e-7)
    assert np.isfinite(value).all()


@pytest.mark.parametrize("name", NAMES)
def test_distance_of_float32_latents_is_float32(name):
  with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
    z = jax.ShapeDtypeStruct((4, 2), jnp.float32)
    for distance in (distances.mmd, distances.energy_distance, distances.cramer_wold):
      assert jax.eval_shape(distance, z, oracle.priors_of(2)[name]).dtype == jnp.float32


@pytest.mark.parametrize("prior", [priors.UniformSphere(1), priors.UniformBall(1)])
def test_one_dimension(prior):
  """The sphere is two points, and the ball is an interval."""
  z, _ = latents(6, 1)
  n = 600
  y = (
    np.linspace(-1, 1, 2)
    if isinstance(prior, priors.UniformSphere)
    else ((np.arange(n) + 0.5) * 2 / n - 1)
  )
  y = jnp.asarray(y[:, None], jnp.float32)
  for value, expected in (
    (distances.mmd(z, prior, unbiased=False), distances.mmd(z, y, unbiased=False)),
    (distances.cramer_wold(z, prior, gamma=0.2), distances.cramer_wold(z, y, gamma=0.2)),
  ):
    assert value == pytest.approx(float(expected), abs=3e-6)


@pytest.mark.parametrize(
  ("prior", "marginal"),
  [
    (priors.UniformSphere(1, radius=2.0), None),
    (priors.UniformSphere(2), stats.arcsine(-1, 2)),
    (priors.UniformSphere(5, radius=2.0), stats.beta(2, 2, -2, 4)),
    (priors.UniformBall(1), stats.uniform(-1, 2)),
    (priors.UniformBall(5, radius=2.0), stats.beta(3, 3, -2, 4)),
    (priors.StudentT(3, df=2.5), stats.t(2.5)),
    (priors.StudentT(2, df=50.0), stats.t(50)),
  ],
)
def test_quantiles_of_marginals(prior, marginal):
  n = 5
  q, left = prior_quantiles(prior, n)
  if marginal is None:
    np.testing.assert_allclose(q, [-2, -2, 0, 2, 2])
    assert left == pytest.approx(4 - 16 / 5)
    return
  exact = [
    n * integrate.quad(marginal.ppf, i / n, (i + 1) / n, epsabs=1e-10, limit=200)[0]
    for i in range(n)
  ]
  np.testing.assert_allclose(q, exact, atol=1e-6)
  assert left == pytest.approx(marginal.var() - np.mean(np.square(exact)), rel=1e-5)


def test_normal_target_equals_the_standard_one_after_a_map():
  """Sliced W₂ along θ of A x + m to N(m, A Aᵀ) is that of x along Aᵀθ, whose length scales it."""
  z, rest = latents(20, 2)
  root, mean = np.linalg.cholesky(COVARIANCE), np.array([0.3, -1.0])
  target = priors.Normal(mean.astype(np.float32), COVARIANCE.astype(np.float32))
  for direction in rest["directions"]:
    value = distances.sliced_wasserstein(
      z @ root.T.astype(np.float32) + mean.astype(np.float32), target, directions=direction[None]
    )
    back = root.T @ np.asarray(direction)
    length = np.linalg.norm(back)
    back = jnp.asarray(back / length, jnp.float32)[None]
    expected = length**2 * distances.sliced_wasserstein(z, directions=back)
    assert value == pytest.approx(float(expected), rel=1e-5)


def test_normal_with_covariance_one_is_the_standard_normal():
  z, _ = latents(9, 3)
  for covariance in (1.0, np.ones(3, np.float32)):
    target = priors.Normal(np.zeros(3, np.float32), covariance)
    value = distances.energy_distance(z, target)
    assert value == pytest.approx(float(distances.energy_distance(z)), abs=4e-6)
