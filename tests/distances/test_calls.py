"""Calls of every distance that compile nothing: wrong arguments, tracing, switches of JAX."""

import jax
import jax.numpy as jnp
import pytest
from benchmarks.catalogue import FORMS as ALL_FORMS
from catalogue import FORMS, function_of, latents, parametrize

from aejax import distances

every_form = parametrize(FORMS)


@every_form
@pytest.mark.parametrize("switch", ["rank promotion", "dtype promotion"])
def test_distance_under_strict_switches_of_jax(form, switch):
  strict = {
    "rank promotion": jax.numpy_rank_promotion("raise"),
    "dtype promotion": jax.numpy_dtype_promotion("strict"),
  }
  with strict[switch]:
    value, gradient = jax.eval_shape(jax.value_and_grad(function_of(form)), *latents(6, 3))
  assert (value.shape, gradient.shape) == ((), (6, 3))


@every_form
def test_distance_is_traced_once_for_all_values(form):
  traces = []

  @jax.jit
  def step(z, rest):
    traces.append(1)
    return jax.value_and_grad(function_of(form))(z, rest)

  for seed in range(2):
    step.trace(*latents(6, 3, seed=seed))
  assert len(traces) == 1


@every_form
def test_distance_names_wrong_arguments(form, without_beartype):
  z, rest = latents(6, 3)
  value = function_of(form)
  for bad in (z[0], z[None], z.astype(jnp.int32), z.astype(jnp.complex64), z[:0], z[:, :0]):
    with pytest.raises(ValueError, match=r"^(z|mean) must have"):
      value(bad, rest)
  if form.min_latents == 2:
    with pytest.raises(ValueError, match="at least 2 rows"):
      value(z[:1], rest)
  if form.samples:
    with pytest.raises(ValueError, match="z has dimension 3, but target has dimension 2"):
      value(z, dict(rest, samples=rest["samples"][:, :2]))
  if "sliced" in form.name or form.name in ("epps_pulley", "anderson_darling"):
    with pytest.raises(ValueError, match="directions must have shape"):
      value(z, dict(rest, directions=jnp.eye(2)))
    with pytest.raises(ValueError, match="directions must be unit vectors, but one has length 2"):
      value(z, dict(rest, directions=2 * rest["directions"]))


def test_catalogue_has_every_public_distance():
  others = {"gaussian", "imq", "random_directions", "sinkhorn_divergence_and_residual"}
  others |= {"laplace", "matern", "median_bandwidth", "rational_quadratic"}
  functions = {name for name in distances.__all__ if name[0].islower()} - others
  # The forms of `mmd` are listed by kernel, as mmd_imq and mmd_gaussian.
  listed = {"mmd" if form.distance.startswith("mmd_") else form.distance for form in ALL_FORMS}
  assert listed == functions
