"""The catalogue: every distance in every form, for the benchmarks and for the tests.

A form is one way to call a distance: to N(0, I), to samples, with other options. A new distance
needs its forms here and, to be measured, its costs in `benchmarks.distances`.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aejax import distances, priors

__all__ = ["FORMS", "NORMAL", "SAMPLES", "Data", "DistanceForm", "Form"]

Data = Mapping[str, Any]
"""The arrays `latents`, `log_variance`, `samples` and `directions`, or those that a form needs."""

Form = Callable[[Data, str | None], jax.Array]
"""(data, axis_name) -> scalar."""

NORMAL, SAMPLES = "N(0, I)", "samples"


@dataclasses.dataclass(frozen=True)
class DistanceForm:
  """One form of a distance, a function (data, axis_name=None) -> scalar.

  Attributes:
    distance: name of the distance in results.
    form: name of the form in results: the target, or what differs from the default.
    function: the function.
    measured: whether the benchmarks measure this form.
    tested: whether the tests of properties that distances share apply to this form.
    samples: whether the target is samples.
    unbiased: whether the value is an unbiased estimate, which may be negative.
    min_latents: smallest number of latents for which the form is defined.
    rotation_invariant: whether a rotation of latents and samples leaves the value unchanged.
    smooth: whether the gradient is continuous near random latents.
    incomplete: whether only some of the pairs are used, so that the order of the latents matters.
  """

  distance: str
  form: str
  function: Form
  measured: bool = True
  tested: bool = True
  samples: bool = False
  unbiased: bool = False
  min_latents: int = 1
  rotation_invariant: bool = True
  smooth: bool = True
  incomplete: bool = False

  @property
  def name(self) -> str:
    """Name of the form in tests, such as "mmd_imq-samples"."""
    return self.distance if self.form == NORMAL else f"{self.distance}-{self.form}"

  def __call__(self, data: Data, axis_name: str | None = None) -> jax.Array:
    """Returns the value of the form."""
    return self.function(data, axis_name)


def _to_normal(function: Callable[..., jax.Array], **options: Any) -> Form:
  return lambda data, axis: function(data["latents"], axis_name=axis, **options)


def _to_samples(function: Callable[..., jax.Array], **options: Any) -> Form:
  return lambda data, axis: function(data["latents"], data["samples"], axis_name=axis, **options)


def _sliced(function: Callable[..., jax.Array], **options: Any) -> Form:
  return lambda data, axis: function(
    data["latents"], directions=data["directions"], axis_name=axis, **options
  )


def _sliced_to_samples(function: Callable[..., jax.Array]) -> Form:
  return lambda data, axis: function(
    data["latents"], data["samples"], directions=data["directions"], axis_name=axis
  )


def _to_prior(
  function: Callable[..., jax.Array], make: Callable[..., priors.Prior], **options: Any
) -> Form:
  """Returns the form whose target is `make(dim, dtype)`."""

  def form(data: Data, axis: str | None) -> jax.Array:
    z = data["latents"]
    is_real = jnp.issubdtype(z.dtype, jnp.floating)
    target = make(z.shape[-1] or 1, jnp.promote_types(z.dtype if is_real else "f4", jnp.float32))
    sliced = {"directions": data["directions"]} if "sliced" in function.__name__ else {}
    return function(z, target, axis_name=axis, **sliced, **options)

  return form


def _mixture(dim: int, dtype: Any) -> priors.GaussianMixture:
  """Returns a mixture without symmetry, which reveals a wrong index."""
  means = np.linspace(-1, 1, 3 * dim).reshape(3, dim)
  weights, variances = jnp.asarray([0.2, 0.3, 0.5], dtype), jnp.asarray([0.5, 1, 2], dtype)
  return priors.GaussianMixture(weights, jnp.asarray(means, dtype), variances)


def _normal(dim: int, dtype: Any) -> priors.Normal:
  """Returns a normal distribution whose covariance is not diagonal."""
  factor = np.eye(dim) + np.tri(dim, k=-1) / 2
  mean = jnp.asarray(np.linspace(-1, 1, dim), dtype)
  return priors.Normal(mean, jnp.asarray(factor @ factor.T / 2, dtype))


# Priors by the name of the form, each (dim, dtype) -> prior.
_PRIORS: dict[str, Callable[[int, Any], priors.Prior]] = {
  "mixture": _mixture,
  "normal": _normal,
  "sphere": lambda dim, _: priors.UniformSphere(dim, radius=math.sqrt(dim)),
  "ball": lambda dim, _: priors.UniformBall(dim, radius=2.0),
  "student": lambda dim, _: priors.StudentT(dim, df=4.0),
  "laplace": lambda dim, _: priors.Laplace(dim, scale=0.8),
  "cube": lambda dim, _: priors.UniformCube(dim, half_width=1.5),
}


def _to_priors(
  distance: str, function: Callable[..., jax.Array], names: str, **options: Any
) -> tuple[DistanceForm, ...]:
  """Returns a form for each prior in `names`, for the tests only."""
  return tuple(
    DistanceForm(
      distance,
      name,
      _to_prior(function, _PRIORS[name], **options),
      measured=False,
      rotation_invariant=name in ("sphere", "ball", "student") and "sliced" not in distance,
    )
    for name in names.split()
  )


def _kl(data: Data, axis: str | None) -> jax.Array:
  mean = jnp.mean(distances.kl_divergence(data["latents"], data["log_variance"]))
  return mean if axis is None else jax.lax.pmean(mean, axis)


def _gaussian(make: Callable[..., Form], **options: Any) -> Form:
  """Returns the MMD with bandwidth √D, the middle of the range that the WAE's scales cover."""

  def form(data: Data, axis: str | None) -> jax.Array:
    kernel = distances.gaussian(math.sqrt(max(data["latents"].shape[-1], 1)))
    return make(distances.mmd, kernel=kernel, **options)(data, axis)

  return form


def _sinkhorn(data: Data, axis: str | None) -> jax.Array:
  # The mean squared distance of two draws of N(0, I) is 2D. A tenth of it needs tens of iterations.
  epsilon = 0.2 * data["latents"].shape[1]
  return distances.sinkhorn_divergence(
    data["latents"], data["samples"], epsilon=epsilon, axis_name=axis
  )


# Properties of unbiased forms, of sliced forms, and of forms for the tests only.
_UNBIASED: dict[str, Any] = dict(min_latents=2, unbiased=True)
_SLICED: dict[str, Any] = dict(rotation_invariant=False)
_TEST: dict[str, Any] = dict(measured=False)

FORMS: tuple[DistanceForm, ...] = (
  DistanceForm("kl_divergence", NORMAL, _kl, rotation_invariant=False),
  DistanceForm("cramer_wold", NORMAL, _to_normal(distances.cramer_wold)),
  DistanceForm(
    "cramer_wold",
    "approximate",
    _to_normal(distances.cramer_wold, approximate=True),
    # It may be negative and needs two dimensions.
    tested=False,
  ),
  DistanceForm(
    "cramer_wold",
    SAMPLES,
    _to_samples(distances.cramer_wold),
    samples=True,
    # The default γ depends on the standard deviation of all coordinates, which a rotation changes.
    rotation_invariant=False,
  ),
  DistanceForm(
    "cramer_wold",
    "unbiased",
    _to_normal(distances.cramer_wold, unbiased=True),
    **_UNBIASED,
    **_TEST,
  ),
  DistanceForm("cramer_wold", "gamma", _to_normal(distances.cramer_wold, gamma=0.3), **_TEST),
  DistanceForm(
    "cramer_wold",
    "mixture",
    _to_prior(distances.cramer_wold, _mixture),
    rotation_invariant=False,
    **_TEST,
  ),
  DistanceForm(
    "cramer_wold",
    "samples-gamma",
    _to_samples(distances.cramer_wold, gamma=0.3),
    samples=True,
    **_TEST,
  ),
  DistanceForm("sigreg", NORMAL, _to_normal(distances.sigreg)),
  DistanceForm("mmd_imq", NORMAL, _to_normal(distances.mmd), **_UNBIASED),
  DistanceForm("mmd_imq", SAMPLES, _to_samples(distances.mmd), samples=True, **_UNBIASED),
  DistanceForm("mmd_imq", "biased", _to_normal(distances.mmd, unbiased=False), **_TEST),
  DistanceForm(
    "mmd_imq",
    "sum",
    _to_normal(distances.mmd, kernel=distances.gaussian(1.0) + distances.imq((1.0,))),
    **_UNBIASED,
    **_TEST,
  ),
  *(
    DistanceForm("mmd_imq", name, _to_normal(distances.mmd, kernel=kernel), **_UNBIASED, **_TEST)
    for name, kernel in (
      ("laplace", distances.laplace(2.0)),
      ("matern", distances.matern(1.5, 2.0) + 0.5 * distances.matern(2.5, 1.0)),
      ("rational", 2.0 * distances.rational_quadratic(0.7, 1.5)),
    )
  ),
  DistanceForm("mmd_gaussian", NORMAL, _gaussian(_to_normal), **_UNBIASED),
  DistanceForm("mmd_gaussian", SAMPLES, _gaussian(_to_samples), samples=True, **_UNBIASED),
  DistanceForm(
    "mmd_gaussian",
    "samples-biased",
    _gaussian(_to_samples, unbiased=False),
    samples=True,
    **_TEST,
  ),
  DistanceForm(
    "mmd_gaussian",
    "mixture",
    _to_prior(distances.mmd, _mixture, kernel=distances.gaussian(0.8) + distances.gaussian(2.0)),
    rotation_invariant=False,
    **_UNBIASED,
    **_TEST,
  ),
  DistanceForm("energy_distance", NORMAL, _to_normal(distances.energy_distance), **_UNBIASED),
  DistanceForm(
    "energy_distance", SAMPLES, _to_samples(distances.energy_distance), samples=True, **_UNBIASED
  ),
  DistanceForm(
    "energy_distance", "biased", _to_normal(distances.energy_distance, unbiased=False), **_TEST
  ),
  DistanceForm(
    "energy_distance",
    "samples-biased",
    _to_samples(distances.energy_distance, unbiased=False),
    samples=True,
    **_TEST,
  ),
  DistanceForm("kernel_stein", NORMAL, _to_normal(distances.kernel_stein), **_UNBIASED),
  DistanceForm(
    "kernel_stein",
    "gaussian",
    _to_normal(distances.kernel_stein, kernel=distances.gaussian(1.5), unbiased=False),
    **_TEST,
  ),
  # Seven latents have three partners on each side: two are some of the pairs.
  DistanceForm(
    "cramer_wold",
    "pairs",
    _to_normal(distances.cramer_wold, unbiased=True, pairs=2),
    incomplete=True,
    **_UNBIASED,
    **_TEST,
  ),
  DistanceForm(
    "energy_distance",
    "samples-pairs",
    _to_samples(distances.energy_distance, pairs=2),
    samples=True,
    incomplete=True,
    **_UNBIASED,
    **_TEST,
  ),
  DistanceForm(
    "kernel_stein",
    "pairs",
    _to_normal(distances.kernel_stein, pairs=2),
    incomplete=True,
    **_UNBIASED,
    **_TEST,
  ),
  DistanceForm("sliced_wasserstein", NORMAL, _sliced(distances.sliced_wasserstein), **_SLICED),
  DistanceForm(
    "sliced_wasserstein",
    SAMPLES,
    _sliced_to_samples(distances.sliced_wasserstein),
    samples=True,
    **_SLICED,
  ),
  DistanceForm(
    "max_sliced_wasserstein", NORMAL, _sliced(distances.max_sliced_wasserstein), **_SLICED
  ),
  DistanceForm(
    "max_sliced_wasserstein",
    SAMPLES,
    _sliced_to_samples(distances.max_sliced_wasserstein),
    samples=True,
    **_SLICED,
  ),
  DistanceForm(
    "max_sliced_wasserstein",
    "ascent",
    _sliced(distances.max_sliced_wasserstein, ascent_steps=5),
    # The gradient holds the winning direction fixed, which is exact only at a maximum.
    smooth=False,
    **_SLICED,
    **_TEST,
  ),
  DistanceForm("epps_pulley", NORMAL, _sliced(distances.epps_pulley), **_SLICED),
  DistanceForm("cramer_von_mises", NORMAL, _sliced(distances.cramer_von_mises), **_SLICED),
  DistanceForm("anderson_darling", NORMAL, _sliced(distances.anderson_darling), **_SLICED),
  DistanceForm("kolmogorov_smirnov", NORMAL, _sliced(distances.kolmogorov_smirnov), **_SLICED),
  # It compiles a solver for each shape and has tests of its own.
  DistanceForm("sinkhorn_divergence", SAMPLES, _sinkhorn, samples=True, tested=False),
  # One for each way to compute a distance to a prior.
  *_to_priors("mmd_imq", distances.mmd, "sphere ball student mixture normal cube", unbiased=False),
  *_to_priors(
    "energy_distance",
    distances.energy_distance,
    "sphere ball student mixture normal laplace",
    unbiased=False,
  ),
  *_to_priors("cramer_wold", distances.cramer_wold, "ball student normal laplace"),
  *_to_priors("sliced_wasserstein", distances.sliced_wasserstein, "ball normal"),
  *_to_priors("max_sliced_wasserstein", distances.max_sliced_wasserstein, "student"),
)
