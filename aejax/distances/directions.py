"""Directions on the unit sphere: random draws, checks, projections."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from aejax._memory import check_fits
from aejax.distances._arguments import public_jit
from aejax.priors import KeyArray

__all__ = ["as_directions", "by_groups", "largest", "project", "random_directions"]

# Projections that are held at a time, 64 MiB in float32.
_MAX_PROJECTIONS = 2**24


@public_jit("num", "dim", "orthogonal")
def random_directions(
  key: KeyArray, num: int, dim: int, *, orthogonal: bool = False
) -> Float[Array, "{num} {dim}"]:
  """Draws directions uniformly from the unit sphere.

  Args:
    key: a `jax.random.key`; a new key each step gives new directions each step.
    num: number of directions.
    dim: dimension of the latents.
    orthogonal: draw orthonormal frames of `dim` directions, the last frame cut short. Each
      direction is still uniform; together they cover the sphere more evenly.

  Returns:
    Unit vectors, one a row.

  Raises:
    ValueError: if `num` or `dim` is not a whole number from 1 up, or `key` is not a key.

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
  # With the signs of the diagonal of R, Q is uniform on the orthogonal group.
  q = q * jnp.sign(jnp.diagonal(r, axis1=1, axis2=2))[:, None, :]
  return jnp.swapaxes(q, 1, 2).reshape(-1, dim)[:num]


def as_directions(directions: Any, z: Float[Array, "n d"]) -> Float[Array, "num d"]:
  """Returns `directions` in the dtype of `z`.

  Raises:
    ValueError: if they are not a floating-point matrix with as many columns as `z`.
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
  """Returns the maximum along the first axis, with the gradient of one winner.

  The gradient of `jnp.max` searches for entries equal to the maximum. The compiled program may
  compare two differently rounded copies, and then finds none. Here it compares indices. The
  gradient of a gather would be a scatter, which accelerators execute slowly.
  """
  winner = jnp.argmax(lax.stop_gradient(values), axis=0, keepdims=True)
  index = lax.broadcasted_iota(winner.dtype, values.shape, 0)
  return jnp.sum(jnp.where(index == winner, values, 0), axis=0)


def by_groups(
  function: Callable[[Array], Array], n: int, directions: Float[Array, "num d"]
) -> Float[Array, " num"]:
  """Returns a function of directions, which gives one number for each, a few directions at a time.

  Memory then does not grow with the number of directions: the gradient computes the projections of
  n latents again instead of storing them.
  """
  num, dim = directions.shape
  groups = -(-num // max(1, _MAX_PROJECTIONS // n))
  if groups == 1:
    return function(directions)
  size = -(-num // groups)
  filled = jnp.concatenate([directions] * (1 + -(-groups * size // num)))[: groups * size]
  computed = jax.checkpoint(function, prevent_cse=False)
  return lax.map(computed, filled.reshape(groups, size, dim)).reshape(-1)[:num]


def project(z: Float[Array, "n d"], directions: Float[Array, "num d"]) -> Float[Array, "n num"]:
  """Returns the projections of the latents onto each direction."""
  return jnp.matmul(z, directions.T, precision=lax.Precision.HIGHEST)
