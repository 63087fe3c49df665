"""The reconstruction error, and metrics of how far a set of latents is from N(0, I)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from aejax import _checks, distances
from aejax.metrics._chunked import Real, check_features, row_blocks

__all__ = ["latent_metrics", "mardia_kurtosis", "mardia_skewness", "reconstruction_error"]

# A shift m contributes (m·θ)² along the direction θ, with a relative variance below 2: the mean
# over a thousand directions has a relative standard error below sqrt(2 / 1000) = 4.5 %.
_DIRECTIONS = 1000
_DIRECTIONS_AT_ONCE = 100


def mardia_skewness(z: Float[Real, "n d"]) -> float:
  """Computes Mardia's multivariate skewness against N(0, I), n⁻² Σ_ij (z_i·z_j)³ over all pairs.

  The reference is zero mean and unit covariance, as in the Cramer-Wold papers. The latents are not
  whitened first, so a shifted set counts as skewed. The papers' definition includes the diagonal
  i = j, which keeps the value non-negative. Because of it, n normal latents score
  mean|z|⁶ / n ≈ D(D+2)(D+4) / n rather than 0. So compare values with the same n only, and pass all
  test latents at once: a mean over batches has the bias of the batch size.

  Computed in float64, in memory linear in n.

  Args:
    z: latents, one a row.

  Returns:
    The skewness, non-negative.

  Raises:
    ValueError: if `z` is not a finite floating-point [n, d] with n at least 2.

  Reference: Mardia, 1970; Knop et al., JMLR 21(164), 2020.
  """
  latents = _latents(z)
  n, d = latents.shape
  # Σ_ij (z_i·z_j)³ = |Σ_i z_i⊗z_i⊗z_i|²: d³ numbers, fewer than the n² products while d² ≤ n.
  if d * d <= n:
    return _third_moment_norm(latents) / n**2
  return _cubed_products(latents) / n**2


def mardia_kurtosis(z: Float[Real, "n d"]) -> float:
  """Computes Mardia's multivariate excess kurtosis against N(0, I), mean|z|⁴ − D(D + 2).

  As for the skewness, the latents are not whitened. The expected value is 0 for normal latents; it
  is negative for lighter tails or a smaller scale.

  Args:
    z: latents, one a row.

  Returns:
    The excess kurtosis.

  Raises:
    ValueError: if `z` is not a finite floating-point [n, d] with n at least 2.

  Reference: Mardia, 1970; Knop et al., JMLR 21(164), 2020.
  """
  latents = _latents(z)
  d = latents.shape[1]
  return float(np.mean(np.sum(latents**2, axis=1) ** 2) - d * (d + 2))


def reconstruction_error(images: Float[Real, "n *image"], reconstructions: Real) -> float:
  """Computes the squared error, summed over pixels and channels and averaged over images.

  Args:
    images: images in [0, 1], stacked along the leading axis.
    reconstructions: reconstructions of the images, of the same shape.

  Returns:
    The mean error of an image.

  Raises:
    ValueError: if the shapes differ, there are no images, or an array is not a floating-point and
      finite one.
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
    # Bytes in 0…255 would silently give an error 65025 times too large.
    if not jnp.issubdtype(array.dtype, jnp.floating):
      raise ValueError(f"{name} must be floating-point in [0, 1], but have {array.dtype}.")
  total = 0.0
  count = len(images)
  for rows in row_blocks(count, entries_per_row=images.size // count):
    total += float(np.sum((_float64(images[rows]) - _float64(reconstructions[rows])) ** 2))
  if not np.isfinite(total):
    raise ValueError("images and reconstructions must be finite, but hold NaN or infinity.")
  return total / count


def latent_metrics(z: Float[Real, "n d"], *, key: Key[Array, ""]) -> dict[str, float]:
  """Computes the metrics that the papers report of how far latents are from N(0, I).

  All distances to N(0, I) are closed forms. Only the directions of the sliced distance are random.
  The names are the keys of `summary.json`:

  - `mardia_skewness`, `mardia_kurtosis`: see the functions of these names;
  - `cramer_wold`: squared Cramer-Wold distance, with its diagonal terms, γ by Silverman's rule;
  - `sliced_wasserstein`: squared sliced 2-Wasserstein distance over 1000 random directions;
  - `mmd`: unbiased squared MMD with the seven-scale IMQ kernel; it may be negative near 0;
  - `energy_distance`: unbiased squared energy distance, which has no bandwidth to choose; it may be
    negative near 0.

  Args:
    z: latents of the whole test set, one a row.
    key: random key that draws the directions.

  Returns:
    The six metrics by name, as Python floats.

  Raises:
    ValueError: if `z` is not a finite floating-point [n, d] with n at least 2.
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
  # All projections at once would be n × 1000 floats, and the sort makes several copies of them.
  chunks = directions.reshape(-1, _DIRECTIONS_AT_ONCE, z.shape[1])
  values = jax.lax.map(lambda chunk: distances.sliced_wasserstein(z, directions=chunk), chunks)
  return jnp.mean(values)


def _third_moment_norm(latents: Float[np.ndarray, "n d"]) -> float:
  """Computes Σ_ij (z_i·z_j)³ as the squared norm of the third moment tensor, in time O(n d³)."""
  n, d = latents.shape
  moment = np.zeros((d * d, d))
  for rows in row_blocks(n, entries_per_row=d * d):
    block = latents[rows]
    moment += (block[:, :, None] * block[:, None, :]).reshape(-1, d * d).T @ block
  return float(np.sum(moment**2))


def _cubed_products(latents: Float[np.ndarray, "n d"]) -> float:
  """Computes Σ_ij (z_i·z_j)³ pair by pair, in time O(n² d), for d² larger than n."""
  total = 0.0
  for rows in row_blocks(len(latents), entries_per_row=len(latents)):
    block = latents[rows]
    # The sum is symmetric: pairs with earlier rows were counted twice in those rows' block.
    products = block @ latents[rows.start :].T
    cubes = products * products * products
    total += 2.0 * float(np.sum(cubes)) - float(np.sum(cubes[:, : len(block)]))
  return total


def _latents(z: Any) -> Float[np.ndarray, "n d"]:
  latents = _float64(check_features("z", z, least=2))
  finite = np.isfinite(latents).all(axis=1)
  if not finite.all():
    raise ValueError(
      f"z must be finite, but {np.sum(~finite)} of its {len(z)} rows hold NaN or infinity."
    )
  return latents


def _float64(array: Real) -> Float[np.ndarray, "..."]:
  # bfloat16 becomes an ml_dtypes array, which NumPy can convert but not multiply as floats.
  return np.asarray(array).astype(np.float64)
