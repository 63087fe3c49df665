"""What is measured: every distance, in each form that it has, and the data it is given."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from aejax import distances

__all__ = ["DISTANCES", "NORMAL", "SAMPLES", "Data", "Distance", "value_and_gradient"]

Data = Mapping[str, Any]
Form = Callable[[Data, str | None], jax.Array]

NORMAL, SAMPLES = "N(0, I)", "samples"


@dataclasses.dataclass(frozen=True)
class Distance:
  """A distance of the catalogue.

  Attributes:
    forms: by target, (data, axis_name) -> scalar.
    cost: as a formula.
    growth: the exponents of n, D and slices that the formula tends to.
    lower_bound: what no program can do without, a name in `lower_bounds`, or None.
    slices: whether it takes directions.
    pairwise: whether it sums over pairs.
    inputs: the data that its gradient is taken by.
  """

  forms: Mapping[str, Form]
  cost: str
  growth: tuple[float, float, float]
  lower_bound: str | None = None
  slices: bool = False
  pairwise: bool = False
  inputs: tuple[str, ...] = ("latents",)


def value_and_gradient(form: Form, inputs: tuple[str, ...]) -> Callable[..., Any]:
  """(data, axis_name=None) -> the value and the gradients by the `inputs`."""

  def function(data: Data, axis_name: str | None = None):
    def value(active):
      return form({**data, **active}, axis_name)

    return jax.value_and_grad(value)({name: data[name] for name in inputs})

  return function


def _to_normal(function: Callable[..., jax.Array], **options: Any) -> Form:
  return lambda data, axis: function(data["latents"], axis_name=axis, **options)


def _to_samples(function: Callable[..., jax.Array], **options: Any) -> Form:
  return lambda data, axis: function(data["latents"], data["samples"], axis_name=axis, **options)


def _on_slices(function: Callable[..., jax.Array]) -> Form:
  return lambda data, axis: function(data["latents"], directions=data["directions"], axis_name=axis)


def _on_slices_to_samples(function: Callable[..., jax.Array]) -> Form:
  return lambda data, axis: function(
    data["latents"], data["samples"], directions=data["directions"], axis_name=axis
  )


def _kl(data: Data, axis: str | None) -> jax.Array:
  mean = jnp.mean(distances.kl_divergence(data["latents"], data["log_variance"]))
  return mean if axis is None else jax.lax.pmean(mean, axis)


def _gaussian(make: Callable[..., Form]) -> Form:
  """The bandwidth √D is the middle of the range that the WAE's scales cover."""

  def form(data, axis):
    kernel = distances.gaussian(math.sqrt(data["latents"].shape[1]))
    return make(distances.mmd, kernel=kernel)(data, axis)

  return form


def _sinkhorn(data: Data, axis: str | None) -> jax.Array:
  # A tenth of 2D, the mean squared distance of two draws of N(0, I): tens of iterations.
  epsilon = 0.2 * data["latents"].shape[1]
  return distances.sinkhorn_divergence(
    data["latents"], data["samples"], epsilon=epsilon, axis_name=axis
  )


def _pairwise(forms: Mapping[str, Form]) -> Distance:
  return Distance(forms, "n²D", (2, 1, 0), lower_bound="products", pairwise=True)


def _sliced(forms: Mapping[str, Form]) -> Distance:
  return Distance(forms, "LnD + L n log n", (1, 1, 1), lower_bound="sort", slices=True)


def _both(function: Callable[..., jax.Array]) -> dict[str, Form]:
  return {NORMAL: _to_normal(function), SAMPLES: _to_samples(function)}


DISTANCES: dict[str, Distance] = {
  "kl_divergence": Distance(
    {NORMAL: _kl}, "nD", (1, 1, 0), lower_bound="pass", inputs=("latents", "log_variance")
  ),
  "cramer_wold": _pairwise(
    {
      NORMAL: _to_normal(distances.cramer_wold),
      "approximate": _to_normal(distances.cramer_wold, approximate=True),
      SAMPLES: _to_samples(distances.cramer_wold),
    }
  ),
  "sigreg": _pairwise({NORMAL: _to_normal(distances.sigreg)}),
  "mmd_imq": _pairwise(_both(distances.mmd)),
  "mmd_gaussian": _pairwise({NORMAL: _gaussian(_to_normal), SAMPLES: _gaussian(_to_samples)}),
  "energy_distance": _pairwise(_both(distances.energy_distance)),
  "kernel_stein": _pairwise({NORMAL: _to_normal(distances.kernel_stein)}),
  "sliced_wasserstein": _sliced(
    {
      NORMAL: _on_slices(distances.sliced_wasserstein),
      SAMPLES: _on_slices_to_samples(distances.sliced_wasserstein),
    }
  ),
  "max_sliced_wasserstein": _sliced(
    {
      NORMAL: _on_slices(distances.max_sliced_wasserstein),
      SAMPLES: _on_slices_to_samples(distances.max_sliced_wasserstein),
    }
  ),
  "epps_pulley": Distance(
    {NORMAL: _on_slices(distances.epps_pulley)},
    "LnD + 20 Ln",
    (1, 1, 1),
    lower_bound="projections",
    slices=True,
  ),
  "cramer_von_mises": _sliced({NORMAL: _on_slices(distances.cramer_von_mises)}),
  "anderson_darling": _sliced({NORMAL: _on_slices(distances.anderson_darling)}),
  "kolmogorov_smirnov": _sliced({NORMAL: _on_slices(distances.kolmogorov_smirnov)}),
  "sinkhorn_divergence": Distance({SAMPLES: _sinkhorn}, "3n²(D + iterations)", (2, 0, 0)),
}
