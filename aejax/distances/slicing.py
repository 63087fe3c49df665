"""Directions on the unit sphere, projections onto them, and what a list of them must be."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Float, Key

__all__ = ["as_directions", "largest", "project", "random_directions", "unit_rows"]

P = ParamSpec("P")
T = TypeVar("T")


@functools.partial(jax.jit, static_argnames=("num", "dim", "orthogonal"))
def random_directions(
  key: Key[Array, ""], num: int, dim: int, *, orthogonal: bool = False
) -> Float[Array, "{num} {dim}"]:
  """Directions drawn uniformly from the unit sphere.

  Args:
    key: a `jax.random.key`; a new one each step gives new slices each step.
    num: how many.
    dim: dimension of the latents.
    orthogonal: draw them in orthonormal frames of `dim`, the last one cut short. Each is still
      uniform; together they cover the sphere more evenly.

  Returns:
    Unit vectors, one a row.

  Raises:
    ValueError: if `num` or `dim` is less than one.

  Example:
    >>> random_directions(jax.random.key(0), 50, 8).shape
    (50, 8)

  Reference: Kolouri et al., 2018, arXiv 1804.01947, algorithm 1; orthogonal frames: Rowland et
    al., AISTATS 2019.
  """
  if num < 1 or dim < 1:
    raise ValueError(f"num and dim must be at least 1, but are {num} and {dim}.")
  if not orthogonal:
    normals = jax.random.normal(key, (num, dim))
    return normals / jnp.linalg.norm(normals, axis=1, keepdims=True)
  frames = -(-num // dim)
  q, r = jnp.linalg.qr(jax.random.normal(key, (frames, dim, dim)))
  # The signs of R's diagonal make Q uniform on the orthogonal group, not merely orthogonal.
  q = q * jnp.sign(jnp.diagonal(r, axis1=1, axis2=2))[:, None, :]
  return jnp.swapaxes(q, 1, 2).reshape(-1, dim)[:num]


def as_directions(directions: jax.Array, z: jax.Array) -> jax.Array:
  """Returns `directions` in the dtype of `z`.

  Raises:
    ValueError: if they are no floating-point matrix as wide as `z`.
  """
  directions = jnp.asarray(directions)
  if directions.ndim != 2 or directions.shape[0] < 1 or directions.shape[1] != z.shape[1]:
    raise ValueError(
      f"directions must have shape [num, {z.shape[1]}] for latents of dimension {z.shape[1]}, "
      f"but has shape {list(directions.shape)}."
    )
  if not jnp.issubdtype(directions.dtype, jnp.floating):
    raise ValueError(f"directions must have a floating-point dtype, but has {directions.dtype}.")
  return directions.astype(z.dtype)


def largest(values: Float[Array, "n *columns"]) -> Float[Array, "*columns"]:
  """The maximum along the first axis, with the gradient of one winner.

  That of `jnp.max` looks for the entries equal to the maximum, and once compiled it may compare two
  differently rounded copies of them: it then finds none.
  """
  winner = jnp.argmax(lax.stop_gradient(values), axis=0, keepdims=True)
  return jnp.take_along_axis(values, winner, axis=0)[0]


def unit_rows(function: Callable[P, T]) -> Callable[P, T]:
  """Refuses directions that are no unit vectors, where their values can be seen: not under jit.

  A length off by 1 % moves a squared distance by 2 % and says nothing.
  """

  @functools.wraps(function)
  def checked(*args: P.args, **kwargs: P.kwargs) -> T:
    directions: Any = kwargs.get("directions")
    visible = isinstance(directions, jax.Array | np.ndarray) and not isinstance(directions, Tracer)
    if visible and directions.ndim == 2 and directions.size:
      lengths = np.linalg.norm(np.asarray(directions, np.float64), axis=1)
      worst = lengths[np.argmax(np.abs(lengths - 1))]
      # bfloat16 keeps eight bits: its unit vectors have lengths within 2⁻⁸.
      if not abs(worst - 1) < 0.005:
        raise ValueError(f"directions must be unit vectors, but one has length {worst:.6g}.")
    return function(*args, **kwargs)

  return checked


def project(z: Float[Array, "n d"], directions: Float[Array, "num d"]) -> Float[Array, "n num"]:
  """The latents seen along each direction."""
  return jnp.matmul(z, directions.T, precision=lax.Precision.HIGHEST)
