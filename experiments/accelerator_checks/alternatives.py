"""Times implementations that aejax chose between on the evidence of compiled programs."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from benchmarks.timing import measure
from jax import lax

from aejax.networks._conv_ops import transposed_convolve

__all__ = ["rows"]

Variants = dict[str, Callable[[], Any]]


def rows(quick: bool) -> Iterator[dict[str, Any]]:
  """Yields the time of each variant; the first of each group is the one in use, on a GPU."""
  scale = 64 if quick else 1
  for what, variants in (
    ("sort with places, 50 rows", _sorts(65_536 // scale)),
    ("product with 64 terms, 8192 columns", _products(65_536 // scale)),
    ("transposed convolution and gradient", _convolutions(256 // scale, 512 // scale)),
    ("rows of CIFAR-10 images", _images(50_000 // scale)),
  ):
    for name, call in variants.items():
      row = {"what": what, "variant": name}
      try:
        timing = measure({name: call}, seconds=0.01 if quick else 0.2, max_seconds=5)[name]
      except Exception as error:  # a platform that does not know an algorithm of products
        yield {**row, "error": " ".join(str(error).split())[:200]}
        continue
      yield {**row, "ms": 1e3 * timing.median}


def _call(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
  program = jax.jit(function)
  return lambda: jax.block_until_ready(program(*arguments))


def _sorts(n: int) -> Variants:
  x = jax.random.normal(jax.random.key(0), (50, n))

  def sort(axis: int, stable: bool) -> Callable[[], Any]:
    rows = x if axis else x.T
    places = lax.broadcasted_iota(jnp.int32, rows.shape, axis)

    def function(rows, places):
      return lax.sort((rows, places), dimension=axis, is_stable=stable, num_keys=1)

    return _call(function, rows, places)

  return {
    "last axis (in use on a GPU)": sort(1, False),
    "first axis (in use on a TPU)": sort(0, False),
    "last axis, stable": sort(1, True),
  }


def _products(n: int) -> Variants:
  x, y = jax.random.normal(jax.random.key(0), (n, 64)), jnp.ones((64, 8192))

  def product(precision: Any) -> Callable[[], Any]:
    return _call(lambda x, y: jnp.max(jnp.matmul(x, y, precision=precision), 1), x, y)

  return {
    "highest (in use)": product(lax.Precision.HIGHEST),
    "TF32 in three products": product(lax.DotAlgorithmPreset.TF32_TF32_F32_X3),
    "the device's default": product(lax.Precision.DEFAULT),
  }


def _convolutions(n: int, channels: int) -> Variants:
  x = jax.random.normal(jax.random.key(0), (n, 16, 16, channels))
  kernel = 0.01 * jax.random.normal(jax.random.key(1), (4, 4, channels, channels // 2))

  def dilated(x, kernel):
    return lax.conv_general_dilated(
      x, kernel, (1, 1), [(2, 2), (2, 2)], (2, 2), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )

  def adjoint(x, kernel):
    return transposed_convolve(x, kernel, stride=2, size=(32, 32))

  def gradient(function: Callable[..., Any]) -> Callable[[], Any]:
    return _call(jax.grad(lambda x, k: jnp.sum(function(x, k) ** 2), (0, 1)), x, kernel)

  return {"adjoint (in use)": gradient(adjoint), "zeros between pixels": gradient(dilated)}


def _images(n: int) -> Variants:
  flat = jnp.zeros((n, 32 * 32 * 3), jnp.uint8)
  order = jax.random.randint(jax.random.key(0), (10, 256), 0, n)

  def visit(images, order):
    def body(total, rows):
      batch = images[rows].reshape(-1, 32, 32, 3)
      return total + jnp.sum(batch.astype(jnp.float32)), None

    return lax.scan(body, 0.0, order)[0]

  return {
    "flat (in use)": _call(visit, flat, order),
    "height, width, channels": _call(visit, flat.reshape(n, 32, 32, 3), order),
  }
