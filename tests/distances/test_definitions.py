"""Constants of the distances, from published formulas and from integrals by SciPy.

The formulas are those of the papers, constants included, in float64, with gradients by JAX.
test_peers.py and test_torch_peers.py compare with other libraries.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, special, stats
from scipy.optimize import linear_sum_assignment

from aejax import distances

# Sums of a few thousand float64 terms of order one.
EXACT = dict(rtol=1e-11, atol=1e-12)
# The tolerance of adaptive quadrature times the number of pieces.
QUADRATURE = dict(rtol=1e-8, atol=1e-9)


@pytest.fixture(autouse=True)
def _float64():
  with jax.enable_x64(True):
    yield


def data(n=24, m=24, dim=3, num=4):
  """Returns latents, samples and directions near N(0, I), where every term counts."""
  generator = np.random.default_rng(0)
  z = 0.8 * generator.standard_normal((n, dim)) + 0.3
  y = generator.standard_normal((m, dim))
  directions = generator.standard_normal((num, dim))
  return map(jnp.asarray, (z, y, directions / np.linalg.norm(directions, axis=1, keepdims=True)))


def agree(ours, formula, z, factor=1.0, **tolerance):
  """Asserts that `formula` is `factor` times `ours`, in value and gradient."""
  both = (jax.jit(jax.value_and_grad(f))(z) for f in (ours, formula))
  (value, gradient), (expected, slope) = both
  np.testing.assert_allclose(factor * value, expected, **(tolerance or EXACT))
  np.testing.assert_allclose(factor * gradient, slope, **(tolerance or EXACT))


def squared_distances(x, y):
  return jnp.sum((x[:, None] - y) ** 2, -1)


# --- Published formulas ---


@pytest.mark.parametrize("dim", [1, 2, 3, 8, 64])
def test_cramer_wold_equals_published_code(dim):
  """Uses normal densities in one dimension, Bessel's I₀ in two, and the asymptotic φ in more.

  Only the formula in one dimension has the factor 1/(2√π) of the definition.
  """
  z, *_ = data(dim=dim)
  n, gamma = len(z), (4 / (3 * len(z))) ** 0.4

  def density(x, variance):
    return jnp.exp(-(x**2) / (2 * variance)) / jnp.sqrt(2 * math.pi * variance)

  def in_one(z):
    of_latents = density(z - z.T, 2 * gamma).mean()
    return of_latents + density(0, 2 + 2 * gamma) - 2 * density(z, 1 + 2 * gamma).mean()

  def phi(s):
    if dim == 2:
      return jnp.exp(-s / 2) * jax.scipy.special.i0(s / 2)
    return (1 + 4 * s / (2 * dim - 3)) ** -0.5

  def in_more(z):
    pairs = squared_distances(z, z)
    of_latents = phi(pairs / (4 * gamma)).sum() / (n**2 * math.sqrt(gamma))
    to_prior = phi(jnp.sum(z**2, 1) / (2 + 4 * gamma)).mean() / math.sqrt(gamma + 0.5)
    return of_latents + 1 / math.sqrt(1 + gamma) - 2 * to_prior

  def ours(z):
    return distances.cramer_wold(z, approximate=dim > 2)

  if dim == 1:
    agree(ours, in_one, z)
  else:
    agree(ours, in_more, z, 2 * math.sqrt(math.pi))


def test_mmd_equals_wae_code():
  z, y, _ = data()
  n, dim = z.shape

  def formula(z):
    total = 0
    for scale in (0.1, 0.2, 0.5, 1, 2, 5, 10):
      c = 2 * dim * scale
      within = [(c / (c + squared_distances(x, x))).sum() - n for x in (z, y)]
      total += sum(within) / (n * (n - 1)) - 2 * (c / (c + squared_distances(z, y))).mean()
    return total

  agree(lambda z: distances.mmd(z, y), formula, z)


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_mmd_gaussian_equals_bhep(beta):
  """The statistic of Henze & Wagner, divided by n, is the MMD to N(0, I) of a Gaussian kernel."""
  z, *_ = data()

  def formula(z):
    of_latents = jnp.exp(-(beta**2) / 2 * squared_distances(z, z)).mean()
    exponents = -(beta**2) / (2 * (1 + beta**2)) * jnp.sum(z**2, 1)
    to_prior = (1 + beta**2) ** -1.5 * jnp.exp(exponents).mean()
    return of_latents - 2 * to_prior + (1 + 2 * beta**2) ** -1.5

  kernel = distances.gaussian(1 / beta)
  agree(lambda z: distances.mmd(z, kernel=kernel, unbiased=False), formula, z)


def test_sliced_wasserstein_equals_swae_code():
  z, y, directions = data()

  def formula(z):
    return ((jnp.sort(directions @ z.T) - jnp.sort(directions @ y.T)) ** 2).mean()

  agree(lambda z: distances.sliced_wasserstein(z, y, directions=directions), formula, z)


def lejepa(z, directions, t_max, num_points):
  """Returns twice the trapezoidal rule on [0, t_max], times n."""
  t = jnp.linspace(0, t_max, num_points)
  angles = (z @ directions.T)[..., None] * t
  real, imaginary = jnp.cos(angles).mean(0) - jnp.exp(-(t**2) / 2), jnp.sin(angles).mean(0)
  integrand = (real**2 + imaginary**2) * jnp.exp(-(t**2) / 2)
  return 2 * len(z) * jnp.trapezoid(integrand, t).mean()


def test_epps_pulley_equals_lejepa_code():
  z, _, directions = data()

  def ours(z):
    return distances.epps_pulley(z, directions=directions)

  # `epps_pulley` stops where the weight is 5e-9, and its nodes alias by as much, in n terms.
  close = dict(rtol=0, atol=24 * 1e-8)
  agree(ours, lambda z: lejepa(z, directions, 9, 300), z, **close)
  # The 17 published points end at t = 3. Two errors remain: the rest of the integral, computed
  # here, and the error of the rule at its end, to first order h²/12 of the slope there, twice. The
  # integrand f decays like its weight, so f′(3) ≈ −3 f(3) and the rest is 2 f(3) / 3. The tolerance
  # is twice the first order, to cover higher orders.
  rest = lejepa(z, directions, 9, 1801) - lejepa(z, directions, 3, 601)
  first_order = (3 / 16) ** 2 / 6 * 3 * (3 / 2) * rest
  published = lejepa(z, directions, 3, 17)
  np.testing.assert_allclose(ours(z), published + rest, rtol=0, atol=2 * first_order)


def test_sigreg_equals_lejepa_over_all_directions():
  z, *_ = data(dim=2)
  # In the plane, equally spaced directions integrate over the circle to machine precision.
  angles = jnp.arange(100) * math.pi / 100
  directions = jnp.stack([jnp.cos(angles), jnp.sin(angles)], 1)
  agree(distances.sigreg, lambda z: lejepa(z, directions, 9, 300), z)


@pytest.mark.parametrize("unbiased", [True, False])
def test_kernel_stein_equals_published_formula(unbiased):
  z, *_ = data()

  def kernel(x, y):
    return sum(6 * s / (6 * s + jnp.sum((x - y) ** 2)) for s in (0.5, 2.0))

  def pair(x, y):
    by_x, by_y = jax.grad(kernel, 0), jax.grad(kernel, 1)
    trace = jnp.trace(jax.jacfwd(by_x, 1)(x, y))
    return x @ y * kernel(x, y) - x @ by_y(x, y) - y @ by_x(x, y) + trace

  def formula(z):
    pairs = jax.vmap(jax.vmap(pair, (None, 0)), (0, None))(z, z)
    return (pairs.sum() - jnp.trace(pairs)) / (24 * 23) if unbiased else pairs.mean()

  imq = distances.imq((0.5, 2.0))
  agree(lambda z: distances.kernel_stein(z, kernel=imq, unbiased=unbiased), formula, z)


# --- Definitions, by scipy ---


def wasserstein(p):
  """Returns ∫ (F_n⁻¹(u) − Φ⁻¹(u))² du, one interval after another."""
  n = len(p)
  pieces = [
    integrate.quad(lambda u, x=x: (x - special.ndtri(u)) ** 2, i / n, (i + 1) / n)
    for i, x in enumerate(p)
  ]
  return sum(piece for piece, _ in pieces)


def anderson_darling(p):
  """Returns n ∫ (F_n − u)² / (u (1 − u)) du, one interval after another."""
  edges = np.concatenate([[0], special.ndtr(p), [1]])
  levels = np.arange(len(p) + 1) / len(p)
  pieces = [
    integrate.quad(lambda u, level=level: (level - u) ** 2 / (u * (1 - u)), *edges[i : i + 2])
    for i, level in enumerate(levels)
  ]
  return len(p) * sum(piece for piece, _ in pieces)


def epps_pulley(p):
  def integrand(t):
    return abs(np.exp(1j * t * p).mean() - np.exp(-(t**2) / 2)) ** 2 * np.exp(-(t**2) / 2)

  return 2 * len(p) * integrate.quad(integrand, 0, 12, limit=200)[0]


STATISTICS = {
  "sliced_wasserstein": wasserstein,
  "anderson_darling": anderson_darling,
  "epps_pulley": epps_pulley,
  "cramer_von_mises": lambda p: stats.cramervonmises(p, "norm").statistic,
  "kolmogorov_smirnov": lambda p: stats.kstest(p, "norm").statistic,
}


@pytest.mark.parametrize("name", STATISTICS)
def test_statistic_equals_scipy_on_each_direction(name):
  z, _, directions = data()
  value = getattr(distances, name)(z, directions=directions)
  lines = np.sort(np.asarray(directions @ z.T), axis=1)
  tolerance = dict(rtol=0, atol=24 * 1e-8) if name == "epps_pulley" else QUADRATURE
  np.testing.assert_allclose(value, np.mean([STATISTICS[name](p) for p in lines]), **tolerance)


def test_kl_divergence_equals_scipy_integral():
  mean, log_variance, _ = data(n=4, m=4)

  def nats(mean, log_variance):
    posterior = stats.norm(mean, math.exp(log_variance / 2))
    return posterior.expect(lambda x: posterior.logpdf(x) - stats.norm.logpdf(x))

  expected = np.vectorize(nats)(mean, log_variance).sum(1)
  np.testing.assert_allclose(distances.kl_divergence(mean, log_variance), expected, **QUADRATURE)


def test_sliced_wasserstein_equals_optimal_assignment():
  z, y, directions = data(n=12, m=9)
  # 36 points of equal mass on each side.
  x, y36 = np.repeat(z @ directions.T, 3, axis=0), np.repeat(y @ directions.T, 4, axis=0)
  costs = [(x[:, None, k] - y36[:, k]) ** 2 for k in range(4)]
  expected = np.array([c[linear_sum_assignment(c)].mean() for c in costs])
  value = distances.sliced_wasserstein(z, y, directions=directions)
  np.testing.assert_allclose(value, expected.mean(), **EXACT)
  value = distances.max_sliced_wasserstein(z, y, directions=directions)
  np.testing.assert_allclose(value, expected.max(), **EXACT)


def test_energy_distance_equals_scipy_in_one_dimension():
  z, y, _ = data(m=17, dim=1)
  value = distances.energy_distance(z, y, unbiased=False)
  # SciPy returns the root.
  expected = stats.energy_distance(np.asarray(z)[:, 0], np.asarray(y)[:, 0]) ** 2
  np.testing.assert_allclose(value, expected, **EXACT)


@pytest.mark.parametrize("target", ["normal", "samples"])
def test_cramer_wold_equals_its_definition(target):
  """The definition is the mean over directions of ∫ (f − g)², both smoothed by N(0, γ)."""
  z, y, _ = data(n=9, m=7, dim=2)
  gamma = 0.3
  # The integrands are smooth and vanish beyond ±10, so equal steps converge exponentially, on the
  # line and on the circle.
  t = np.linspace(-10, 10, 161)
  angles = np.arange(40) * math.pi / 40
  directions = np.stack([np.cos(angles), np.sin(angles)])

  def smoothed(x):
    return stats.norm.pdf(t, (np.asarray(x) @ directions)[..., None], math.sqrt(gamma)).mean(0)

  other = smoothed(y) if target == "samples" else stats.norm.pdf(t, 0, math.sqrt(1 + gamma))
  expected = ((smoothed(z) - other) ** 2).sum(-1).mean() * (t[1] - t[0])
  value = distances.cramer_wold(z, y if target == "samples" else None, gamma=gamma)
  np.testing.assert_allclose(value, expected, **EXACT)


@pytest.mark.parametrize("scale", [1.0, 3.0, 0.0])
def test_cramer_wold_default_gamma_is_silvermans_rule(scale):
  """To samples (1.06 σ)² m^(−2/5) with σ² at least 10⁻¹², to N(0, I) (4 / 3n)^(2/5)."""
  z, y, _ = data(n=24, m=17)
  y = scale * y + 1
  gamma = 1.06**2 * max(np.var(np.asarray(y)), 1e-12) * 17 ** (-2 / 5)
  expected = distances.cramer_wold(z, y, gamma=gamma)
  np.testing.assert_allclose(distances.cramer_wold(z, y), expected, **EXACT)
  expected = distances.cramer_wold(z, gamma=(4 / (3 * 24)) ** (2 / 5))
  np.testing.assert_allclose(distances.cramer_wold(z), expected, **EXACT)
