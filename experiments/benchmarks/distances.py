"""The measured distances in all their forms, and the data of a measurement."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aejax import distances

__all__ = ["DISTANCES", "NORMAL", "SAMPLES", "Cell", "Data", "Distance", "value_and_gradient"]

Data = Mapping[str, Any]
Form = Callable[[Data, str | None], jax.Array]

NORMAL, SAMPLES = "N(0, I)", "samples"


@dataclasses.dataclass(frozen=True)
class Cell:
  """A distance at one size; the unit of measurement.

  Attributes:
    distance: name in DISTANCES.
    n: number of latents in the global batch.
    d: dimension of the latents.
    slices: number of directions, for sliced distances.
    dtype: dtype of latents and samples.
    devices: number of devices that share the batch.
    kind: kind of rows in the results file.
  """

  distance: str
  n: int
  d: int
  slices: int | None = None
  dtype: str = "float32"
  devices: int = 1
  kind: str = "time"

  def fields(self) -> dict[str, Any]:
    """Returns the fields that identify the cell in a row."""
    return dataclasses.asdict(self)

  def __str__(self) -> str:
    slices = f", {self.slices} slices" if self.slices else ""
    dtype = "" if self.dtype == "float32" else f", {self.dtype}"
    devices = f", {self.devices} devices" if self.devices > 1 else ""
    return f"{self.distance}  n {self.n}, D {self.d}{slices}{dtype}{devices}"

  def data(self) -> dict[str, np.ndarray]:
    """Returns latents N(0.2, 0.8² I) and other inputs in float32, the same in each run.

    Near the prior, float32 loses the small difference of the large terms of a distance; far from
    it, one term dominates. These latents avoid both.
    """
    generator = np.random.default_rng(0)
    draws = [generator.standard_normal((self.n, self.d), np.float32) for _ in range(3)]
    directions = generator.standard_normal((self.slices or 1, self.d), np.float32)
    return {
      "latents": 0.8 * draws[0] + np.float32(0.2),
      "log_variance": 0.3 * draws[1] - np.float32(0.5),
      "samples": draws[2],
      "directions": directions / np.linalg.norm(directions, axis=1, keepdims=True),
    }


@dataclasses.dataclass(frozen=True)
class Distance:
  """A distance of aejax.

  Attributes:
    forms: functions of (data, axis_name) by target.
    cost: asymptotic cost as a formula.
    growth: asymptotic exponents of n, D and the number of directions.
    lower_bound: name of the lower bound in `lower_bounds`, or None.
    slices: whether the distance takes directions.
    pairwise: whether the distance sums over pairs.
    inputs: names of the data that the gradient is with respect to.
  """

  forms: Mapping[str, Form]
  cost: str
  growth: tuple[float, float, float]
  lower_bound: str | None = None
  slices: bool = False
  pairwise: bool = False
  inputs: tuple[str, ...] = ("latents",)


def value_and_gradient(form: Form, inputs: tuple[str, ...]) -> Callable[..., Any]:
  """Returns a function of (data, axis_name=None) that computes value and gradients by `inputs`."""

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
  """Returns a form with bandwidth √D, the middle of the range of the WAE's scales."""

  def form(data, axis):
    kernel = distances.gaussian(math.sqrt(data["latents"].shape[1]))
    return make(distances.mmd, kernel=kernel)(data, axis)

  return form


def _sinkhorn(data: Data, axis: str | None) -> jax.Array:
  # A tenth of 2D, the mean squared distance of two draws of N(0, I), needs tens of iterations.
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
