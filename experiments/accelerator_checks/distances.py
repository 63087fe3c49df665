"""Correctness of the distances: value and gradient on the device against those on the CPU."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from benchmarks.catalogue import FORMS, NORMAL, DistanceForm
from benchmarks.distances import value_and_gradient

from accelerator_checks.devices import cpu_and_device, on

__all__ = ["TOLERANCE", "rows"]

TOLERANCE = 1e-4
"""Largest difference that is right. On a CPU, float32 differs from float64 by less than 1e-5; with
products in TF32, the difference would be about 1e-3."""

_QUICK = ("cramer_wold", "energy_distance-samples", "sliced_wasserstein")
_PAIRWISE = ("cramer_wold", "mmd_imq", "mmd_gaussian", "energy_distance", "kernel_stein")
_SLICED = ("sliced_wasserstein", "epps_pulley", "anderson_darling")


@dataclasses.dataclass(frozen=True)
class Case:
  """A form of a distance and the size of its data.

  Attributes:
    form: the form.
    n: number of latents.
    dim: their dimension.
    repeated: whether every latent occurs twice.
  """

  form: DistanceForm
  n: int
  dim: int
  repeated: bool = False

  def data(self) -> dict[str, Any]:
    """Latents near N(0, I), samples and directions."""
    generator = np.random.default_rng(0)
    z = 0.8 * generator.standard_normal((self.n, self.dim)) + 0.2
    if self.repeated:
      z[self.n // 2 :] = z[: self.n - self.n // 2]
    samples = generator.standard_normal((min(self.n + 3, 4096), self.dim))
    directions = generator.standard_normal((50, self.dim))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    arrays = {"latents": z, "samples": samples, "directions": directions, "log_variance": -(z**2)}
    return {name: value.astype(np.float32) for name, value in arrays.items()}


def cases(quick: bool) -> Iterator[Case]:
  """Yields all forms at a small size, and some where a GPU or TPU uses several tiles."""
  named = {form.name: form for form in FORMS}
  if quick:
    yield from (Case(named[name], 33, 5) for name in _QUICK)
    return
  yield from (Case(form, 257, 17) for form in FORMS)
  yield from (Case(named[name], 256, 8, repeated=True) for name in _PAIRWISE)
  yield from (Case(named[name], 9001, 64) for name in (*_PAIRWISE, *_SLICED))


def rows(quick: bool) -> Iterator[dict[str, Any]]:
  """Yields the errors of each case, relative to the largest entry of the gradient."""
  for case in cases(quick):
    row: dict[str, Any] = {"form": case.form.name, "n": case.n, "dim": case.dim}
    row["repeated"] = case.repeated
    try:
      yield {**row, **_errors(case)}
    except ImportError as error:  # an optional package, such as ott-jax
      yield {**row, "left_out": str(error)}
    except Exception as error:  # the compiler's or the device's own type
      yield {**row, "ok": False, "error": " ".join(str(error).split())[:200]}


def _errors(case: Case) -> dict[str, Any]:
  inputs = ("latents", "log_variance") if case.form.form == NORMAL else ("latents",)
  function = jax.jit(value_and_gradient(case.form, inputs))
  results = [jax.device_get(function(on(device, case.data()))) for device in cpu_and_device()]
  (expected, expected_gradients), (value, gradients) = results
  value_error = float(abs(value - expected) / (abs(expected) + 0.1))
  gradient_error = max(
    float(np.abs(gradients[name] - right).max() / max(np.abs(right).max(), 1e-30))
    for name, right in expected_gradients.items()
  )
  # `<=` is false for a NaN.
  ok = value_error <= TOLERANCE and gradient_error <= TOLERANCE
  return {"ok": ok, "value_error": value_error, "gradient_error": gradient_error}
