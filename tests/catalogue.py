"""The forms of the distances that the tests in tests/distances run over, and latents for them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from benchmarks import catalogue

FORMS = [form for form in catalogue.FORMS if form.tested]

# Each way to compute a distance has a form here. Tests that compile for each form take the others
# in the slow suite.
QUICK = {
  "kl_divergence",
  "cramer_wold",
  "cramer_wold-samples",
  "cramer_wold-mixture",
  "mmd_imq",
  "mmd_imq-matern",
  "mmd_gaussian-samples",
  "mmd_gaussian-mixture",
  "energy_distance",
  "energy_distance-samples-biased",
  "energy_distance-samples-pairs",
  "kernel_stein",
  "sliced_wasserstein-samples",
  "max_sliced_wasserstein",
  "max_sliced_wasserstein-ascent",
  "epps_pulley",
  "cramer_von_mises",
  "anderson_darling",
  "kolmogorov_smirnov",
}

# One form of each file of aejax/distances, for tests that compile a further program for each form.
FEW = {
  "kl_divergence",
  "cramer_wold",
  "mmd_gaussian-samples",
  "energy_distance-samples-biased",
  "sliced_wasserstein-samples",
  "max_sliced_wasserstein",
  "epps_pulley",
}


def parametrize(forms, *, quick=None):
  """Parametrizes a test by forms; those that are not in `quick` belong to the slow suite."""
  slow = [form for form in forms if quick is not None and form.name not in quick]
  marked = [pytest.param(form, marks=pytest.mark.slow) if form in slow else form for form in forms]
  return pytest.mark.parametrize("form", marked, ids=lambda form: form.name)


def function_of(form):
  """Returns a form as a function (z, rest, axis_name=None) -> scalar.

  `rest` holds `samples` and `directions`. The log-variance of the KL divergence is a function of z.
  """

  def function(z, rest, axis_name=None):
    return form({**rest, "latents": z, "log_variance": -(z**2) / 3}, axis_name)

  return function


def latents(n, dim, *, seed=0, m=None, num=6, dtype=np.float32):
  """Returns latents near N(0, I), and a dictionary of samples and directions."""
  generator = np.random.default_rng(seed)
  z = 0.8 * generator.standard_normal((n, dim)) + 0.2
  samples = generator.standard_normal((m or n + 3, dim))
  directions = generator.standard_normal((num, dim))
  directions /= np.linalg.norm(directions, axis=1, keepdims=True)
  rest = {"samples": jnp.asarray(samples, dtype), "directions": jnp.asarray(directions, dtype)}
  return jnp.asarray(z, dtype), rest


@functools.cache
def compiled(form):
  """Returns (z, rest) -> value and gradient, compiled once for all tests of a form."""
  return jax.jit(jax.value_and_grad(function_of(form)))
