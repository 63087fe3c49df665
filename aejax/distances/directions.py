"""Directions on the unit sphere, projections onto them, and what a list of them must be."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key

from aejax._memory import check_fits
from aejax.distances._arguments import public_jit

__all__ = ["as_directions", "largest", "project", "random_directions"]


@public_jit
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
    ValueError: if `num` or `dim` is no whole number from 1 up, or `key` no key.

  Example:
    >>> random_directions(jax.random.key(0), 50, 8).shape
    (50, 8)

  Reference: Kolouri et al., 2018, arXiv 1804.01947, algorithm 1; orthogonal frames: Rowland et
    al., AISTATS 2019.
  """
  frames = -(-num // dim) if orthogonal else 0
  check_fits("num", num, 4 * max(num * dim, frames * dim * dim))
  if not orthogonal:
    normals = jax.random.normal(key, (num, dim))
    return normals / jnp.linalg.norm(normals, axis=1, keepdims=True)
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


def project(z: Float[Array, "n d"], directions: Float[Array, "num d"]) -> Float[Array, "n num"]:
  """The latents seen along each direction."""
  return jnp.matmul(z, directions.T, precision=lax.Precision.HIGHEST)
