"""How good the reconstructions are, and how far a set of latents is from N(0, I)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from aejax import _checks, distances
from aejax.metrics._chunked import check_features

__all__ = ["latent_metrics", "mardia_kurtosis", "mardia_skewness", "reconstruction_error"]

# A shift m shows as (m·θ)² on the slice θ, whose relative variance is below 2: the mean over a
# thousand slices has a relative standard error below sqrt(2 / 1000) = 4.5 %.
_DIRECTIONS = 1000
_DIRECTIONS_AT_ONCE = 100

# Entries of one temporary block: 16 MiB in float64, so memory never grows faster than the data.
_BLOCK_ENTRIES = 2**21

Real = np.ndarray | Array


def mardia_skewness(z: Float[Real, "n d"]) -> float:
  """Mardia's multivariate skewness to N(0, I), n⁻² Σ_ij (z_i·z_j)³ over all pairs.

  Measured against zero mean and unit covariance, as the Cramer-Wold papers do: the latents are not
  whitened first, so a shifted set counts as skewed. The diagonal i = j belongs to the papers'
  definition and keeps the value non-negative, but it means that n normal latents score
  mean|z|⁶ / n ≈ D(D+2)(D+4) / n rather than 0: compare values at one n only, and give all the test
  latents at once, since a mean over batches has the bias of the batch size.

  Computed in float64 and in memory linear in n.

  Args:
    z: latents, one a row.

  Returns:
    The skewness, non-negative.

  Raises:
    ValueError: if `z` is not a matrix of at least two finite rows.

  Reference: Mardia, 1970; Knop et al., JMLR 21(164), 2020.
  """
  latents = _latents(z)
  n, d = latents.shape
  # Σ_ij (z_i·z_j)³ = |Σ_i z_i⊗z_i⊗z_i|²: d³ numbers, fewer than the n² products while d² ≤ n.
  if d * d <= n:
    return _third_moment_norm(latents) / n**2
  return _cubed_products(latents) / n**2


def mardia_kurtosis(z: Float[Real, "n d"]) -> float:
  """Mardia's multivariate kurtosis in excess of N(0, I)'s, mean|z|⁴ − D(D + 2).

  As for the skewness the latents are not whitened. 0 in expectation for normal latents, negative
  for lighter tails or a smaller scale.

  Args:
    z: latents, one a row.

  Returns:
    The excess kurtosis.

  Raises:
    ValueError: if `z` is not a matrix of at least two finite rows.

  Reference: Mardia, 1970; Knop et al., JMLR 21(164), 2020.
  """
  latents = _latents(z)
  d = latents.shape[1]
  return float(np.mean(np.sum(latents**2, axis=1) ** 2) - d * (d + 2))


def reconstruction_error(images: Float[Real, "n *image"], reconstructions: Real) -> float:
  """Mean over the images of the sum of squared differences.

  Args:
    images: images in [0, 1], one an entry of the leading axis.
    reconstructions: their reconstructions, of the same shape.

  Returns:
    The error for one image, a sum over its pixels and channels.

  Raises:
    ValueError: if the shapes differ, there is no image, or either array is not floating or finite.
  """
  images = _checks.array("images", images)
  reconstructions = _checks.array("reconstructions", reconstructions)
  if images.shape != reconstructions.shape:
    raise ValueError(
      f"images and reconstructions must have one shape, but have "
      f"{list(images.shape)} and {list(reconstructions.shape)}."
    )
  if images.ndim < 2 or images.size == 0:
    raise ValueError(f"images must be a non-empty [n, ...], but have shape {list(images.shape)}.")
  for name, array in (("images", images), ("reconstructions", reconstructions)):
    # Bytes in 0…255 would score 65025 times too high without a word.
    if not jnp.issubdtype(array.dtype, jnp.floating):
      raise ValueError(f"{name} must be floating-point in [0, 1], but have {array.dtype}.")
  total = 0.0
  count = len(images)
  for rows in _blocks(count, entries_per_row=images.size // count):
    total += float(np.sum((_float64(images[rows]) - _float64(reconstructions[rows])) ** 2))
  if not np.isfinite(total):
    raise ValueError("images and reconstructions must be finite, but hold NaN or infinity.")
  return total / count


def latent_metrics(z: Float[Real, "n d"], *, key: Key[Array, ""]) -> dict[str, float]:
  """How far latents are from N(0, I), in the figures that the papers report.

  Everything is against N(0, I) in closed form; the only randomness is the directions of the sliced
  distance. The keys are those of `summary.json`:

  - `mardia_skewness`, `mardia_kurtosis`: see the functions of these names;
  - `cramer_wold`: the squared Cramer-Wold distance, with its diagonal terms, γ by Silverman's rule;
  - `sliced_wasserstein`: the squared sliced 2-Wasserstein distance over 1000 random directions;
  - `mmd`: the unbiased squared MMD, seven-scale IMQ kernel; near 0 it may be negative;
  - `energy_distance`: the unbiased squared energy distance, which has no bandwidth to choose; near
    0 it may be negative.

  Args:
    z: latents of the whole test set, one a row.
    key: draws the directions.

  Returns:
    The six figures, as Python floats.

  Raises:
    ValueError: if `z` is not a matrix of at least two finite rows.
  """
  z = _latents(z)
  _checks.key("key", key)
  latents = jnp.asarray(z, jnp.float32)
  directions = distances.random_directions(key, _DIRECTIONS, latents.shape[1])
  return {
    "mardia_skewness": mardia_skewness(z),
    "mardia_kurtosis": mardia_kurtosis(z),
    "cramer_wold": float(distances.cramer_wold(latents)),
    "sliced_wasserstein": float(_sliced_wasserstein(latents, directions)),
    "mmd": float(distances.mmd(latents, kernel=distances.imq(), unbiased=True)),
    "energy_distance": float(distances.energy_distance(latents, unbiased=True)),
  }


@jax.jit
def _sliced_wasserstein(
  z: Float[Array, "n d"], directions: Float[Array, "k d"]
) -> Float[Array, ""]:
  # All projections at once would be n × 1000 floats, several times over inside a sort.
  chunks = directions.reshape(-1, _DIRECTIONS_AT_ONCE, z.shape[1])
  values = jax.lax.map(lambda some: distances.sliced_wasserstein(z, directions=some), chunks)
  return jnp.mean(values)


def _third_moment_norm(latents: Float[np.ndarray, "n d"]) -> float:
  """Σ_ij (z_i·z_j)³ as the squared norm of the third moment tensor: O(n d³), no cancellation."""
  n, d = latents.shape
  moment = np.zeros((d * d, d))
  for rows in _blocks(n, entries_per_row=d * d):
    block = latents[rows]
    moment += (block[:, :, None] * block[:, None, :]).reshape(-1, d * d).T @ block
  return float(np.sum(moment**2))


def _cubed_products(latents: Float[np.ndarray, "n d"]) -> float:
  """Σ_ij (z_i·z_j)³ pair by pair: O(n² d), for dimensions that are large beside n."""
  total = 0.0
  for rows in _blocks(len(latents), entries_per_row=len(latents)):
    block = latents[rows]
    # Symmetric: pairs with earlier rows were counted, twice, when those rows were the block.
    products = block @ latents[rows.start :].T
    cubes = products * products * products
    total += 2.0 * float(np.sum(cubes)) - float(np.sum(cubes[:, : len(block)]))
  return total


def _blocks(count: int, *, entries_per_row: int) -> list[slice]:
  step = max(1, _BLOCK_ENTRIES // entries_per_row)
  return [slice(start, start + step) for start in range(0, count, step)]


def _latents(z: Any) -> Float[np.ndarray, "n d"]:
  latents = _float64(check_features("z", z, least=2))
  finite = np.isfinite(latents).all(axis=1)
  if not finite.all():
    raise ValueError(
      f"z must be finite, but {np.sum(~finite)} of its {len(z)} rows hold NaN or infinity."
    )
  return latents


def _float64(array: Real) -> Float[np.ndarray, "..."]:
  # bfloat16 arrives as an ml_dtypes array, which numpy converts but cannot multiply as floats.
  return np.asarray(array).astype(np.float64)
