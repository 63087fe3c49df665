"""Lower bounds of time: the part of a distance that every program needs, and nothing else."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.distances import Data
from benchmarks.programs import compile_program

__all__ = ["LOWER_BOUNDS"]

Calls = dict[str, Callable[[], Any]]

# The products of one block stay in cache, and memory stays linear in n.
_BLOCK = 1024


def _products(data: Data) -> Calls:
  """Computes Z Zᵀ, and for the gradient W Z, where W has the shape of Z Zᵀ and costs nothing."""

  def forward(z):
    # No algebraic simplification can compute a maximum without the product.
    return _over_blocks(lambda rows: jnp.max(_matmul(rows, z.T)), z)

  def with_gradient(z):
    return _over_blocks(lambda rows: _matmul(_matmul(rows, z.T), z), z)

  return _compile(forward, with_gradient, jnp.asarray(data["latents"]))


def _over_blocks(function: Callable[[jax.Array], jax.Array], z: jax.Array) -> jax.Array:
  n = z.shape[0]
  if n <= _BLOCK:
    return function(z)
  count = -(-n // _BLOCK)
  size = -(-n // count)
  padded = jnp.pad(z, ((0, count * size - n), (0, 0)))
  return lax.map(function, padded.reshape(count, size, -1))


def _projections(data: Data) -> Calls:
  """Computes ΘZᵀ, and for the gradient the product of a matrix of that shape with Θ."""

  def forward(z, directions):
    return _matmul(directions, z.T)

  def with_gradient(z, directions):
    return _matmul(_matmul(directions, z.T).T, directions)

  return _compile(
    forward, with_gradient, jnp.asarray(data["latents"]), jnp.asarray(data["directions"])
  )


def _sort(data: Data) -> Calls:
  """Computes ΘZᵀ and sorts its rows, by NumPy on a CPU and by XLA elsewhere."""
  z, directions = jnp.asarray(data["latents"]), jnp.asarray(data["directions"])
  if jax.default_backend() != "cpu":
    return _compile(
      lambda z, directions: jnp.sort(_matmul(directions, z.T)),
      lambda z, directions: _matmul(jnp.sort(_matmul(directions, z.T)).T, directions),
      z,
      directions,
    )
  project = compile_program(lambda z, directions: _matmul(directions, z.T), z, directions)
  back = compile_program(lambda p, directions: _matmul(p.T, directions), project(), directions)

  def forward():
    return np.sort(np.asarray(project()), axis=1)

  def with_gradient():
    forward()
    return back()

  return {"forward": forward, "gradient": with_gradient}


def _pass(data: Data) -> Calls:
  """Reads both inputs once, and for the gradient writes two outputs of their size."""
  return _compile(
    lambda x, y: jnp.sum(x + y),
    lambda x, y: (jnp.sum(x + y), 2 * x, 2 * y),
    jnp.asarray(data["latents"]),
    jnp.asarray(data["log_variance"]),
  )


def _compile(
  forward: Callable[..., Any], with_gradient: Callable[..., Any], *arguments: jax.Array
) -> Calls:
  return {
    "forward": compile_program(forward, *arguments),
    "gradient": compile_program(with_gradient, *arguments),
  }


def _matmul(x: jax.Array, y: jax.Array) -> jax.Array:
  return jnp.matmul(x, y, precision=lax.Precision.HIGHEST)


LOWER_BOUNDS: dict[str, Callable[[Data], Calls]] = {
  "products": _products,
  "sort": _sort,
  "projections": _projections,
  "pass": _pass,
}
"""Functions of data that return the calls of a lower bound by mode, "forward" and "gradient"."""
