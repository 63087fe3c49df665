"""What a form of a distance is, and functions that make forms from distances."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aejax import distances, priors

__all__ = [
  "NORMAL",
  "SAMPLES",
  "Data",
  "DistanceForm",
  "Form",
  "gaussian",
  "kl",
  "mixture",
  "sinkhorn",
  "sliced",
  "sliced_to_samples",
  "to_normal",
  "to_prior",
  "to_priors",
  "to_samples",
]

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


def to_normal(function: Callable[..., jax.Array], **options: Any) -> Form:
  """Returns the form whose target is N(0, I)."""
  return lambda data, axis: function(data["latents"], axis_name=axis, **options)


def to_samples(function: Callable[..., jax.Array], **options: Any) -> Form:
  """Returns the form whose target is samples."""
  return lambda data, axis: function(data["latents"], data["samples"], axis_name=axis, **options)


def sliced(function: Callable[..., jax.Array], **options: Any) -> Form:
  """Returns the form of a sliced distance to N(0, I)."""
  return lambda data, axis: function(
    data["latents"], directions=data["directions"], axis_name=axis, **options
  )


def sliced_to_samples(function: Callable[..., jax.Array]) -> Form:
  """Returns the form of a sliced distance to samples."""
  return lambda data, axis: function(
    data["latents"], data["samples"], directions=data["directions"], axis_name=axis
  )


def to_prior(
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


def mixture(dim: int, dtype: Any) -> priors.GaussianMixture:
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
  "mixture": mixture,
  "normal": _normal,
  "sphere": lambda dim, _: priors.UniformSphere(dim, radius=math.sqrt(dim)),
  "ball": lambda dim, _: priors.UniformBall(dim, radius=2.0),
  "student": lambda dim, _: priors.StudentT(dim, df=4.0),
  "laplace": lambda dim, _: priors.Laplace(dim, scale=0.8),
  "cube": lambda dim, _: priors.UniformCube(dim, half_width=1.5),
}


def to_priors(
  distance: str, function: Callable[..., jax.Array], names: str, **options: Any
) -> tuple[DistanceForm, ...]:
  """Returns a form for each prior in `names`, for the tests only."""
  return tuple(
    DistanceForm(
      distance,
      name,
      to_prior(function, _PRIORS[name], **options),
      measured=False,
      rotation_invariant=name in ("sphere", "ball", "student") and "sliced" not in distance,
    )
    for name in names.split()
  )


def kl(data: Data, axis: str | None) -> jax.Array:
  """Returns the mean KL divergence, over all devices."""
  mean = jnp.mean(distances.kl_divergence(data["latents"], data["log_variance"]))
  return mean if axis is None else jax.lax.pmean(mean, axis)


def gaussian(make: Callable[..., Form], **options: Any) -> Form:
  """Returns the MMD with bandwidth √D, the middle of the range that the WAE's scales cover."""

  def form(data: Data, axis: str | None) -> jax.Array:
    kernel = distances.gaussian(math.sqrt(max(data["latents"].shape[-1], 1)))
    return make(distances.mmd, kernel=kernel, **options)(data, axis)

  return form


def sinkhorn(data: Data, axis: str | None) -> jax.Array:
  """Returns the Sinkhorn divergence from samples."""
  # The mean squared distance of two draws of N(0, I) is 2D. A tenth of it needs tens of iterations.
  epsilon = 0.2 * data["latents"].shape[1]
  return distances.sinkhorn_divergence(
    data["latents"], data["samples"], epsilon=epsilon, axis_name=axis
  )
