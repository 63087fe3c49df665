"""Every distance in every form, one line each: the tests in tests/distances run over this list."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from aejax import distances, priors


@dataclasses.dataclass(frozen=True)
class Form:
  """A distance in one form.

  Attributes:
    name: as tests print it.
    value: (z, rest, axis_name=None) -> scalar; `rest` is a dict with `directions` and `samples`.
    rotates: whether a common rotation of z (and samples) leaves the value as it is.
    minimum: the fewest latents it is defined for.
    smooth: whether the gradient has no jumps near random latents.
    samples: whether it compares with samples.
    unbiased: whether it is an estimate without bias, which may be negative.
  """

  name: str
  value: Callable
  rotates: bool = True
  minimum: int = 1
  smooth: bool = True
  samples: bool = False
  unbiased: bool = False

  def __call__(self, z, rest, axis_name=None):
    return self.value(z, rest, axis_name)


def _plain(function, **options):
  return lambda z, rest, axis: function(z, axis_name=axis, **options)


def _to_samples(function, **options):
  return lambda z, rest, axis: function(z, rest["samples"], axis_name=axis, **options)


def _sliced(function, **options):
  return lambda z, rest, axis: function(z, directions=rest["directions"], axis_name=axis, **options)


def _sliced_to_samples(function, **options):
  return lambda z, rest, axis: function(
    z, rest["samples"], directions=rest["directions"], axis_name=axis, **options
  )


def mixture(dim, dtype=jnp.float32):
  """A mixture without symmetry, so that a wrong index shows."""
  dim = max(dim, 1)
  means = np.linspace(-1, 1, 3 * dim).reshape(3, dim)
  return priors.GaussianMixture(
    jnp.asarray([0.2, 0.3, 0.5], dtype), jnp.asarray(means, dtype), jnp.asarray([0.5, 1, 2], dtype)
  )


def _to_mixture(function, **options):
  return lambda z, rest, axis: function(
    z, mixture(z.shape[-1], rest["directions"].dtype), axis_name=axis, **options
  )


def _kl(z, rest, axis):
  value = distances.kl_divergence(z, -(z**2) / 3).mean()
  return value if axis is None else jax.lax.pmean(value, axis)


_U = dict(minimum=2, unbiased=True)

FORMS = [
  Form("kl_divergence", _kl, rotates=False),
  Form("cramer_wold", _plain(distances.cramer_wold)),
  Form("cramer_wold-unbiased", _plain(distances.cramer_wold, unbiased=True), **_U),
  Form("cramer_wold-gamma", _plain(distances.cramer_wold, gamma=0.3)),
  Form("cramer_wold-mixture", _to_mixture(distances.cramer_wold), rotates=False),
  Form(
    "cramer_wold-samples",
    _to_samples(distances.cramer_wold),
    samples=True,
    # Its γ comes from the standard deviation of all coordinates, which a rotation moves.
    rotates=False,
  ),
  Form("cramer_wold-samples-gamma", _to_samples(distances.cramer_wold, gamma=0.3), samples=True),
  Form("sigreg", _plain(distances.sigreg)),
  Form("mmd-imq", _plain(distances.mmd), **_U),
  Form("mmd-imq-biased", _plain(distances.mmd, unbiased=False)),
  Form("mmd-imq-samples", _to_samples(distances.mmd), samples=True, **_U),
  Form("mmd-gaussian", _plain(distances.mmd, kernel=distances.gaussian(1.5)), **_U),
  Form(
    "mmd-sum",
    _plain(distances.mmd, kernel=distances.gaussian(1.0) + distances.imq((1.0,))),
    **_U,
  ),
  Form(
    "mmd-mixture",
    _to_mixture(distances.mmd, kernel=distances.gaussian(0.8) + distances.gaussian(2.0)),
    rotates=False,
    **_U,
  ),
  Form(
    "mmd-gaussian-samples",
    _to_samples(distances.mmd, kernel=distances.gaussian(1.5), unbiased=False),
    samples=True,
  ),
  Form("energy_distance", _plain(distances.energy_distance), **_U),
  Form("energy_distance-biased", _plain(distances.energy_distance, unbiased=False)),
  Form(
    "energy_distance-samples",
    _to_samples(distances.energy_distance, unbiased=False),
    samples=True,
  ),
  Form("kernel_stein", _plain(distances.kernel_stein), **_U),
  Form(
    "kernel_stein-gaussian",
    _plain(distances.kernel_stein, kernel=distances.gaussian(1.5), unbiased=False),
  ),
  Form("sliced_wasserstein", _sliced(distances.sliced_wasserstein), rotates=False),
  Form(
    "sliced_wasserstein-samples",
    _sliced_to_samples(distances.sliced_wasserstein),
    rotates=False,
    samples=True,
  ),
  Form("max_sliced_wasserstein", _sliced(distances.max_sliced_wasserstein), rotates=False),
  Form(
    "max_sliced_wasserstein-ascent",
    _sliced(distances.max_sliced_wasserstein, ascent_steps=5),
    rotates=False,
    # The winning direction is held fixed, which is exact at a maximum only.
    smooth=False,
  ),
  Form("epps_pulley", _sliced(distances.epps_pulley), rotates=False),
  Form("cramer_von_mises", _sliced(distances.cramer_von_mises), rotates=False),
  Form("anderson_darling", _sliced(distances.anderson_darling), rotates=False),
  Form("kolmogorov_smirnov", _sliced(distances.kolmogorov_smirnov), rotates=False),
]


def latents(n, dim, *, seed=0, m=None, num=6, dtype=np.float32):
  """Latents off N(0, I), and the rest that some forms need."""
  generator = np.random.default_rng(seed)
  z = 0.8 * generator.standard_normal((n, dim)) + 0.2
  samples = generator.standard_normal((m or n + 3, dim))
  directions = generator.standard_normal((num, dim))
  directions /= np.linalg.norm(directions, axis=1, keepdims=True)
  rest = {"samples": jnp.asarray(samples, dtype), "directions": jnp.asarray(directions, dtype)}
  return jnp.asarray(z, dtype), rest


@functools.cache
def compiled(form):
  """(z, rest) -> value and gradient, compiled once for all tests of the form in a process."""
  return jax.jit(jax.value_and_grad(form))
