"""Sliced Wasserstein distances: the mean over directions, as in the SWAE, and the maximum."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from aejax.distances._arguments import (
  Directions,
  Latents,
  Scalar,
  ScalarLike,
  Target,
  as_latents,
  as_samples,
  no_closed_form,
  public_jit,
)
from aejax.distances._quantiles import has_quantiles, normal_quantiles, prior_quantiles
from aejax.distances._sharding import AxisName, Shard, all_gather_rows, sharded
from aejax.distances._sorting import sort_columns
from aejax.distances.directions import as_directions, by_groups, largest, project
from aejax.priors import Normal, StandardNormal, StudentT, UniformBall, UniformSphere
from aejax.priors._base import check_dimension

ExactTarget = Float[Array, "m d"] | Normal | StudentT | UniformBall | UniformSphere | None

__all__ = ["max_sliced_wasserstein", "sliced_wasserstein"]


@public_jit("axis_name")
def sliced_wasserstein(
  z: Latents,
  target: Target = None,
  *,
  directions: Directions,
  axis_name: AxisName = None,
) -> Scalar:
  """Squared sliced 2-Wasserstein distance between the distribution of `z` and `target`.

  The mean over directions of the squared W₂ of the projections. To N(0, I) each W₂ is exact: the
  prior is integrated between the quantiles i/n, not sampled. If the number of samples differs from
  the number of latents, they are aligned by quantiles, which is exact too.

  Args:
    z: latents, one a row.
    target: None for N(0, I), samples [m, d], or a prior of `aejax.priors` whose projections are
      known: `Normal`, `UniformSphere`, `UniformBall`, or `StudentT` with df > 2.
    directions: unit vectors, one a row: `random_directions(key, num, d)`, drawn again each step.
    axis_name: name of the mapped axis over which `z` and samples are spread (directions are the
      same on all devices); the value is then that of the global batch.

  Raises:
    ValueError: if dimensions differ or the target has no closed form.

  Example:
    >>> z = jnp.zeros((8, 2))
    >>> float(sliced_wasserstein(z, directions=jnp.eye(2)))
    1.0

  Reference: Bonneel et al., J. Math. Imaging Vis. 51, 2015; Kolouri et al., 2018, arXiv
    1804.01947, eq. (6).
  """

  def mean(shard: Shard, z: Array, target: ExactTarget, directions: Array) -> Array:
    def values(some: Array) -> Array:
      return _squared_w2(z, target, some)

    return shard.mean(lambda local: by_groups(values, len(z), local), directions)

  checked = _arguments("sliced_wasserstein", z, target, directions, axis_name)
  return sharded(mean, *checked, axis_name=axis_name)


@public_jit("ascent_steps", "axis_name")
def max_sliced_wasserstein(
  z: Latents,
  target: Target = None,
  *,
  directions: Directions,
  ascent_steps: int = 0,
  step_size: ScalarLike = 0.1,
  axis_name: AxisName = None,
) -> Scalar:
  """Squared max-sliced 2-Wasserstein distance: the maximum over directions instead of the mean.

  The best of the given directions gives a lower bound of the maximum over the sphere; gradient
  ascent from each of them raises it. The gradient is that of the winning direction, held fixed: at
  a maximum, the motion of the direction contributes nothing to first derivatives. An eager call
  copies the directions to the host to check their lengths.

  Args:
    z: latents, one a row.
    target: None for N(0, I), samples [m, d], or a prior of `aejax.priors` whose projections are
      known: `Normal`, `UniformSphere`, `UniformBall`, or `StudentT` with df > 2.
    directions: unit vectors, one a row, to choose from and to start from.
    ascent_steps: number of steps of ascent on the sphere; with 0 the best given direction is taken.
    step_size: length of a step, in radians.
    axis_name: name of the mapped axis over which `z` and samples are spread; the value is then
      that of the global batch.

  Raises:
    ValueError: if dimensions differ, `ascent_steps` is negative, or the target has no closed form.

  Example:
    >>> z = jnp.array([[3.0, 0.0], [-3.0, 0.0]])
    >>> float(max_sliced_wasserstein(z, z * 0, directions=jnp.eye(2)))
    9.0

  Reference: Deshpande et al., CVPR 2019, arXiv 1904.05877.
  """

  def maximum(shard: Shard, z: Array, target: ExactTarget, directions: Array) -> Array:
    fixed = lax.stop_gradient((z, target))

    def climb(_: Any, directions: Array) -> Array:
      slope = jax.grad(lambda d: jnp.sum(_squared_w2(*fixed, d)))(directions)
      slope -= jnp.sum(slope * directions, 1, keepdims=True) * directions
      length = jnp.sqrt(jnp.sum(slope * slope, 1, keepdims=True))
      moved = directions + step_size * slope / jnp.maximum(length, jnp.finfo(z.dtype).tiny)
      norms = jnp.sqrt(jnp.sum(moved * moved, 1, keepdims=True))
      return moved / jnp.where(norms > 0, norms, 1)

    def highest(local: Array) -> Array:
      values = _squared_w2(z, target, local)
      if not ascent_steps:
        return values
      climbed = lax.fori_loop(0, ascent_steps, climb, lax.stop_gradient(local))
      return largest(jnp.stack([values, _squared_w2(z, target, climbed)]))

    return largest(shard.map(lambda local: by_groups(highest, len(z), local), directions))

  checked = _arguments("max_sliced_wasserstein", z, target, directions, axis_name)
  return sharded(maximum, *checked, axis_name=axis_name)


def _arguments(
  name: str, z: Any, target: Any, directions: Any, axis_name: AxisName
) -> tuple[Array, ExactTarget, Array]:
  z = all_gather_rows(as_latents(z), axis_name)
  if isinstance(target, StandardNormal):
    check_dimension(target, z)
    target = None
  elif isinstance(target, jax.Array | np.ndarray):
    target = all_gather_rows(as_samples(target, z), axis_name)
  elif isinstance(target, Normal) or (target is not None and has_quantiles(name, target)):
    check_dimension(target, z)
  elif target is not None:
    raise no_closed_form(name, target)
  return z, target, as_directions(directions, z)


def _squared_w2(
  z: Float[Array, "n d"], target: ExactTarget, directions: Float[Array, "num d"]
) -> Float[Array, " num"]:
  """Returns the squared W₂ of the projections onto each direction."""
  x = sort_columns(project(z, directions))
  if target is None:
    quantiles, variance_left = normal_quantiles(x.shape[0])
    return jnp.mean((x - quantiles.astype(x.dtype)[:, None]) ** 2, 0) + variance_left
  if isinstance(target, Normal):
    # The projection is N(θ·m, θᵀΣθ).
    quantiles, variance_left = normal_quantiles(x.shape[0])
    mean, variance = _projected(target, directions)
    q = mean + jnp.sqrt(variance) * quantiles.astype(x.dtype)[:, None]
    return jnp.mean((x - q) ** 2, 0) + variance * variance_left
  if not isinstance(target, jax.Array):
    quantiles, variance_left = prior_quantiles(target, x.shape[0])
    return jnp.mean((x - quantiles.astype(x.dtype)[:, None]) ** 2, 0) + variance_left
  y = sort_columns(project(target, directions))
  if x.shape == y.shape:
    return jnp.mean((x - y) ** 2, 0)
  i, j, weights = _aligned_quantiles(x.shape[0], y.shape[0])
  return jnp.sum(jnp.asarray(weights, x.dtype)[:, None] * (x[i] - y[j]) ** 2, 0)


def _projected(
  normal: Normal, directions: Float[Array, "num d"]
) -> tuple[Float[Array, " num"], Float[Array, " num"]]:
  """Returns mean and variance of the projections onto each direction."""
  mean = jnp.sum(directions * normal.mean.astype(directions.dtype), 1)
  covariance = normal.covariance.astype(directions.dtype)
  if covariance.ndim == 2:
    scaled = jnp.matmul(directions, covariance, precision=lax.Precision.HIGHEST)
  else:
    scaled = directions * covariance
  return mean, jnp.sum(scaled * directions, 1)


@functools.lru_cache(maxsize=16)
def _aligned_quantiles(n: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns the intervals on which both empirical quantile functions are constant."""
  edges = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)  # in units of 1 / (n m)
  lengths = np.diff(edges, prepend=0)
  i, j = ((edges - 1) // k for k in (m, n))
  return i.astype(np.int32), j.astype(np.int32), lengths / (n * m)
