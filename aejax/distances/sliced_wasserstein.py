"""The sliced Wasserstein distance: the distance of SWAE."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy import special

from aejax.distances.arguments import as_latents, as_samples, gather, no_closed_form
from aejax.distances.slicing import as_directions, project
from aejax.priors import StandardNormal

__all__ = ["sliced_wasserstein"]

Target = Float[Array, "m d"] | StandardNormal | None


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
  z = gather(as_latents(z), axis_name)
  directions = as_directions(directions, z)
  x = jnp.sort(project(z, directions), axis=1)
  if target is None or isinstance(target, StandardNormal):
    quantiles, variance_left = _normal_quantiles(x.shape[1])
    return jnp.mean((x - quantiles.astype(x.dtype)) ** 2) + variance_left
  if not isinstance(target, jax.Array):
    raise no_closed_form("sliced_wasserstein", target)
  y = jnp.sort(project(gather(as_samples(target, z), axis_name), directions), axis=1)
  if x.shape == y.shape:
    return jnp.mean((x - y) ** 2)
  i, j, weights = _aligned_quantiles(x.shape[1], y.shape[1])
  return jnp.mean(((x[:, i] - y[:, j]) ** 2) @ weights.astype(x.dtype))


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
  i, j = (edges - 1) // m, (edges - 1) // n
  return i, j, lengths / (n * m)
