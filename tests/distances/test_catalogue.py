"""What holds for every distance: invariances, gradients, transformations, nasty input."""

import functools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from catalogue import FORMS, latents
from hypothesis import strategies as st

every_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)


# A float32 sum of rounded terms of order one: a few units in the last place of the largest term.
# sigreg and the like multiply by 2πn, so the tolerance is relative to the terms, n of them.
def close(a, b, n, factor=1.0):
  np.testing.assert_allclose(a, b, rtol=3e-5 * factor, atol=2e-6 * n * factor)


# Few shapes, since each compiles anew; Hypothesis varies what is in them.
shapes = st.sampled_from([(5, 1), (8, 2), (33, 7)])


@every_form
@hypothesis.given(shape=shapes, seed=st.integers(0, 1000), scale=st.sampled_from([0.03, 1.0, 20.0]))
@hypothesis.settings(max_examples=4, deadline=None, derandomize=True)
def test_permutation_of_rows(form, shape, seed, scale):
  z, rest = latents(*shape, seed=seed)
  order = np.random.default_rng(seed).permutation(shape[0])
  # Sums of |z|² scale with it: the tolerance is relative to the largest term.
  close(form(scale * z[order], rest), form(scale * z, rest), shape[0], max(1, scale**2))


@pytest.mark.parametrize("form", [f for f in FORMS if f.rotates], ids=lambda form: form.name)
@hypothesis.given(shape=shapes, seed=st.integers(0, 1000))
@hypothesis.settings(max_examples=4, deadline=None, derandomize=True)
def test_rotation(form, shape, seed):
  z, rest = latents(*shape, seed=seed)
  q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((shape[1], shape[1])))
  turned = dict(rest, samples=rest["samples"] @ q)
  close(form(z @ q, turned), form(z, rest), shape[0], 2)


@pytest.mark.parametrize("form", [f for f in FORMS if f.samples], ids=lambda form: form.name)
def test_symmetry_and_zero_at_equal_samples(form):
  z, rest = latents(12, 4, m=12)
  forwards = form(z, rest)
  backwards = form(rest["samples"], dict(rest, samples=z))
  if not form.name.startswith("cramer_wold"):  # its default γ is Silverman's, for the target
    close(forwards, backwards, 12)
  at_itself = float(form(z, dict(rest, samples=z)))
  if form.unbiased:
    assert abs(at_itself) < 1.0
  else:
    # Squared distances of coinciding points are exactly zero, so what remains is summation.
    assert abs(at_itself) < 2e-6


@every_form
def test_jit_and_vmap_agree(form):
  sets = [latents(9, 3, seed=seed) for seed in range(3)]
  rest = sets[0][1]
  stacked = jnp.stack([z for z, _ in sets])
  one_by_one = jnp.stack([form(z, rest) for z, _ in sets])
  close(jax.jit(form)(stacked[0], rest), one_by_one[0], 9)
  close(jax.vmap(form, (0, None))(stacked, rest), one_by_one, 9)


@every_form
def test_gradient_against_finite_differences(form):
  n, dim = 7, 5  # above three dimensions distances come from norms and products
  if not form.smooth:
    pytest.skip("the gradient is one of the winning direction's value alone")
  with jax.enable_x64(True):
    z, rest = latents(n, dim, seed=3, dtype=np.float64)
    rest = jax.tree.map(lambda v: v.astype(jnp.float64), rest)
    value = jax.jit(form)
    gradient = np.asarray(jax.grad(form)(z, rest))
    for i, j in [(0, 0), (n - 1, dim - 1)]:
      # The step balances truncation, step², against rounding, 1e-15 / step.
      step = np.zeros((n, dim))
      step[i, j] = 1e-5
      difference = (value(z + step, rest) - value(z - step, rest)) / 2e-5
      np.testing.assert_allclose(gradient[i, j], difference, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@every_form
def test_second_derivative_is_that_of_the_gradient(form):
  if form.name == "epps_pulley" or not form.smooth:
    pytest.skip("differentiates once")
  with jax.enable_x64(True):
    z, rest = latents(6, 5, seed=4, dtype=np.float64)
    rest = jax.tree.map(lambda v: v.astype(jnp.float64), rest)
    v = jnp.asarray(np.random.default_rng(0).standard_normal(z.shape))
    gradient = jax.jit(jax.grad(form))
    product = jax.jvp(lambda z: gradient(z, rest), (z,), (v,))[1]
    difference = (gradient(z + 1e-5 * v, rest) - gradient(z - 1e-5 * v, rest)) / 2e-5
    np.testing.assert_allclose(product, difference, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@every_form
def test_forward_mode_and_remat(form):
  z, rest = latents(6, 3)
  v = jnp.ones_like(z)
  gradient = jax.grad(form)(z, rest)
  derivative = jax.jvp(lambda z: form(z, rest), (z,), (v,))[1]
  close(derivative, jnp.vdot(gradient, v), 6, 4)
  remat = jax.grad(jax.checkpoint(form))(z, rest)
  np.testing.assert_allclose(remat, gradient, rtol=1e-5, atol=1e-6)


@every_form
def test_one_trace_for_all_values(form):
  traces = []

  @jax.jit
  def step(z, rest):
    traces.append(1)
    return jax.value_and_grad(form)(z, rest)

  for seed in range(2):
    step(*latents(6, 3, seed=seed))
  assert len(traces) == 1


@every_form
def test_global_batch_over_a_mapped_axis(form):
  devices = 4
  z, rest = latents(8, 3, m=12)
  value, gradient = jax.jit(jax.value_and_grad(form))(z, rest)

  @jax.jit
  @functools.partial(jax.vmap, axis_name="devices")
  def shared(z, samples):
    return jax.value_and_grad(form)(z, dict(rest, samples=samples), "devices")

  parts = z.reshape(devices, -1, 3)
  samples = rest["samples"].reshape(devices, -1, 3)
  values, gradients = shared(parts, samples)
  close(values, jnp.full(devices, value), 8)
  # Every device's gradient is `devices` times its share: pmean over shared parameters mends it.
  np.testing.assert_allclose(
    gradients.reshape(8, 3) / devices, gradient, rtol=1e-4, atol=1e-6 * max(1, abs(gradient).max())
  )


NASTY = {
  "collapsed": lambda z: jnp.zeros_like(z),
  "collapsed elsewhere": lambda z: jnp.full_like(z, 3.0),
  "duplicated": lambda z: jnp.concatenate([z[:2], z[:2], z[:2]]),
  "huge": lambda z: 1e6 * z,
  "tiny": lambda z: 1e-20 * z,
  "one far out": lambda z: z.at[0].set(1e4),
  "fewest": lambda z: z[:1],
  "two, bfloat16": lambda z: z[:2].astype(jnp.bfloat16),
  "one column, float16": lambda z: z[:, :1].astype(jnp.float16),
}


@every_form
def test_value_and_gradient_stay_finite(form):
  compiled = jax.jit(jax.value_and_grad(form))
  for kind, spoil in NASTY.items():
    z, rest = latents(6, 5)
    z = spoil(z)
    if len(z) < form.minimum:
      continue
    if z.shape[1] == 1:
      rest = {"samples": rest["samples"][:, :1], "directions": jnp.ones((1, 1))}
    if kind == "duplicated":
      rest["samples"] = rest["samples"].at[:6].set(z)
    if form.name == "kl_divergence" and kind in ("huge", "one far out"):
      continue  # exp of the test's own log-variance, −z²/3, is no matter of the distance
    value, gradient = compiled(z, rest)
    assert value.dtype == jnp.float32, kind
    assert gradient.dtype == z.dtype, kind
    assert np.isfinite(value), kind
    assert np.all(np.isfinite(np.asarray(gradient, np.float32))), kind


@every_form
def test_nan_in_nan_out(form):
  z, rest = latents(6, 5)
  assert np.isnan(form(z.at[2, 1].set(jnp.nan), rest))


@every_form
def test_wrong_arguments_are_named(form, unchecked):
  z, rest = latents(6, 3)
  for bad in (z[0], z[None], z.astype(jnp.int32), z.astype(jnp.complex64), z[:0], z[:, :0]):
    with pytest.raises(ValueError, match=r"^(z|mean) must have"):
      form(bad, rest)
  if form.minimum == 2:
    with pytest.raises(ValueError, match="at least 2 rows"):
      form(z[:1], rest)
  if form.samples:
    with pytest.raises(ValueError, match="z has dimension 3, but target has dimension 2"):
      form(z, dict(rest, samples=rest["samples"][:, :2]))
  if "sliced" in form.name or form.name in ("epps_pulley", "anderson_darling"):
    with pytest.raises(ValueError, match="directions must have shape"):
      form(z, dict(rest, directions=jnp.eye(2)))
    with pytest.raises(ValueError, match="directions must be unit vectors, but one has length 2"):
      form(z, dict(rest, directions=2 * rest["directions"]))
