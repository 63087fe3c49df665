"""Expectations of radial functions under the uniform distributions on a sphere and in a ball.

The distance of x from a point of the sphere |y| = r depends on one angle θ, with a density in
proportion to sin^(D−2) θ. With h = sin²(θ/2) it is |x − y|² = (|x| − r)² + 4 |x| r h: nothing
cancels where x is near the sphere. So an expectation is one sum over nodes h for each latent, the
same nodes for every function.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

__all__ = ["ball_mean", "ball_pair_mean", "flux_mean", "sphere_mean", "sphere_pair_mean"]

Radial = Callable[[Array], Array]
"""A function of squared distances, elementwise."""

# Below this dimension θ = π v² with Gauss–Legendre nodes in v; above it Gauss–Gegenbauer nodes.
_MAX_CROWDED_DIM = 64


@functools.lru_cache(maxsize=128)
def angle_rule(dim: int, nodes: int | None = None) -> tuple[np.ndarray, np.ndarray]:
  """Returns nodes h = sin²(θ/2) and weights for the angle θ of two independent directions.

  Kinks, poles and narrow kernels lie at θ = 0, for x near the sphere. θ = π v² puts the nodes
  there. From 65 dimensions on, the density leaves nothing at θ = 0, and the rule of Gauss for the
  density itself needs fewer nodes.

  Args:
    dim: dimension of the space.
    nodes: number of Gauss–Gegenbauer nodes; by default the rule for the sphere.
  """
  if dim == 1:
    return np.array([0.0, 1.0]), np.array([0.5, 0.5])
  if nodes is None and dim <= _MAX_CROWDED_DIM:
    v, w = np.polynomial.legendre.leggauss(64)
    v = (v + 1) / 2
    theta = np.pi * v * v
    w = w * v * np.sin(theta) ** (dim - 2)
    return np.sin(theta / 2) ** 2, w / w.sum()
  # Golub & Welsch, 1969: the nodes are eigenvalues of the recurrence's matrix.
  a, k = dim / 2 - 1, np.arange(2.0, nodes or 32)
  squares = np.append(1 / dim, k * (k + 2 * a - 1) / (4 * (k + a) * (k + a - 1)))
  t, vectors = np.linalg.eigh(np.diag(np.sqrt(squares), 1) + np.diag(np.sqrt(squares), -1))
  return (1 - t) / 2, vectors[0] ** 2


def _norms(rows: Float[Array, "n d"]) -> Float[Array, " n"]:
  """Returns |x| of each row. Its gradient at 0 is 0, that of every smooth radial function."""
  squares = jnp.sum(rows * rows, 1)
  is_zero = squares == 0
  return jnp.where(is_zero, 0, jnp.sqrt(jnp.where(is_zero, 1, squares)))


def _squared_distances(norms: Array, radius: Array | float, h: Array) -> Array:
  return (norms - radius) ** 2 + 4 * norms * radius * h


def sphere_mean(function: Radial, rows: Float[Array, "n d"], radius: float) -> Float[Array, " n"]:
  """Returns E f(|x − y|²) over y on the sphere |y| = radius, for each row x."""
  h, w = (jnp.asarray(v, rows.dtype) for v in angle_rule(rows.shape[1]))
  distances = _squared_distances(_norms(rows)[:, None], radius, h)
  return jnp.sum(function(distances) * w, 1)


def sphere_pair_mean(function: Radial, dim: int, radius: float, dtype: Any) -> Array:
  """Returns E f(|y − y′|²) over two independent points of the sphere."""
  h, w = angle_rule(dim)
  return jnp.sum(function(jnp.asarray(4 * radius**2 * h, dtype)) * jnp.asarray(w, dtype))


def flux_mean(ball_average: Radial, rows: Float[Array, "n d"], radius: float) -> Float[Array, " n"]:
  """Returns E f(|x − y|²) over the ball |y| ≤ radius, by the divergence theorem.

  The nodes are those of the sphere. Weights are negative in part if |x| > radius, and the relative
  error there is that of the sphere times |x| / radius.

  Args:
    ball_average: s -> mean of f(|y|²) over the ball |y|² ≤ s.
    rows: the points x.
    radius: radius of the ball.
  """
  h, w = (jnp.asarray(v, rows.dtype) for v in angle_rule(rows.shape[1]))
  norms = _norms(rows)[:, None]
  outward = 1 - norms / radius * (1 - 2 * h)
  return jnp.sum(outward * ball_average(_squared_distances(norms, radius, h)) * w, 1)


@functools.lru_cache(maxsize=128)
def _ball_rule(dim: int, ratio: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns nodes v = |y| / radius and h, and weights, for the ball and x on any ray.

  Args:
    dim: dimension of the space.
    ratio: radius of the ball over the width of the function.
  """
  from scipy import special  # a quarter of the import time of aejax.distances

  # In low dimensions the nodes must be as close as the function is wide, everywhere in the ball.
  narrow = 2 * ratio if dim < 8 else 0
  h, w_angle = angle_rule(dim, math.ceil(24 + narrow))
  x, w_radius = special.roots_jacobi(math.ceil(max(12, 8 + narrow)), 0, dim - 1)
  weights = np.outer(w_radius / w_radius.sum(), w_angle)
  v, h = np.broadcast_arrays(((x + 1) / 2)[:, None], h)
  return v.ravel(), h.ravel(), weights.ravel()


def ball_mean(
  function: Radial, rows: Float[Array, "n d"], radius: float, width: float
) -> Float[Array, " n"]:
  """Returns E f(|x − y|²) over the ball |y| ≤ radius, for each row x, in two or more dimensions.

  A product of rules for the radius and the angle, with positive weights.

  Args:
    function: the function f.
    rows: the points x.
    radius: radius of the ball.
    width: distance over which the function changes, 1/20 of the radius at least.
  """
  rule = _ball_rule(rows.shape[1], radius / width)
  v, h, w = (jnp.asarray(part, rows.dtype) for part in rule)
  distances = _squared_distances(_norms(rows)[:, None], radius * v, h)
  return jnp.sum(function(distances) * w, 1)


@functools.lru_cache(maxsize=128)
def _pair_rule(dim: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns nodes |y − y′|² / (4 radius²) and weights for two independent points of a ball."""
  from scipy import special  # a quarter of the import time of aejax.distances

  # |y − y′| = 2 r sin α has the density D (2 sin α)^(D−1) I_{cos² α}((D+1)/2, 1/2) 2 cos α in α.
  x, w = np.polynomial.legendre.leggauss(200)
  alpha = (x + 1) * np.pi / 4
  sine, cosine = np.sin(alpha), np.cos(alpha)
  log_density = (dim - 1) * np.log(2 * sine) + np.log(cosine)
  tail = special.betainc((dim + 1) / 2, 0.5, cosine**2)
  weights = w * np.exp(log_density - log_density.max()) * tail
  return sine**2, weights / weights.sum()


def ball_pair_mean(function: Radial, dim: int, radius: float, dtype: Any) -> Array:
  """Returns E f(|y − y′|²) over two independent points of the ball |y| ≤ radius."""
  h, w = _pair_rule(dim)
  return jnp.sum(function(jnp.asarray(4 * radius**2 * h, dtype)) * jnp.asarray(w, dtype))
