"""Closed forms to N(0, I) against the samples, double sums and definitions that they replace."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import FORMS, function_of, latents
from scipy.spatial.distance import cdist

from aejax import distances, priors

SAMPLED = {
  "mmd-imq": lambda z, y: distances.mmd(z, y),
  "mmd-gaussian": lambda z, y: distances.mmd(z, y, kernel=distances.gaussian(1.5)),
  "energy": lambda z, y: distances.energy_distance(z, y),
  "cramer_wold": lambda z, y: distances.cramer_wold(z, y, gamma=0.3, unbiased=True),
}
CLOSED = {
  "mmd-imq": lambda z: distances.mmd(z),
  "mmd-gaussian": lambda z: distances.mmd(z, kernel=distances.gaussian(1.5)),
  "energy": lambda z: distances.energy_distance(z),
  "cramer_wold": lambda z: distances.cramer_wold(z, gamma=0.3, unbiased=True),
}


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("dim", [1, 8])
def test_closed_form_equals_expectation_of_sampled_form(name, dim):
  z, _ = latents(20, dim)
  draws = jax.random.normal(jax.random.key(0), (400, 60, dim))
  sampled = jax.vmap(SAMPLED[name], (None, 0))(z, draws)
  standard_error = float(jnp.std(sampled)) / 400**0.5
  assert abs(float(jnp.mean(sampled) - CLOSED[name](z))) < 4 * standard_error
  # A large standard error would let any value pass.
  assert standard_error < 0.05


def test_sliced_wasserstein_closed_form_is_the_limit_of_many_samples():
  z, rest = latents(20, 3)
  y = jax.random.normal(jax.random.key(1), (200_000, 3))
  sampled = distances.sliced_wasserstein(z, y, directions=rest["directions"])
  # The error of W₂² from m draws is O(1/√m): their variance has a relative error of √(2/m) = 3e-3.
  assert sampled == pytest.approx(
    float(distances.sliced_wasserstein(z, directions=rest["directions"])), abs=0.015
  )


def test_mixture_with_one_component_equals_standard_normal():
  z, _ = latents(9, 4)
  one = priors.GaussianMixture(jnp.ones(1), jnp.zeros((1, 4)), jnp.ones(1))
  for function in (
    lambda target: distances.cramer_wold(z, target),
    lambda target: distances.mmd(z, target, kernel=distances.gaussian(2.0)),
  ):
    assert function(one) == pytest.approx(float(function(None)), abs=1e-6)
    assert function(priors.StandardNormal(4)) == function(None)


def test_mixture_closed_form_equals_expectation_over_its_samples():
  z, _ = latents(20, 2)
  mixture = priors.GaussianMixture(
    jnp.array([1.0, 3.0]), jnp.array([[0.0, 1.0], [2.0, -1.0]]), jnp.array([0.3, 1.5])
  )
  draws = jax.vmap(lambda key: mixture.sample(key, 60))(jax.random.split(jax.random.key(2), 400))
  for function in (
    lambda z, y: distances.cramer_wold(z, y, gamma=0.3, unbiased=True),
    lambda z, y: distances.mmd(z, y, kernel=distances.gaussian(0.8)),
  ):
    sampled = jax.vmap(function, (None, 0))(z, draws)
    standard_error = float(jnp.std(sampled)) / 20
    assert abs(float(jnp.mean(sampled) - function(z, mixture))) < 4 * standard_error


@pytest.mark.parametrize("form", [f for f in FORMS if f.unbiased], ids=lambda f: f.name)
def test_unbiased_form_averages_to_zero_at_the_prior(form):
  if form.name == "mmd_gaussian-mixture":
    pytest.skip("the target is not N(0, I)")
  z = jax.random.normal(jax.random.key(3), (800, 16, 3))
  samples = jax.random.normal(jax.random.key(4), (800, 16, 3))
  _, rest = latents(16, 3)
  value = function_of(form)
  values = jax.vmap(lambda z, y: value(z, dict(rest, samples=y)))(z, samples)
  assert abs(float(jnp.mean(values))) < 3 * float(jnp.std(values)) / 800**0.5


def test_mmd_and_energy_distance_equal_double_sums():
  """The sums use SciPy's distances in float64."""
  z, rest = latents(7, 3, m=11)
  x, y = np.asarray(z, np.float64), np.asarray(rest["samples"], np.float64)

  def estimate(kernel, unbiased):
    xx, yy, xy = kernel(cdist(x, x)), kernel(cdist(y, y)), kernel(cdist(x, y))
    if unbiased:
      n, m = len(x), len(y)
      xx, yy = xx - np.diag(np.diag(xx)), yy - np.diag(np.diag(yy))
      return xx.sum() / (n * n - n) + yy.sum() / (m * m - m) - 2 * xy.mean()
    return xx.mean() + yy.mean() - 2 * xy.mean()

  def multiquadric(d):
    return sum(6 * s / (6 * s + d**2) for s in (0.1, 0.2, 0.5, 1, 2, 5, 10))

  for unbiased in (True, False):
    assert distances.mmd(z, rest["samples"], unbiased=unbiased) == pytest.approx(
      estimate(multiquadric, unbiased), abs=5e-6
    )
    assert distances.energy_distance(z, rest["samples"], unbiased=unbiased) == pytest.approx(
      estimate(np.negative, unbiased), abs=5e-6
    )


@pytest.mark.parametrize("kernel", [distances.imq((0.5, 2.0)), distances.gaussian(1.2)])
def test_kernel_stein_equals_its_definition(kernel):
  """s(x)·s(y) k + s(x)·∇_y k + s(y)·∇_x k + tr ∇_x ∇_y k, by automatic differentiation."""
  with jax.enable_x64(True):
    z = jnp.asarray(np.random.default_rng(0).standard_normal((5, 3)))

    def k(x, y):
      return kernel(jnp.sum((x - y) ** 2), 3)

    def pair(x, y):
      trace = jnp.trace(jax.jacfwd(jax.grad(k, 1), 0)(x, y))
      return x @ y * k(x, y) - x @ jax.grad(k, 1)(x, y) - y @ jax.grad(k, 0)(x, y) + trace

    pairs = jax.vmap(jax.vmap(pair, (None, 0)), (0, None))(z, z)
    v = float(pairs.mean())
    u = float((pairs.sum() - jnp.trace(pairs)) / 20)
    assert distances.kernel_stein(z, kernel=kernel, unbiased=False) == pytest.approx(v, rel=1e-9)
    assert distances.kernel_stein(z, kernel=kernel) == pytest.approx(u, rel=1e-9)


def test_sigreg_equals_epps_pulley_over_many_directions():
  z, _ = latents(9, 5)
  directions = distances.random_directions(jax.random.key(0), 20_000, 5)
  # With 20,000 directions the standard error is half a percent.
  sliced = distances.epps_pulley(z, directions=directions)
  assert sliced == pytest.approx(float(distances.sigreg(z)), rel=0.03)


class Ring:
  """A prior of a user."""

  dim = 3

  def sample(self, key, n):
    return priors.UniformSphere(3).sample(key, n)


CALLS = {
  "cramer_wold": lambda z, target, _: distances.cramer_wold(z, target),
  "mmd(?: with kernel .*)?": lambda z, target, _: distances.mmd(z, target),
  "energy_distance": lambda z, target, _: distances.energy_distance(z, target),
  "sliced_wasserstein": lambda z, target, directions: distances.sliced_wasserstein(
    z, target, directions=directions
  ),
  "max_sliced_wasserstein": lambda z, target, directions: distances.max_sliced_wasserstein(
    z, target, directions=directions
  ),
}


@pytest.mark.parametrize("name", CALLS)
def test_prior_without_closed_form_asks_for_samples(name):
  """The sentence names the function of the call and says what to pass instead."""
  z, rest = latents(6, 3)
  mixture = priors.GaussianMixture(jnp.ones(1), jnp.zeros((1, 3)), jnp.ones(1))
  for target in (Ring(), mixture, priors.Laplace(3), priors.UniformCube(3)):
    if not isinstance(target, Ring) and "sliced" not in name:
      continue
    sentence = (
      f"^{name} has no closed form for a {type(target).__name__} target: pass samples of it "
      r"instead, target\.sample\(key, num\), or set sample_prior=True in an objective\."
    )
    with pytest.raises(ValueError, match=sentence):
      CALLS[name](z, target, rest["directions"])


def test_cramer_wold_approximate_is_too_large_at_the_prior():
  """At D = 8, n = 128, normal latents have four times their exact distance."""
  z = jax.random.normal(jax.random.key(5), (128, 8))
  ratio = distances.cramer_wold(z, approximate=True) / distances.cramer_wold(z)
  assert 2.5 < ratio < 6
  with pytest.raises(ValueError, match="dimension 2 or more"):
    distances.cramer_wold(z[:, :1], approximate=True)
