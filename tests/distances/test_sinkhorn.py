"""The Sinkhorn divergence against exact transport, a float64 fixed point, and its limits."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jit_o0 import jit_o0
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from transport import divergence, float32, points, transport, with_gradients

from aejax import AejaxWarning
from aejax.distances import sinkhorn_divergence, sinkhorn_divergence_and_residual


@pytest.mark.parametrize("epsilon", [1.0, 5.0, 50.0])
@pytest.mark.parametrize(
  "shape", [(12, 9, 3), pytest.param((4, 9, 1), marks=pytest.mark.slow)], ids=str
)
def test_sinkhorn_divergence_equals_float64_fixed_point(shape, epsilon):
  n, m, dim = shape
  x, y = points(n, dim), points(m, dim, seed=1, shift=0.5)
  within = transport(x, x, epsilon), transport(y, y, epsilon)
  expected = transport(x, y, epsilon) - sum(within) / 2
  # Marginals within 1e-4 leave an error of second order, ε · 1e-8 · n. The rest is float32: a few
  # rounding errors of costs of about 2 D + 1.
  value = divergence(*float32(x, y), epsilon)
  np.testing.assert_allclose(value, expected, rtol=2e-6, atol=1e-6 * (2 * dim + 1))
  with jax.enable_x64(True):
    value = divergence(jnp.asarray(x), jnp.asarray(y), epsilon)
    assert value.dtype == jnp.float64
    # Marginals are within 1e-8 here, so ε n is multiplied by 1e-16.
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12 * (2 * dim + 1))


@pytest.mark.parametrize("compiled", [jax.jit, pytest.param(jit_o0, marks=pytest.mark.slow)])
def test_sinkhorn_divergence_of_far_latents_does_not_overflow(compiled):
  """Scores are 10⁹ over ε, and compilers round them differently."""
  scale = 3e4
  x, y = scale * points(12), points(12, seed=1)
  costs = cdist(x, y, "sqeuclidean")
  matched = y[linear_sum_assignment(costs)[1]]
  # The compiler turns a division by a constant into a multiplication in some places only.
  function = compiled(jax.value_and_grad(functools.partial(sinkhorn_divergence, epsilon=0.3)))
  value, gradient = function(*float32(x, y))
  # From this distance the target is a point, up to 1/scale.
  np.testing.assert_allclose(value, np.square(x - matched).sum(1).mean(), rtol=2 / scale)
  np.testing.assert_allclose(gradient, (x - matched) / 6, atol=4 / 6)


@pytest.mark.parametrize(("scale", "epsilon"), [(50, 0.01), (100, 0.01), (53, 0.1)])
def test_sinkhorn_divergence_is_right_where_costs_are_far_above_epsilon(scale, epsilon):
  """Without a falling ε, 2000 iterations leave errors of up to one per cent here."""
  x, y = scale * points(12), points(12, seed=1)
  costs = cdist(x, y, "sqeuclidean")
  exact = costs[linear_sum_assignment(costs)].mean()
  value, _ = with_gradients(*float32(x, y), epsilon)
  # OT_ε is within ε log n of OT_0. The rest is float32.
  np.testing.assert_allclose(value, exact, rtol=2e-6, atol=epsilon * np.log(12))


def test_residual_says_whether_iterations_converge():
  x, y = float32(points(12), points(9, seed=1, shift=0.4))

  @functools.partial(jax.jit, static_argnames="most")
  def residual(most, epsilon):
    value, error = sinkhorn_divergence_and_residual(x, y, epsilon=epsilon, max_iterations=most)
    return value, error

  value, error = residual(2000, 0.7)
  assert 0 <= error < 1e-4
  np.testing.assert_allclose(value, divergence(x, y, 0.7), rtol=1e-6)
  assert residual(3, 0.02)[1] > 0.01
  # Rounding errors of costs exceed ε.
  assert not residual(2000, 1e-7)[1] < 1e-4


def test_sinkhorn_divergence_warns_if_it_does_not_converge():
  x, y = float32(points(12), points(9, seed=1, shift=0.4))
  with pytest.warns(AejaxWarning, match=r"not converge within 3 iterations: .* off by 0\.\d+\."):
    sinkhorn_divergence(x, y, epsilon=0.02, max_iterations=3)


def test_sinkhorn_divergence_refuses_matrices_that_do_not_fit():
  z = jax.ShapeDtypeStruct((2_000_000, 2), jnp.float32)
  with pytest.raises(ValueError, match=r"number of pairs must be less, but is 12,000,000,000,000"):
    jax.eval_shape(lambda z: sinkhorn_divergence(z, z, epsilon=1.0), z)


def test_sinkhorn_divergence_tends_to_squared_wasserstein():
  x, y = points(12), points(12, seed=1, shift=1.0)
  costs = cdist(x, y, "sqeuclidean")
  exact = costs[linear_sum_assignment(costs)].mean()
  for epsilon in (0.1, 0.01):
    # KL(coupling ‖ product) is between 0 and log n, so OT_ε is within ε log n of OT_0.
    value = divergence(*float32(x, y), epsilon)
    np.testing.assert_allclose(value, exact, rtol=1e-5, atol=epsilon * np.log(12))


@pytest.mark.parametrize("epsilon", [1e3, 1e6])
def test_sinkhorn_divergence_tends_to_squared_distance_of_means(epsilon):
  x, y = points(12), points(9, seed=1, shift=0.1)
  exact = np.sum((x.mean(0) - y.mean(0)) ** 2)
  # The next term of the expansion is a variance of costs over ε. The rest is float32 rounding of
  # costs of about 6.
  variance = cdist(x, y, "sqeuclidean").var()
  value = divergence(*float32(x, y), epsilon)
  np.testing.assert_allclose(value, exact, rtol=1e-6, atol=variance / epsilon + 6e-6)


@pytest.mark.parametrize("epsilon", [0.02, 1.0, 1e4])
def test_sinkhorn_divergence_is_zero_for_equal_samples(epsilon):
  (x,) = float32(points(12))
  y = x[np.random.default_rng(2).permutation(12)]
  # Rounding errors of costs of about 2 D.
  value, (gradient, *_) = with_gradients(x, y, epsilon)
  assert abs(value) < 6e-6
  # Each of two couplings misplaces a mass of 1e-4 over a distance of about √(2D).
  np.testing.assert_allclose(gradient, 0, atol=2 * 2.5 * 1e-4)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 10.0])
def test_sinkhorn_divergence_is_symmetric_and_positive(epsilon):
  for seed in range(4):
    # For draws of the same distribution the divergence is smallest.
    x, y = float32(points(12, seed=seed), points(9, seed=seed + 100))
    value = divergence(x, y, epsilon)
    assert value > 0
    # An error of second order in the marginals' 1e-4, and rounding errors of costs of about 6.
    np.testing.assert_allclose(divergence(y, x, epsilon), value, rtol=2e-6, atol=1e-5)


@pytest.mark.slow
def test_sinkhorn_divergence_invariances():
  x, y = float32(points(12), points(9, seed=1, shift=0.4))
  value = divergence(x, y, 0.7)
  turn, _ = np.linalg.qr(points(3, seed=5))
  for same in (
    divergence(x @ turn, y @ turn, 0.7),
    divergence(x[::-1], y, 0.7),
    divergence(3 * x, 3 * y, 0.7 * 9) / 9,
    # Repeated rows are the same distribution: the weights are 1/n for every n.
    divergence(jnp.tile(x, (2, 1)), y, 0.7),
  ):
    np.testing.assert_allclose(same, value, rtol=2e-6, atol=1e-5)


def test_sinkhorn_divergence_far_from_the_origin_keeps_its_digits():
  x, y = float32(points(12), points(9, seed=1, shift=0.4))
  # Rounding changes only x + 1000, by 3e-5, and so costs by up to 2 · 3 · 3e-5.
  np.testing.assert_allclose(divergence(x + 1000, y + 1000, 0.7), divergence(x, y, 0.7), atol=2e-4)


def test_sinkhorn_divergence_gradients_equal_finite_differences():
  with jax.enable_x64(True):
    arguments = jnp.asarray(points(12)), jnp.asarray(points(9, seed=1, shift=0.5)), 0.6
    _, gradients = with_gradients(*arguments)
    directions = points(12, seed=7), points(9, seed=8), 1.0
    for i, (gradient, direction) in enumerate(zip(gradients, directions, strict=True)):
      ends = [
        divergence(*(a + t * direction if k == i else a for k, a in enumerate(arguments)))
        for t in (1e-4, -1e-4)
      ]
      # Truncation and the marginals each leave an error of about 1e-8, rounding 1e-15 / 1e-4.
      difference = (ends[0] - ends[1]) / 2e-4
      np.testing.assert_allclose(jnp.vdot(gradient, direction), difference, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 30.0])
def test_sinkhorn_divergence_gradient_in_float32(epsilon):
  x, y = points(12), points(9, seed=1, shift=0.5)
  with jax.enable_x64(True):
    exact = np.asarray(with_gradients(jnp.asarray(x), jnp.asarray(y), epsilon)[1][0])
  gradient = with_gradients(*float32(x, y), epsilon)[1][0]
  # Each of two couplings misplaces a mass of 1e-4. The whole mass, over the same distances, gives
  # the gradient.
  assert np.linalg.norm(gradient - exact) < 4e-4 * np.linalg.norm(exact)


@pytest.mark.slow
def test_sinkhorn_divergence_in_forward_mode():
  x, y = float32(points(12), points(9, seed=1))
  gradient = with_gradients(x, y, 1.0)[1][0]
  slope = jax.jvp(lambda x: divergence(x, y, 1.0), (x,), (jnp.ones_like(x),))[1]
  np.testing.assert_allclose(slope, gradient.sum(), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_sinkhorn_divergence_is_traced_once_for_all_values():
  traces = []

  @jax.jit
  def step(x, y, epsilon):
    traces.append(1)
    return with_gradients(x, y, epsilon)

  for seed, epsilon in enumerate((0.5, 1.0, 2.0)):
    arguments = *float32(points(12, seed=seed), points(9, seed=5)), epsilon
    jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=6e-6),
      step(*arguments),
      with_gradients(*arguments),
    )
  assert len(traces) == 1


@pytest.mark.slow
def test_sinkhorn_divergence_under_vmap():
  x = jnp.stack(float32(*(points(12, seed=seed) for seed in range(3))))
  (y,) = float32(points(9, seed=9))
  together = jax.vmap(divergence, (0, None, None))(x, y, 1.0)
  # A batch iterates until its slowest element has converged; costs are about 6.
  one_by_one = [divergence(z, y, 1.0) for z in x]
  np.testing.assert_allclose(together, one_by_one, rtol=2e-6, atol=6e-6)


def test_sinkhorn_divergence_of_global_batch_over_a_mapped_axis():
  x, y = float32(points(12), points(9, seed=1))
  value, (gradient, *_) = with_gradients(x, y, 1.0)

  @jax.value_and_grad
  def shared(x, y):
    return sinkhorn_divergence(x, y, epsilon=1.0, axis_name="devices")

  parts = x.reshape(3, 4, 3), y.reshape(3, 3, 3)
  values, gradients = jax.vmap(shared, axis_name="devices")(*parts)
  np.testing.assert_allclose(values, np.full(3, value), rtol=2e-6, atol=6e-6)
  # Each device's gradient is three times its part; pmean over shared parameters divides by three.
  np.testing.assert_allclose(gradients.reshape(12, 3) / 3, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_sinkhorn_divergence_of_float32_latents_with_x64_enabled():
  x, y = points(12), points(9, seed=1)
  expected = divergence(*float32(x, y), 0.5)
  with jax.enable_x64(True):
    value = sinkhorn_divergence(*float32(x, y), epsilon=jnp.asarray(0.5, jnp.float64))
    assert value.dtype == jnp.float32
  np.testing.assert_allclose(value, expected, rtol=1e-6, atol=6e-6)
