"""Priors: their samples, densities, pytrees and errors."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from aejax.priors import (
  GaussianMixture,
  Laplace,
  Normal,
  StandardNormal,
  StudentT,
  UniformBall,
  UniformCube,
  UniformSphere,
)

KEY = jax.random.key(0)
N = 20_000
# The Kolmogorov–Smirnov statistic of N exact draws exceeds 2.23 / sqrt(N) with probability 1e-4.
KS_BOUND = 2.23 / math.sqrt(N)

MIXTURE = GaussianMixture(
  weights=jnp.array([1.0, 3.0]),
  means=jnp.array([[0.0, 1.0, 2.0], [-1.0, 0.0, 0.5]]),
  variances=jnp.array([0.25, 2.0]),
)
MATRIX = np.array([[1.0, 0.4, 0.0], [0.4, 0.5, -0.2], [0.0, -0.2, 2.0]])
PRIORS = [
  StandardNormal(3),
  MIXTURE,
  Normal(np.array([0.0, 1.0, -1.0]), MATRIX),
  Laplace(3, scale=0.7),
  StudentT(3, df=12.0),
  UniformSphere(3, radius=2.0),
  UniformBall(3, radius=2.0),
  UniformCube(3, half_width=0.5),
]
each_prior = pytest.mark.parametrize("prior", PRIORS, ids=lambda p: type(p).__name__)


def _ks(values, cdf):
  return stats.kstest(np.asarray(values, np.float64), cdf).statistic


def _mean_and_variance(prior):
  """Returns mean and variance of each coordinate, in closed form."""
  d = prior.dim
  if isinstance(prior, GaussianMixture):
    p = np.array([0.25, 0.75])
    mean = p @ np.asarray(prior.means)
    second = p @ (np.asarray(prior.means) ** 2 + np.asarray(prior.variances)[:, None])
    return mean, second - mean**2
  if isinstance(prior, Normal):
    return np.asarray(prior.mean), np.diag(prior.covariance)
  variance = {
    StandardNormal: lambda p: 1,
    Laplace: lambda p: 2 * p.scale**2,
    StudentT: lambda p: p.df / (p.df - 2),
    UniformSphere: lambda p: p.radius**2 / d,
    UniformBall: lambda p: p.radius**2 / (d + 2),
    UniformCube: lambda p: p.half_width**2 / 3,
  }[type(prior)](prior)
  return np.zeros(d), np.full(d, variance)


@each_prior
def test_prior_sample_moments(prior):
  z = np.asarray(prior.sample(KEY, N), np.float64)
  assert z.shape == (N, prior.dim)
  mean, variance = _mean_and_variance(prior)
  # 5 standard errors. The variance of a mean is variance / N; the variance of a variance is below
  # (kurtosis − 1) variance² / N, and the kurtosis is at most 6 here.
  np.testing.assert_array_less(np.abs(z.mean(0) - mean), 5 * np.sqrt(variance / N))
  np.testing.assert_array_less(np.abs(z.var(0) - variance), 5 * variance * math.sqrt(5 / N))
  # Coordinates of the symmetric priors are uncorrelated, with standard error 1 / sqrt(N).
  if not isinstance(prior, GaussianMixture | Normal):
    off_diagonal = np.corrcoef(z.T)[np.triu_indices(prior.dim, 1)]
    np.testing.assert_array_less(np.abs(off_diagonal), 5 / math.sqrt(N))


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_uniform_ball_is_uniform_by_volume(dim):
  z = np.asarray(UniformBall(dim, radius=3.0).sample(KEY, N))
  radii = np.linalg.norm(z, axis=1)
  assert radii.max() <= 3.0 * (1 + 1e-6)  # rounding of a norm in float32
  assert _ks(radii, lambda r: np.clip(r / 3, 0, 1) ** dim) < KS_BOUND
  if dim == 2:
    assert _ks(np.arctan2(z[:, 1], z[:, 0]), stats.uniform(-np.pi, 2 * np.pi).cdf) < KS_BOUND


def test_uniform_sphere_is_uniform():
  z = np.asarray(UniformSphere(3, radius=2.0).sample(KEY, N))
  # Rounding is a few units in the last place.
  np.testing.assert_allclose(np.linalg.norm(z, axis=1), 2.0, rtol=1e-6)
  # A coordinate of the sphere in three dimensions is uniform (Archimedes).
  assert _ks(z[:, 1], stats.uniform(-2, 4).cdf) < KS_BOUND
  assert set(np.unique(UniformSphere(1).sample(KEY, 100))) == {-1.0, 1.0}


def test_uniform_cube_is_uniform():
  z = np.asarray(UniformCube(2, half_width=0.5).sample(KEY, N))
  assert np.abs(z).max() <= 0.5
  assert _ks(z[:, 0], stats.uniform(-0.5, 1).cdf) < KS_BOUND


def test_gaussian_mixture_draws_components_by_weight():
  far = GaussianMixture(jnp.array([1.0, 3.0]), jnp.array([[-50.0], [50.0]]), jnp.array([1.0, 4.0]))
  z = np.asarray(far.sample(KEY, N))[:, 0]
  right = z > 0
  assert abs(right.mean() - 0.75) < 5 * math.sqrt(0.75 * 0.25 / N)
  # The smaller part has N / 4 draws, which doubles the bound.
  assert _ks(z[~right], stats.norm(-50, 1).cdf) < 2.1 * KS_BOUND
  assert _ks(z[right], stats.norm(50, 2).cdf) < 2.1 * KS_BOUND


def test_normal_samples_have_its_covariance():
  z = np.asarray(Normal(np.array([0.0, 1.0, -1.0]), MATRIX).sample(KEY, N), np.float64)
  # The variance of a covariance is (variance_i variance_j + covariance²) / N.
  bound = 5 * np.sqrt((np.outer(np.diag(MATRIX), np.diag(MATRIX)) + MATRIX**2) / N)
  np.testing.assert_array_less(np.abs(np.cov(z.T) - MATRIX), bound)


def test_heavy_tailed_samples_have_their_distribution():
  z = np.asarray(Laplace(2, scale=0.5).sample(KEY, N))
  assert _ks(z[:, 0], stats.laplace(scale=0.5).cdf) < KS_BOUND
  for df in (0.5, 3.0):
    z = np.asarray(StudentT(2, df=df).sample(KEY, N))
    assert _ks(z[:, 1], stats.t(df).cdf) < KS_BOUND
    # |z|² / d has the F distribution with d and df degrees of freedom.
    assert _ks((z.astype(np.float64) ** 2).sum(1) / 2, stats.f(2, df).cdf) < KS_BOUND


def test_normal_takes_a_number_a_vector_or_a_matrix(without_beartype):
  z = jax.random.normal(KEY, (5, 3))
  variances = np.array([0.5, 1.0, 2.0])
  for given, matrix in ((0.5, 0.5 * np.eye(3)), (variances, np.diag(variances))):
    short, full = Normal(np.ones(3), given), Normal(np.ones(3), matrix)
    np.testing.assert_allclose(short.log_prob(z), full.log_prob(z), rtol=1e-5)
    np.testing.assert_allclose(short.sample(KEY, 4), full.sample(KEY, 4), rtol=1e-5)
  lists = Normal([0, 1], [[1, 0], [0, 4]])
  assert lists.dim == 2
  assert lists.mean.dtype == jnp.float32


@pytest.mark.parametrize(
  ("mean", "covariance", "sentence"),
  [
    (np.zeros((1, 2)), 1.0, r"mean must have shape \[d\] and .* shapes \[1, 2\] and \[\]"),
    (np.zeros(0), 1.0, r"shapes \[0\] and \[\]"),
    (np.zeros(2), np.ones(3), r"shapes \[2\] and \[3\]"),
    (np.zeros(2), np.ones((2, 3)), r"shapes \[2\] and \[2, 3\]"),
    (np.array([0, np.nan]), 1.0, "mean must be finite, but is not"),
    (np.zeros(2), np.inf, "covariance must be finite, but is not"),
    (np.zeros(2), np.array([[1, 0.5], [0, 1]]), "covariance must be symmetric, but is not"),
    (np.zeros(2), np.array([[1.0, 2], [2, 1]]), "positive definite, but has the eigenvalue -1"),
    (np.zeros(2), np.array([1.0, 0]), "positive definite, but has the variance 0"),
    (np.zeros(2), np.eye(2) * 1j, "covariance must be real, but has dtype complex"),
    (np.zeros(2), True, "covariance must be an array of numbers, but is a bool"),
  ],
)
def test_normal_rejects_wrong_parameters(mean, covariance, sentence, without_beartype):
  with pytest.raises(ValueError, match=sentence):
    Normal(mean, covariance)


def test_log_prob_equals_scipy():
  z = jax.random.normal(KEY, (50, 3))
  # 1e-5: float32 sums of a dozen terms of size 10.
  expected = stats.multivariate_normal(np.zeros(3)).logpdf(z)
  np.testing.assert_allclose(StandardNormal(3).log_prob(z), expected, rtol=1e-5)

  parts = [
    math.log(p) + stats.multivariate_normal(np.asarray(m), float(v) * np.eye(3)).logpdf(z)
    for p, m, v in zip([0.25, 0.75], MIXTURE.means, MIXTURE.variances, strict=True)
  ]
  np.testing.assert_allclose(MIXTURE.log_prob(z), special.logsumexp(parts, axis=0), rtol=1e-5)

  normal = stats.multivariate_normal([0.0, 1.0, -1.0], MATRIX)
  np.testing.assert_allclose(PRIORS[2].log_prob(z), normal.logpdf(z), rtol=1e-5)
  expected = stats.laplace(scale=0.7).logpdf(z).sum(1)
  np.testing.assert_allclose(Laplace(3, scale=0.7).log_prob(z), expected, rtol=1e-5)
  expected = stats.multivariate_t(np.zeros(3), np.eye(3), df=4).logpdf(z)
  np.testing.assert_allclose(StudentT(3, df=4.0).log_prob(z), expected, rtol=1e-5)

  volume = 4 / 3 * math.pi * 2.0**3
  inside = np.linalg.norm(z, axis=1) <= 2
  assert inside.any()
  assert not inside.all()
  np.testing.assert_allclose(
    UniformBall(3, radius=2.0).log_prob(z), np.where(inside, -math.log(volume), -np.inf), rtol=1e-5
  )
  inside = np.abs(z).max(1) <= 1.5
  np.testing.assert_allclose(
    UniformCube(3, half_width=1.5).log_prob(z),
    np.where(inside, -3 * math.log(3), -np.inf),
    rtol=1e-5,
  )


@each_prior
def test_log_prob_takes_a_row_and_any_batch(prior):
  if not hasattr(prior, "log_prob"):
    assert isinstance(prior, UniformSphere)  # has no density
    return
  z = jnp.linspace(-0.4, 0.4, 12).reshape(2, 2, 3)
  # The order of the sum may differ between a row and a batch.
  np.testing.assert_allclose(prior.log_prob(z)[1, 0], prior.log_prob(z[1, 0]), rtol=1e-6)
  with pytest.raises(ValueError, match="z has dimension 2, but the prior has dimension 3"):
    prior.log_prob(z[..., :2])


@each_prior
def test_prior_is_an_argument_of_jit(prior):
  traces = []

  @jax.jit
  def draw(prior, key):
    traces.append(prior)
    return prior.sample(key, 5)

  # XLA fuses operations that eager mode rounds one by one.
  np.testing.assert_allclose(draw(prior, KEY), prior.sample(KEY, 5), rtol=1e-5, atol=1e-6)
  draw(dataclasses.replace(prior), jax.random.key(1))
  assert len(traces) == 1
  assert jax.jit(lambda p: p)(prior).dim == prior.dim


def test_priors_compare_and_trace_by_static_fields():
  assert UniformBall(3) == UniformBall(3, radius=1.0)
  assert hash(UniformBall(3)) == hash(UniformBall(3, radius=1.0))
  assert UniformBall(3) != UniformBall(3, radius=2.0)
  assert UniformBall(3) != UniformSphere(3)
  draw = jax.jit(lambda prior: prior.sample(KEY, 4))
  assert jnp.linalg.norm(draw(UniformSphere(3, 2.0))[0]) > jnp.linalg.norm(
    draw(UniformSphere(3))[0]
  )


def test_gaussian_mixture_under_vmap_grad_and_tree_map():
  scales = jnp.array([1.0, 2.0, 3.0])
  batch = jax.vmap(lambda s: GaussianMixture(MIXTURE.weights, s * MIXTURE.means, jnp.ones(2)))(
    scales
  )
  assert batch.means.shape == (3, 2, 3)
  z = jnp.ones(3)
  values = jax.vmap(lambda mixture: mixture.log_prob(z))(batch)
  single = GaussianMixture(MIXTURE.weights, 2 * MIXTURE.means, jnp.ones(2)).log_prob(z)
  np.testing.assert_allclose(values[1], single, rtol=1e-6)

  slope = jax.grad(lambda mixture: -mixture.log_prob(z))(MIXTURE)
  assert slope.means.shape == (2, 3)  # derivatives are not checked as weights and variances
  assert jax.tree.map(lambda leaf: leaf.shape, MIXTURE).means == (2, 3)
  negated = jax.tree.map(jnp.negative, MIXTURE)
  assert float(negated.variances[1]) == -2.0
  paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(MIXTURE)]
  assert paths == [".weights", ".means", ".variances"]


def test_gaussian_mixture_of_lists(without_beartype):
  lists = GaussianMixture([1, 3], [[0, 1, 2], [-1, 0, 0.5]], np.array([0.25, 2.0]))
  np.testing.assert_array_equal(lists.sample(KEY, 7), MIXTURE.sample(KEY, 7))
  jax.jit(lambda key: lists.sample(key, 7))(KEY)  # a traced draw cannot index a NumPy array


def test_gaussian_mixture_converts_numpy_arrays():
  arrays = (np.asarray(getattr(MIXTURE, name)) for name in ("weights", "means", "variances"))
  mixture = GaussianMixture(*arrays)
  assert isinstance(mixture.weights, jax.Array)
  np.testing.assert_array_equal(mixture.sample(KEY, 7), MIXTURE.sample(KEY, 7))


@each_prior
def test_prior_takes_numpy_arrays_and_keys_of_the_old_kind(prior):
  z = prior.sample(jax.random.PRNGKey(0), 4)
  np.testing.assert_array_equal(z, prior.sample(jax.random.key(0), 4))
  if hasattr(prior, "log_prob"):
    np.testing.assert_allclose(prior.log_prob(np.asarray(z)), prior.log_prob(z), rtol=1e-6)


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_prior_rejects_sizes_out_of_range(value, without_beartype):
  for make, name in (
    (lambda: UniformSphere(3, radius=value), "radius"),
    (lambda: UniformBall(3, radius=value), "radius"),
    (lambda: UniformCube(3, half_width=value), "half_width"),
    (lambda: Laplace(3, scale=value), "scale"),
    (lambda: StudentT(3, df=value), "df"),
    *((lambda cls=cls: cls(value), "dim") for cls in (StandardNormal, UniformBall)),
  ):
    expected = "a whole number from 1 up" if name == "dim" else "positive and finite"
    with pytest.raises(ValueError, match=f"{name} must be {expected}, but is {value}"):
      make()


@pytest.mark.parametrize(
  ("weights", "means", "variances", "sentence"),
  [
    ([1.0], [0.0], [1.0], r"have shapes \[k\], \[k, d\] and \[k\], but have \[1\], \[1\], \[1\]"),
    ([1.0, 1.0], [[0.0]], [1.0], r"but have \[2\], \[1, 1\], \[1\]"),
    ([1.0], [[0.0]], [1.0, 1.0], r"but have \[1\], \[1, 1\], \[2\]"),
    ([], np.zeros((0, 2)), [], r"but have \[0\], \[0, 2\], \[0\]"),
    ([1.0, -0.5], [[0.0], [0.0]], [1.0, 1.0], r"weights must be .* not negative, but one is -0\.5"),
    ([1.0, 1.0], [[0.0], [0.0]], [1.0, 0.0], r"variances must be .* positive, but one is 0\.0"),
    ([1.0], [[0.0]], [math.nan], "variances must be finite and positive, but one is nan"),
  ],
)
def test_gaussian_mixture_rejects_wrong_parameters(
  weights, means, variances, sentence, without_beartype
):
  with pytest.raises(ValueError, match=sentence):
    GaussianMixture(np.array(weights), np.array(means), np.array(variances))
