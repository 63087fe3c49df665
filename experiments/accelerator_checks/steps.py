"""Correctness of training: loss and gradient of a step on the device against those on the CPU."""

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import optax

from accelerator_checks.devices import cpu_and_device, on
from aejax import networks, objectives, training

__all__ = ["TOLERANCE", "rows"]

TOLERANCE = 1e-3
"""Largest relative difference that is right with products in float32."""


def rows(quick: bool) -> Iterator[dict[str, Any]]:
  """Yields the errors of every method with the network mlp, and of every network with cwae."""
  pairs = [(name, "mlp") for name in objectives.BY_NAME]
  pairs += [("cwae", name) for name in networks.ARCHITECTURES if name != "mlp"]
  side = 8 if quick else 32
  for method, network in [("cwae", "linear")] if quick else pairs:
    row: dict[str, Any] = {"method": method, "network": network, "side": side}
    try:
      yield {**row, **_errors(method, network, side)}
    except ImportError as error:  # an optional package, such as ott-jax
      yield {**row, "left_out": str(error)}
    except Exception as error:  # the compiler's or the device's own type
      yield {**row, "ok": False, "error": " ".join(str(error).split())[:200]}


def _errors(method: str, network: str, side: int) -> dict[str, Any]:
  cpu, device = cpu_and_device()
  shape = (side, side, 3)
  batch = np.random.default_rng(0).integers(0, 256, (32, *shape), np.uint8)
  with jax.default_device(cpu):
    objective = objectives.make(method, {})
    keys = jax.random.split(jax.random.key(0))
    model = networks.build(
      network, shape, latent_dim=8, gaussian=objective.gaussian_encoder, key=keys[0]
    )
    # With this optimizer, the step subtracts the gradient itself.
    state, step = training.create(model, objective, optax.sgd(1.0), key=keys[1])

  def gradient(where, precision: str | None):
    with jax.default_matmul_precision(precision):
      after, metrics = jax.jit(step)(*on(where, (state, batch)))
    change = jax.tree.map(lambda a, b: a - b, *jax.device_get((state.params, after.params)))
    return float(metrics["loss"]), jax.tree.leaves(change)

  expected = gradient(cpu, "highest")
  exact = gradient(device, "highest")
  row = {"loss_error": abs(exact[0] - expected[0]) / abs(expected[0])}
  row["gradient_error"] = _difference(exact[1], expected[1])
  ok = row["loss_error"] <= TOLERANCE and row["gradient_error"] <= TOLERANCE
  if method == "cwae":  # how far the device's default precision is off
    row["default_gradient_error"] = _difference(gradient(device, None)[1], expected[1])
  return {"ok": ok, **row}


def _difference(found: list[np.ndarray], expected: list[np.ndarray]) -> float:
  largest = max(float(np.abs(right).max()) for right in expected)
  pairs = zip(found, expected, strict=True)
  return max(float(np.abs(one - right).max()) for one, right in pairs) / largest
