"""Expectations under priors with independent coordinates: Laplace, and uniform in a cube.

E exp(−a |x − y|² / 2) is the product over coordinates of g(a, x_i) = E exp(−a (x_i − y_i)² / 2). A
loop over the nodes a computes the products, so memory is that of the latents, forward and backward.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from aejax.distances._distance_kernels import mean_norm
from aejax.distances._gaussian_nodes import GaussianNodes
from aejax.distances._one_coordinate import Product, log_transforms, pair_nodes, variance_of
from aejax.distances._radial import kummer

__all__ = ["product_distance", "product_pair_distance", "product_pair_sum", "product_sum"]


def product_sum(
  nodes: GaussianNodes, rows: Float[Array, "n d"], prior: Product
) -> Float[Array, " n"]:
  """Returns E k(x, y) over y from the prior, for each row x."""

  def term(log_normal: Array, log_exact: Array) -> Array:
    del log_normal
    return jnp.exp(log_exact)

  total = _sum_over_nodes(
    term, jnp.asarray(nodes.exponents, rows.dtype), nodes.weights, rows, prior
  )
  return total + nodes.constant


def product_pair_sum(nodes: GaussianNodes, prior: Product) -> Array | float:
  """Returns E k(y, y′) over independent y, y′ from the prior."""
  return nodes.sum(_pair_transforms(nodes.exponents, prior))


def product_distance(rows: Float[Array, "n d"], prior: Product) -> Float[Array, " n"]:
  """Returns E|x − y| over y from the prior, for each row x.

  As in `normal_distance`, the integral is taken of the difference from the normal distribution with
  the same variance. Where the difference is small, at small a, it has relative precision.
  """
  dim, variance = rows.shape[1], variance_of(prior)
  squared_norms = jnp.sum(rows * rows, 1)
  isotropic = mean_norm(dim) * kummer(-0.5, dim / 2, squared_norms / (2 * variance))
  exponents, weights = _difference_rule(dim, rows.dtype == jnp.float64)

  def term(log_normal: Array, log_exact: Array) -> Array:
    ratio = log_exact - log_normal
    close = -jnp.exp(log_normal) * jnp.expm1(jnp.minimum(ratio, 1))
    return jnp.where(ratio < 1, close, jnp.exp(log_normal) - jnp.exp(log_exact))

  scaled = jnp.asarray(exponents / variance, rows.dtype)
  difference = _sum_over_nodes(term, scaled, weights, rows, prior)
  return math.sqrt(variance) * (isotropic + difference)


def product_pair_distance(prior: Product) -> float:
  """Returns E|y − y′| over independent y, y′ from the prior."""
  variance = 2 * variance_of(prior)
  exponents, weights = _difference_rule(prior.dim, True)
  normal = (1 + exponents) ** (-prior.dim / 2)
  difference = normal - _pair_transforms(exponents / variance, prior)
  return math.sqrt(variance) * (mean_norm(prior.dim) + float(difference @ weights))


@functools.lru_cache(maxsize=64)
def _difference_rule(dim: int, double: bool) -> tuple[np.ndarray, np.ndarray]:
  """Returns nodes a in units of 1 / variance, and weights, for the integral of a difference.

  For small a the difference is of order a², for large a of order a^(−D/2).
  """
  step, cut = (0.17, 1e-7) if double else (0.35, 1e-5)
  nodes = np.exp(np.arange(np.log(cut), np.log(1e6), step))
  weights = step / np.sqrt(2 * np.pi * nodes)
  weights[-1] += weights[-1] / np.expm1(step * (dim + 1) / 2)
  return nodes, weights


def _pair_transforms(a: Array | np.ndarray, prior: Product) -> Array | np.ndarray:
  """Returns E exp(−a_j |y − y′|² / 2), in NumPy's float64 unless a is traced."""
  squares, weights = pair_nodes(prior)
  if isinstance(a, np.ndarray):
    return (np.exp(-a[:, None] * squares / 2) @ weights) ** prior.dim
  terms = jnp.exp(-a[:, None] * jnp.asarray(squares, a.dtype) / 2)
  return jnp.sum(terms * jnp.asarray(weights, a.dtype), 1) ** prior.dim


def _sum_over_nodes(
  term: Callable[[Array, Array], Array],
  exponents: Array,
  weights: np.ndarray,
  rows: Float[Array, "n d"],
  prior: Product,
) -> Float[Array, " n"]:
  """Returns Σ_j w_j term(log E under the normal distribution, log E under the prior)."""

  @functools.partial(jax.checkpoint, prevent_cse=False)
  def part(exponent: Array, rows: Array) -> Array:
    log_normal, log_exact = log_transforms(exponent, rows, prior)
    return term(jnp.sum(log_normal, 1), jnp.sum(log_exact, 1))

  # A carried sum would need the mesh axes of the rows in its type under `shard_map`.
  terms = lax.map(lambda exponent: part(exponent, rows), exponents)
  return jnp.sum(terms * jnp.asarray(weights, rows.dtype)[:, None], 0)
