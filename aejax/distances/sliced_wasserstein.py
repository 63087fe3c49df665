"""Sliced Wasserstein distances: the mean over directions, SWAE's own, and the maximum."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float
from scipy import special

from aejax.distances._arguments import as_latents, as_samples, no_closed_form, public_jit
from aejax.distances._sharding import all_gather_rows, sharded
from aejax.distances._sorting import sort_columns
from aejax.distances.directions import as_directions, largest, project
from aejax.priors import StandardNormal, check_dimension

__all__ = ["max_sliced_wasserstein", "sliced_wasserstein"]

Target = Float[Array, "m d"] | StandardNormal | None


@public_jit
@functools.partial(jax.jit, static_argnames=("axis_name",))
def sliced_wasserstein(
  z: Float[Array, "n d"],
  target: Target = None,
  *,
  directions: Float[Array, "num d"],
  axis_name: str | tuple[str, ...] | None = None,
) -> Float[Array, ""]:
  """Squared sliced 2-Wasserstein distance between the law of `z` and `target`.

  The mean over directions of the squared W₂ of the projections. To N(0, I) each W₂ is exact: the
  prior is integrated between the quantiles i/n, not sampled. Samples of another size than `z` are
  aligned by quantiles, exactly too.

  Args:
    z: latents, one a row.
    target: None for N(0, I), or samples [m, d].
    directions: unit vectors, one a row: `random_directions(key, num, d)`, new ones each step.
    axis_name: name of the mapped axis over which `z` and samples are spread (directions are the
      same everywhere); the value is then that of the global batch.

  Raises:
    ValueError: if dimensions differ or there is no closed form for the target.

  Example:
    >>> z = jnp.zeros((8, 2))
    >>> float(sliced_wasserstein(z, directions=jnp.eye(2)))
    1.0

  Reference: Bonneel et al., J. Math. Imaging Vis. 51, 2015; Kolouri et al., 2018, arXiv
    1804.01947, eq. (6).
  """

  def mean(share, z, target, directions):
    return share.mean(lambda own: _on_slices(z, target, own), directions)

  return sharded(mean, *_arguments(z, target, directions, axis_name), axis_name=axis_name)


@public_jit
@functools.partial(jax.jit, static_argnames=("ascent_steps", "axis_name"))
def max_sliced_wasserstein(
  z: Float[Array, "n d"],
  target: Target = None,
  *,
  directions: Float[Array, "num d"],
  ascent_steps: int = 0,
  step_size: float = 0.1,
  axis_name: str | tuple[str, ...] | None = None,
) -> Float[Array, ""]:
  """Squared max-sliced 2-Wasserstein distance: the largest over directions, not the mean.

  The best of the given directions is a lower bound of the maximum over the sphere; gradient ascent
  from each of them raises it. The gradient is that of the winning direction alone, held fixed: at
  a maximum the direction's own motion adds nothing (to second derivatives it would).

  Args:
    z: latents, one a row.
    target: None for N(0, I), or samples [m, d].
    directions: unit vectors, one a row, to choose among and to start from.
    ascent_steps: steps of ascent on the sphere; 0 chooses among the given.
    step_size: length of a step, in radians.
    axis_name: name of the mapped axis over which `z` and samples are spread; the value is then
      that of the global batch.

  Raises:
    ValueError: if dimensions differ, `ascent_steps` is negative, or there is no closed form.

  Example:
    >>> z = jnp.array([[3.0, 0.0], [-3.0, 0.0]])
    >>> float(max_sliced_wasserstein(z, z * 0, directions=jnp.eye(2)))
    9.0

  Reference: Deshpande et al., CVPR 2019, arXiv 1904.05877.
  """

  def maximum(share, z, target, directions):
    fixed = lax.stop_gradient((z, target))

    def climb(_, directions):
      slope = jax.grad(lambda d: jnp.sum(_on_slices(*fixed, d)))(directions)
      slope -= jnp.sum(slope * directions, 1, keepdims=True) * directions
      length = jnp.sqrt(jnp.sum(slope * slope, 1, keepdims=True))
      moved = directions + step_size * slope / jnp.maximum(length, jnp.finfo(z.dtype).tiny)
      norms = jnp.sqrt(jnp.sum(moved * moved, 1, keepdims=True))
      return moved / jnp.where(norms > 0, norms, 1)

    def highest(own):
      values = _on_slices(z, target, own)
      if not ascent_steps:
        return values
      climbed = lax.fori_loop(0, ascent_steps, climb, lax.stop_gradient(own))
      return largest(jnp.stack([values, _on_slices(z, target, climbed)]))

    return largest(share.each(highest, directions))

  return sharded(maximum, *_arguments(z, target, directions, axis_name), axis_name=axis_name)


def _arguments(z, target, directions, axis_name):
  z = all_gather_rows(as_latents(z), axis_name)
  if isinstance(target, StandardNormal):
    check_dimension(target, z)
    target = None
  elif isinstance(target, jax.Array):
    target = all_gather_rows(as_samples(target, z), axis_name)
  elif target is not None:
    raise no_closed_form("sliced_wasserstein", target)
  return z, target, as_directions(directions, z)


def _on_slices(z, target, directions):
  """The squared W₂ along each direction."""
  x = sort_columns(project(z, directions))
  if target is None:
    quantiles, variance_left = _normal_quantiles(x.shape[0])
    return jnp.mean((x - quantiles.astype(x.dtype)[:, None]) ** 2, 0) + variance_left
  y = sort_columns(project(target, directions))
  if x.shape == y.shape:
    return jnp.mean((x - y) ** 2, 0)
  i, j, weights = _aligned_quantiles(x.shape[0], y.shape[0])
  return jnp.sum(jnp.asarray(weights, x.dtype)[:, None] * (x[i] - y[j]) ** 2, 0)


@functools.lru_cache(maxsize=16)
def _normal_quantiles(n: int) -> tuple[np.ndarray, float]:
  """Means of N(0, 1) between its quantiles (i−1)/n and i/n, and the variance they leave out.

  W₂² to N(0, 1) is mean (x_(i) − q_i)² + (1 − mean q_i²): the sum of two small terms, where
  mean x² − 2 mean q x + 1 would cancel.
  """
  edges = special.ndtri(np.arange(n + 1) / n)
  density = np.exp(-(edges**2) / 2) / math.sqrt(2 * math.pi)
  q = -n * np.diff(density)
  # Rounding must not break the symmetry of the prior.
  q = (q - q[::-1]) / 2
  return q, float(1 - np.mean(q**2))


@functools.lru_cache(maxsize=16)
def _aligned_quantiles(n: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """The steps on which both empirical quantile functions are constant: indices and lengths."""
  edges = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)  # in units of 1 / (n m)
  lengths = np.diff(edges, prepend=0)
  i, j = ((edges - 1) // k for k in (m, n))
  return i.astype(np.int32), j.astype(np.int32), lengths / (n * m)
