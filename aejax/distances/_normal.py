"""Expectations under N(m, Σ) with a full covariance, from its eigenvalues.

E exp(−a |x − y|² / 2) is Π (1 + a λ_i)^(−1/2) exp(−w_i² a / (2 (1 + a λ_i))) with the eigenvalues
λ_i of Σ and the coordinates w_i of x − m in its eigenbasis: two products of matrices for all nodes.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from aejax.distances._distance_kernels import mean_norm
from aejax.distances._gaussian_nodes import GaussianNodes
from aejax.distances._radial import kummer
from aejax.priors import Normal

__all__ = ["normal_distance", "normal_pair_distance", "normal_sum"]

_matmul = functools.partial(jnp.matmul, precision=lax.Precision.HIGHEST)


def normal_sum(
  nodes: GaussianNodes, rows: Float[Array, "n d"], prior: Normal, *, copies: int = 1
) -> Float[Array, " n"]:
  """Returns E k(x, y) over y ~ N(copies · m, copies · Σ), for each row x."""
  exponents = jnp.asarray(nodes.exponents, rows.dtype)
  return nodes.sum(jnp.exp(-_exponents(rows, prior, exponents, copies)))


def normal_distance(
  rows: Float[Array, "n d"], prior: Normal, *, copies: int = 1
) -> Float[Array, " n"]:
  """Returns E|x − y| over y ~ N(copies · m, copies · Σ), for each row x.

  |v| = (2π)^(−1/2) ∫ (1 − exp(−a v²/2)) a^(−3/2) da. The integral is taken of the difference from
  N(m, λ I) with the mean eigenvalue λ, whose expectation is a closed form. The difference falls
  quickly at both ends, so one grid in units of 1/λ serves all rows and covariances.
  """
  dim = rows.shape[1]
  centred = rows - copies * prior.mean.astype(rows.dtype)
  squared_norms = jnp.sum(centred * centred, 1)
  variance = copies * _mean_variance(prior).astype(rows.dtype)
  isotropic = mean_norm(dim) * kummer(-0.5, dim / 2, squared_norms / (2 * variance))
  nodes, weights = _difference_rule(rows.dtype == jnp.float64)
  exponents = jnp.asarray(nodes, rows.dtype) / variance
  full = _exponents(rows, prior, exponents, copies)
  flat = _isotropic_exponents(squared_norms, variance, exponents, dim)
  # expm1 keeps the relative precision of small exponents, which have the largest weights.
  difference = jnp.expm1(-flat) - jnp.expm1(-full)
  return jnp.sqrt(variance) * (isotropic + _matmul(difference, jnp.asarray(weights, rows.dtype)))


def normal_pair_distance(prior: Normal, dtype: Any) -> Array:
  """Returns E|y − y′| over independent y, y′ ~ N(m, Σ)."""
  # y − y′ has twice the covariance, as has the sum of two draws, whose mean is 2 m.
  return normal_distance(2 * prior.mean.astype(dtype)[None], prior, copies=2)[0]


@functools.lru_cache
def _difference_rule(double: bool) -> tuple[np.ndarray, np.ndarray]:
  step, cut = (0.17, 1e-10) if double else (0.35, 1e-7)
  nodes = np.exp(np.arange(np.log(cut), -np.log(cut), step))
  return nodes, step / np.sqrt(2 * np.pi * nodes)


def _mean_variance(prior: Normal) -> Array:
  covariance = prior.covariance
  return jnp.mean(jnp.diagonal(covariance) if covariance.ndim == 2 else covariance)


def _exponents(rows: Array, prior: Normal, a: Array, copies: int) -> Float[Array, "n j"]:
  """Returns −log E exp(−a_j |x − y|² / 2) for each row and node."""
  centred = rows - copies * prior.mean.astype(rows.dtype)
  covariance = copies * prior.covariance.astype(rows.dtype)
  if covariance.ndim == 2:
    return _full_exponents(centred, covariance, a)
  return _diagonal_exponents(centred**2, jnp.broadcast_to(covariance, rows.shape[1:]), a)


def _isotropic_exponents(squared_norms: Array, variance: Array, a: Array, dim: int) -> Array:
  scaled = a * variance
  return squared_norms[:, None] * (a / 2 / (1 + scaled)) + dim / 2 * jnp.log1p(scaled)


def _diagonal_exponents(squares: Array, eigenvalues: Array, a: Array) -> Array:
  scaled = eigenvalues[:, None] * a
  return _matmul(squares, a / 2 / (1 + scaled)) + jnp.sum(jnp.log1p(scaled), 0) / 2


@jax.custom_jvp
def _full_exponents(centred: Array, covariance: Array, a: Array) -> Array:
  eigenvalues, vectors = jnp.linalg.eigh(covariance)
  return _diagonal_exponents(_matmul(centred, vectors) ** 2, eigenvalues, a)


@functools.partial(_full_exponents.defjvp, symbolic_zeros=True)
def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
  """Derivatives with respect to Σ are finite at equal eigenvalues, where those of eigh are not."""
  centred, covariance, a = primals
  eigenvalues, vectors = jnp.linalg.eigh(covariance)
  zero = jax.custom_derivatives.SymbolicZero

  def in_eigenbasis(centred: Array, a: Array) -> Array:
    return _diagonal_exponents(_matmul(centred, vectors) ** 2, eigenvalues, a)

  of_centred, of_covariance, of_a = (
    None if isinstance(tangent, zero) else tangent for tangent in tangents
  )
  value, slope = jax.jvp(
    in_eigenbasis,
    (centred, a),
    tuple(
      jnp.zeros_like(v) if tangent is None else tangent
      for v, tangent in ((centred, of_centred), (a, of_a))
    ),
  )
  if of_covariance is not None:
    # d(½ log det(I + aΣ) + ½ xᵀ A x) = ½ tr(A dΣ) − ½ (A x)ᵀ dΣ (A x) with A = a (I + aΣ)⁻¹.
    change = _matmul(_matmul(vectors.T, of_covariance), vectors)
    shrinkage = a / (1 + eigenvalues[:, None] * a)
    moved = _matmul(centred, vectors)[:, :, None] * shrinkage
    quadratic = jnp.einsum("npj,pq,nqj->nj", moved, change, moved, precision="highest")
    slope += (_matmul(jnp.diagonal(change), shrinkage) - quadratic) / 2
  return value, slope
