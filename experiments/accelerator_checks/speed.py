"""The two benchmarks in short: distances with their gradients, and training steps."""

import time
from collections.abc import Iterator
from typing import Any

import jax
from benchmarks.catalogue import FORMS, NORMAL
from benchmarks.distances import value_and_gradient
from benchmarks.timing import measure
from benchmarks.training_programs import Training, Workload

from accelerator_checks.distances import Case
from aejax import objectives

__all__ = ["rows"]

_SIZES = (256, 2048, 8192, 65_536)
_METHODS = ("cwae", "ae", "vae", "wae-mmd", "swae")
_NETWORKS = ("mlp", "convolutional", "cifar10")
_STEPS = 100


def rows(quick: bool) -> Iterator[dict[str, Any]]:
  """Yields times of value and gradient, then times of training steps; of our programs only."""
  yield from _distances(quick)
  yield from _training(quick)


def _distances(quick: bool) -> Iterator[dict[str, Any]]:
  forms = [form for form in FORMS if form.measured and form.form == NORMAL]
  for n in (64,) if quick else _SIZES:
    for form in forms[1:2] if quick else forms:
      data = jax.tree.map(jax.numpy.asarray, Case(form, n, 64).data())
      program = jax.jit(value_and_gradient(form, ("latents",)))
      start = time.perf_counter()
      jax.block_until_ready(program(data))
      first = time.perf_counter() - start
      timing = measure(
        {"call": lambda program=program, data=data: jax.block_until_ready(program(data))},
        seconds=0.01 if quick else 0.15,
        max_seconds=3,
      )["call"]
      row = {"distance": form.name, "n": n, "dim": 64, "first_call_s": first}
      yield {**row, "ms": 1e3 * timing.median, "upper_ms": 1e3 * timing.upper}


def _training(quick: bool) -> Iterator[dict[str, Any]]:
  for network in ("linear",) if quick else _NETWORKS:
    for method in _METHODS[:1] if quick else _METHODS:
      size = {"side": 8, "batch_size": 16, "num_images": 64} if quick else {}
      workload = Workload(network, **size)
      steps = 2 if quick else _STEPS
      start = time.perf_counter()
      training = Training(workload, objectives.make(method, {}))
      training(1)
      first = time.perf_counter() - start
      timing = measure(
        {"call": lambda training=training, steps=steps: training(steps)},
        seconds=0.01 if quick else 0.5,
        max_seconds=10,
      )["call"]
      seconds = timing.median / steps
      yield {
        "network": network,
        "method": method,
        "batch_size": workload.batch_size,
        "first_call_s": first,
        "ms_a_step": 1e3 * seconds,
        "images_per_second": workload.batch_size / seconds,
      }
