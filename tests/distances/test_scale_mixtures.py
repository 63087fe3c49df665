"""Laplace, Matérn and rational quadratic kernels, weights of kernels, and bandwidths from data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import latents
from scipy import special

from aejax import distances, priors
from aejax.distances._kernel_algebra import NormalKernel

KERNELS = {
  "laplace": distances.laplace(1.3),
  "narrow laplace": distances.laplace(0.05),
  "matern 1.5": distances.matern(1.5, 0.7),
  "matern 2.5": distances.matern(2.5, 2.0),
  "heavy tail": distances.rational_quadratic(0.3, 1.0),
  "nearly gaussian": distances.rational_quadratic(40.0, 3.0),
}


def matern(nu, bandwidth, r):
  u = np.sqrt(2 * nu) * np.maximum(r, 1e-9) / bandwidth
  return 2 ** (1 - nu) / special.gamma(nu) * u**nu * special.kv(nu, u)


def test_kernels_equal_their_definitions():
  d = np.concatenate([[0.0], np.geomspace(1e-6, 1e3, 60)])
  with jax.enable_x64(True):
    for nu in (0.5, 1.5, 2.5):
      kernel = distances.laplace(1.3) if nu == 0.5 else distances.matern(nu, 1.3)
      np.testing.assert_allclose(kernel(jnp.asarray(d), 3), matern(nu, 1.3, np.sqrt(d)), atol=1e-8)
    values = distances.rational_quadratic(0.7, 2.0)(jnp.asarray(d), 3)
    np.testing.assert_allclose(values, (1 + d / (1.4 * 4)) ** -0.7, rtol=1e-12)
    np.testing.assert_allclose(
      distances.rational_quadratic(1.0, np.sqrt(3 * 0.4))(jnp.asarray(d), 3),
      distances.imq((0.4,))(jnp.asarray(d), 3),
      rtol=1e-12,
    )
    # The kink of |x − y| has no slope; the others have that of their series.
    slopes = [jax.grad(lambda d, k=k: k(d, 3))(0.0) for k in KERNELS.values()]
    expected = [0, 0, -3 / 2 / 0.7**2, -5 / 6 / 2.0**2, -1 / 2, -1 / 2 / 3.0**2]
    np.testing.assert_allclose(slopes, expected, rtol=1e-12)
    curvature = jax.grad(jax.grad(lambda d: KERNELS["matern 2.5"](d, 3)))(0.0)
    np.testing.assert_allclose(curvature, 25 / 12 / 2.0**4, rtol=1e-12)


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_are_the_sums_of_their_nodes(name):
  # The nodes give the expectations under all priors. Below 1e-12 of the largest distance even the
  # narrowest Gaussian kernel of the nodes is flat, which no prior notices.
  d = np.concatenate([[0.0], np.geomspace(1e-4, 1e4, 400)])
  for double, bound in ((False, 1.5e-7), (True, 1e-13)):
    a, weights, constant = KERNELS[name].nodes(3, double)
    values = np.exp(-d[:, None] * a / 2) @ weights + constant
    with jax.enable_x64(True):
      np.testing.assert_allclose(values, KERNELS[name](jnp.asarray(d), 3), atol=bound, rtol=0)


@pytest.mark.parametrize("name", KERNELS)
def test_expectations_equal_integrals_over_a_chi(name):
  kernel = KERNELS[name]
  r = np.exp(np.arange(-25, 4, 0.003))
  with jax.enable_x64(True):
    values = np.asarray(kernel(jnp.asarray(r * r), 3))
    twice = np.asarray(kernel(jnp.asarray(2 * r * r), 3))
    # |y| of three normal coordinates has the density r² exp(−r²/2); dr = r d log r.
    density = r**3 * np.exp(-r * r / 2)
    density /= density.sum()
    np.testing.assert_allclose(kernel.normal_mean(jnp.zeros(()), 3), density @ values, atol=1e-12)
    np.testing.assert_allclose(kernel.normal_pair_mean(3), density @ twice, atol=1e-12)
  found = kernel.normal_mean(jnp.zeros((), jnp.float32), 3)
  np.testing.assert_allclose(found, density @ values, atol=1.5e-7)


TARGETS = [
  priors.GaussianMixture(
    jnp.array([0.3, 0.7]), jnp.array([[1.0, 0.0, -1.0], [0.0, 0.5, 1.0]]), jnp.array([0.5, 1.5])
  ),
  priors.UniformSphere(3, radius=2.0),
  pytest.param(
    priors.Normal(jnp.zeros(3), jnp.diag(jnp.array([0.5, 1.0, 2.0]))), marks=pytest.mark.slow
  ),
  pytest.param(priors.Laplace(3, scale=0.8), marks=pytest.mark.slow),
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: type(target).__name__)
def test_mmd_of_sums_and_weights_to_priors_is_that_to_many_samples(target):
  z, _ = latents(40, 3)
  kernel = 2.0 * (distances.laplace(1.3) + distances.rational_quadratic(0.7, 1.5))
  samples = target.sample(jax.random.key(0), 4000)
  exact, sampled = (distances.mmd(z, y, kernel=kernel) for y in (target, samples))
  # k ≤ 4 varies by less than 1 between samples: 4000 of them leave an error of 2 / √4000.
  np.testing.assert_allclose(exact, sampled, atol=0.03)
  parts = [distances.mmd(z, target, kernel=k) for k in kernel.kernel.terms]
  np.testing.assert_allclose(exact, 2 * sum(parts), atol=2e-5)


def test_weights_of_kernels(without_beartype):
  kernel = 2.0 * distances.gaussian(1.0) + distances.imq()
  assert isinstance(kernel, NormalKernel)
  assert kernel == np.float64(2) * distances.gaussian(1.0) + distances.imq()
  assert str(3 * (distances.gaussian(1.0) + distances.laplace(1.0))).startswith("3 * (Gaussian")
  z, _ = latents(6, 3)
  parts = 2 * distances.mmd(z, kernel=distances.gaussian(1.0)) + distances.mmd(z)
  np.testing.assert_allclose(distances.mmd(z, kernel=kernel), parts, atol=5e-6)
  for bad in (0, -1.0, "two", np.inf):
    with pytest.raises(ValueError, match="weight of a kernel must be positive"):
      bad * distances.imq()


def test_kernels_that_do_not_fit_are_refused(without_beartype):
  z, _ = latents(6, 3)
  with pytest.raises(ValueError, match="kink at x = y"):
    distances.kernel_stein(z, kernel=distances.imq() + 2 * distances.laplace(1.0))
  for kernel in (distances.laplace(1.0), distances.imq() + 2 * distances.matern(2.5, 1.0)):
    with pytest.raises(ValueError, match="to a UniformBall has no closed form for kernels that"):
      distances.mmd(z, priors.UniformBall(3), kernel=kernel)
  for maker in (distances.matern, distances.laplace, distances.rational_quadratic):
    with pytest.raises(ValueError, match="kernel must be a kernel such as"):
      distances.mmd(z, kernel=maker)
  with pytest.raises(ValueError, match="cannot be traced: divide latents"):
    jax.jit(lambda b: distances.mmd(z, kernel=distances.gaussian(b)))(1.0)


def test_kernel_stein_of_matern_is_that_of_its_definition():
  with jax.enable_x64(True):
    z, _ = latents(5, 3, dtype=np.float64)
    kernel = distances.matern(1.5, 2.0)

    def k(x, y):
      return kernel(jnp.sum((x - y) ** 2), 3)

    def u(x, y):
      of_x, of_y = jax.grad(k, (0, 1))(x, y)
      mixed = jnp.trace(jax.jacfwd(jax.grad(k, 0), 1)(x, y))
      return x @ y * k(x, y) - x @ of_y - y @ of_x + mixed

    values = jax.jit(jax.vmap(jax.vmap(u, (None, 0)), (0, None)))(z, z)
    found = distances.kernel_stein(z, kernel=kernel)
    np.testing.assert_allclose(found, values[~np.eye(5, dtype=bool)].mean(), rtol=1e-10)
    # On the diagonal, |x|² k(0) − 2 d k′(0).
    diagonal = jnp.sum(z * z, 1) + 3 * 3 / 2.0**2
    biased = distances.kernel_stein(z, kernel=kernel, unbiased=False)
    np.testing.assert_allclose(biased, found * 4 / 5 + diagonal.mean() / 5, rtol=1e-10)


def test_bandwidths_are_learned_by_dividing():
  """The MMD of z / b with bandwidth 1 is that of bandwidth b, and has a gradient for b."""
  z, rest = latents(9, 3)
  samples = rest["samples"]

  def of_bandwidth(b):
    return distances.mmd(z / b, samples / b, kernel=distances.gaussian(1.0))

  value, slope = jax.jit(jax.value_and_grad(of_bandwidth))(1.3)
  exact = [float(distances.mmd(z, samples, kernel=distances.gaussian(1.3 + h))) for h in (0, 0.01)]
  np.testing.assert_allclose(value, exact[0], atol=1e-6)
  np.testing.assert_allclose(slope, (exact[1] - exact[0]) / 0.01, rtol=0.05)
  to_normal = distances.mmd(
    z / 1.3, priors.Normal(jnp.zeros(3), 1 / jnp.float32(1.3) ** 2), kernel=distances.gaussian(1.0)
  )
  expected = distances.mmd(z, kernel=distances.gaussian(1.3))
  np.testing.assert_allclose(to_normal, expected, atol=1e-6)


def test_median_bandwidth():
  z, _ = latents(31, 3)
  d = np.linalg.norm(z[:, None] - z, axis=-1)[np.triu_indices(31, 1)]
  np.testing.assert_allclose(distances.median_bandwidth(z), np.median(d), rtol=1e-6)
  assert np.isfinite(jax.grad(distances.median_bandwidth)(jnp.zeros((4, 2)))).all()
  many = jax.random.normal(jax.random.key(0), (3000, 8))
  # The median of a χ² with 8 degrees of freedom is 7.344. 129,000 pairs leave an error of 1 %.
  np.testing.assert_allclose(distances.median_bandwidth(many), np.sqrt(2 * 7.344), rtol=0.02)
