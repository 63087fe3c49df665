"""The kernel Stein discrepancy, which uses only the score of the prior."""

import functools
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from aejax import _checks
from aejax.distances._arguments import Latents, Scalar, as_latents, checked
from aejax.distances._gaussian_nodes import terms_of
from aejax.distances._pairwise import self_sum
from aejax.distances._score_tile import score_sum
from aejax.distances._sharding import AxisName, Shard, all_gather_rows, sharded
from aejax.distances.kernels import Kernel, imq
from aejax.distances.scale_mixtures import Matern
from aejax.priors import (
  Prior,
  StandardNormal,
  UniformBall,
  UniformCube,
  UniformSphere,
  check_dimension,
)

__all__ = ["Density", "Score", "kernel_stein"]


@runtime_checkable
class Density(Protocol):
  """A distribution with a differentiable density, such as a prior of `aejax.priors`."""

  def log_prob(self, z: Any, /) -> Array:
    """Returns the log density of each row, [n, d] -> [n]; the normalisation does not matter."""
    ...


Score = Callable[[Any], Array]
"""The gradient of a log density, row by row, [n, d] -> [n, d]."""


def _target(name: str, value: Any) -> Any:
  is_target = hasattr(value, "log_prob") or callable(value) or isinstance(value, Prior)
  if value is None or (is_target and not isinstance(value, type)):
    return value
  raise ValueError(
    f"{name} must be None, a prior with a density, or a score function, but is "
    f"{_checks.type_name(value)}."
  )


@functools.partial(checked, checks={"target": _target})
def kernel_stein(
  z: Latents,
  target: Prior | Density | Score | None = None,
  *,
  kernel: Kernel = imq(),
  unbiased: bool = True,
  pairs: int | None = None,
  axis_name: AxisName = None,
) -> Scalar:
  """Squared kernel Stein discrepancy of the distribution of `z` from `target`, or from N(0, I).

  The mean over pairs of s(x)·s(y) k + s(x)·∇_y k + s(y)·∇_x k + tr ∇_x ∇_y k with the score
  s = ∇ log p of the target, −x for N(0, I). Under the target the mean of each such pair is zero, so
  no expectation over it has to be computed or sampled, and its density may lack a normalisation.
  The discrepancy hardly notices the weights of modes that are far apart. Choose bandwidths in
  proportion to √d.

  Args:
    z: latents, one a row.
    target: None for N(0, I); a prior or another object whose `log_prob` gives one value for each
      row; or its score, a function [n, d] -> [n, d] that treats each row on its own. Gradients
      pass through both x and s(x).
    kernel: `imq()`, `gaussian(bandwidth)`, or a radial kernel that is twice differentiable at 0.
    unbiased: leave out the pairs i = i. The estimate is then right on average and may be negative.
    pairs: number of latents that each latent is paired with, or None for all, as in `mmd`. The
      latents must be in random order. The variance is that of `mmd`, with the
      Stein kernel as k̃.
    axis_name: name of the mapped axis over which `z` is spread; the value is then that of the
      global batch.

  Returns:
    The discrepancy; NaN if the density is zero at a latent and `z` is traced, as under `jit`.

  Raises:
    ValueError: if `unbiased` and there is only one latent, if dimensions differ, if the target is
      uniform, if its density is zero at a latent, or if the kernel is `laplace`.

  Example:
    >>> float(kernel_stein(jnp.zeros((1, 3)), kernel=gaussian(1.0), unbiased=False))
    3.0
    >>> float(kernel_stein(jnp.zeros((1, 3)), lambda z: -z, kernel=gaussian(1.0), unbiased=False))
    3.0

  Reference: Liu, Lee & Jordan, ICML 2016, arXiv 1602.03253, theorem 3.6; Chwialkowski et al., ICML
    2016, arXiv 1602.02964.
  """
  if any(isinstance(term, Matern) and term.nu < 1 for term in terms_of(kernel)):
    raise ValueError(
      "kernel_stein needs a kernel without a kink at x = y, but laplace has one: use "
      "matern(1.5, bandwidth)."
    )
  z = as_latents(z, minimum=2 if unbiased and axis_name is None else 1)
  return _discrepancy(z, _scores(target, z), kernel, unbiased, pairs, axis_name)


@functools.partial(jax.jit, static_argnames=("kernel", "unbiased", "pairs", "axis_name"))
def _discrepancy(
  z: Array,
  scores: Array | None,
  kernel: Kernel,
  unbiased: bool,
  pairs: int | None,
  axis_name: AxisName,
) -> Scalar:
  z = all_gather_rows(z, axis_name)
  scores = None if scores is None else all_gather_rows(scores, axis_name)
  n, dim = z.shape

  def to_normal(d: Array, r: Array) -> Array:
    # With x·y = (|x|² + |y|² − d) / 2, everything is a function of d and of r = |x|² + |y|².
    k, slope, curvature = _two_derivatives(lambda d: kernel(d, dim), d)
    return (r - d) / 2 * k + 2 * (d - dim) * slope - 4 * d * curvature

  def to_scores(d: Array, p: Array, q: Array) -> Array:
    # p = s(x)·s(y) and q = (s(x) − s(y))·(x − y).
    k, slope, curvature = _two_derivatives(lambda d: kernel(d, dim), d)
    return p * k - 2 * (q + dim) * slope - 4 * d * curvature

  def mean(shard: Shard, z: Array, scores: Array | None) -> Array:
    if scores is None:
      terms = jnp.sum(z * z, 1)
      total = self_sum(to_normal, z, terms, pairs=pairs, shard=shard)
      diagonal = lambda r: to_normal(jnp.zeros_like(r), 2 * r)  # noqa: E731
    else:
      terms = jnp.sum(scores * scores, 1)
      total = score_sum(to_scores, z, scores, pairs=pairs, shard=shard)
      diagonal = lambda p: to_scores(jnp.zeros_like(p), p, jnp.zeros_like(p))  # noqa: E731
    if unbiased:
      return total / (n - 1) / n
    return (total / n + shard.mean(diagonal, terms)) / n

  return sharded(mean, z, scores, axis_name=axis_name)


def _scores(target: Any, z: Float[Array, "n d"]) -> Float[Array, "n d"] | None:
  """Returns the score of each row, or None for N(0, I)."""
  if isinstance(target, Prior):
    check_dimension(target, z)
  if target is None or isinstance(target, StandardNormal):
    return None
  name = type(target).__name__
  if isinstance(target, UniformSphere | UniformBall | UniformCube):
    raise ValueError(
      f"kernel_stein needs a density that falls to zero smoothly, but {name} is uniform."
    )
  log_prob = getattr(target, "log_prob", None)
  if log_prob is None:
    if not callable(target):
      raise ValueError(f"kernel_stein needs a density, but {name} has no log_prob.")
    scores = jnp.asarray(target(z))
    if scores.shape != z.shape:
      raise ValueError(
        f"The score of latents of shape {list(z.shape)} must have the same shape, but has shape "
        f"{list(scores.shape)}."
      )
    return scores.astype(z.dtype)
  log_density, pull_back = jax.vjp(log_prob, z)
  if log_density.shape != z.shape[:1]:
    raise ValueError(
      f"log_prob of latents of shape {list(z.shape)} must have shape {list(z.shape[:1])}, but has "
      f"shape {list(log_density.shape)}."
    )
  outside = log_density == -jnp.inf
  if not isinstance(outside, Tracer) and np.any(outside):
    raise ValueError(
      f"kernel_stein needs a density that is positive at all latents, but log_prob is −∞ at "
      f"{np.sum(outside)} of {len(z)}."
    )
  (scores,) = pull_back(jnp.ones_like(log_density))
  return jnp.where(outside[:, None], jnp.nan, scores)


def _two_derivatives(function: Callable[[Array], Array], x: Array) -> tuple[Array, Array, Array]:
  """Returns an elementwise function with its first two derivatives."""

  def value_and_slope(x: Array) -> tuple[Array, Array]:
    return jax.jvp(function, (x,), (jnp.ones_like(x),))

  (value, slope), (_, curvature) = jax.jvp(value_and_slope, (x,), (jnp.ones_like(x),))
  return value, slope, curvature
