"""The distances that the benchmarks measure: their forms, and their costs as formulas."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax

from benchmarks.catalogue import FORMS, NORMAL, SAMPLES, Data, Form

__all__ = ["DISTANCES", "NORMAL", "SAMPLES", "Data", "Distance", "Form", "value_and_gradient"]


@dataclasses.dataclass(frozen=True)
class Distance:
  """A distance that the benchmarks measure.

  Attributes:
    forms: forms of the distance by name.
    cost: cost as a formula.
    growth: exponents of n, D and number of directions to which the formula tends.
    lower_bound: name in `lower_bounds` of the work that every program must do, or None.
    slices: whether the distance takes directions.
    pairwise: whether the distance sums over pairs.
    inputs: names of the data for which the gradient is computed.
  """

  forms: Mapping[str, Form]
  cost: str
  growth: tuple[float, float, float]
  lower_bound: str | None = None
  slices: bool = False
  pairwise: bool = False
  inputs: tuple[str, ...] = ("latents",)


def value_and_gradient(form: Form, inputs: tuple[str, ...]) -> Callable[..., Any]:
  """Returns a function (data, axis_name=None) -> value and gradients for the `inputs`."""

  def function(data: Data, axis_name: str | None = None):
    def value(active):
      return form({**data, **active}, axis_name)

    return jax.value_and_grad(value)({name: data[name] for name in inputs})

  return function


def _distance(
  name: str, cost: str, growth: tuple[float, float, float], **options: Any
) -> dict[str, Distance]:
  forms = {form.form: form for form in FORMS if form.distance == name and form.measured}
  return {name: Distance(forms, cost, growth, **options)}


def _pairwise_distance(name: str) -> dict[str, Distance]:
  return _distance(name, "n²D", (2, 1, 0), lower_bound="products", pairwise=True)


def _sliced_distance(name: str) -> dict[str, Distance]:
  return _distance(name, "LnD + L n log n", (1, 1, 1), lower_bound="sort", slices=True)


DISTANCES: dict[str, Distance] = {
  **_distance(
    "kl_divergence", "nD", (1, 1, 0), lower_bound="pass", inputs=("latents", "log_variance")
  ),
  **_pairwise_distance("cramer_wold"),
  **_pairwise_distance("sigreg"),
  **_pairwise_distance("mmd_imq"),
  **_pairwise_distance("mmd_gaussian"),
  **_pairwise_distance("energy_distance"),
  **_pairwise_distance("kernel_stein"),
  **_sliced_distance("sliced_wasserstein"),
  **_sliced_distance("max_sliced_wasserstein"),
  **_distance("epps_pulley", "LnD + 20 Ln", (1, 1, 1), lower_bound="projections", slices=True),
  **_sliced_distance("cramer_von_mises"),
  **_sliced_distance("anderson_darling"),
  **_sliced_distance("kolmogorov_smirnov"),
  **_distance("sinkhorn_divergence", "3n²(D + iterations)", (2, 0, 0)),
}
