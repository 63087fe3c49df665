"""Importance-weighted bounds of the log-likelihood of images under a variational autoencoder."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Key, Num

from aejax import _checks
from aejax.autoencoder import Autoencoder, pixels
from aejax.objectives import VAE

__all__ = ["importance_weighted_bound"]

Scalars = Float[Array, " n"]

# Images, and latents, in a call of the decoder: they bound the memory of its activations.
_IMAGES, _DECODED = 64, 4096


def importance_weighted_bound(
  model: Autoencoder,
  images: Num[Array | np.ndarray, "n h w c"],
  *,
  objective: VAE,
  key: Key[Array, ""],
  samples: int = 5000,
) -> Float[np.ndarray, " n"]:
  """Computes a lower bound of log p(x) in nats for each image; more samples make it tighter.

  The bound is log 1/K Σ_k p(x | z_k) p(z_k) / q(z_k | x) with K draws z_k from the posterior q. Its
  expected value is below log p(x) and rises with K; for K = 1 it is the evidence lower bound. The
  gap is about χ² / 2K, where χ² is the divergence of the true posterior from q. Report K with every
  value.

  The objective determines the likelihood p(x | z) of an image with P pixels:

  - squared error: the VAE minimises |x − x̂|² + β KL. A Gaussian decoder of variance s has
    −log p(x | z) = |x − x̂|² / 2s + P/2 log 2πs, so 2s times its negative bound is
    |x − x̂|² + 2s KL plus a constant. Hence s = β/2 and log p(x | z) = −|x − x̂|² / β − P/2 log πβ.
    This is a density of pixels in [0, 1]: it may exceed 1, and its logarithm 0.
  - binary cross-entropy: Bernoulli, log p(x | z) = Σ x log x̂ + (1 − x) log(1 − x̂), independent of
    β. This is a probability for black-and-white images; for grey images it is customary but not a
    likelihood.

  The draws for an image depend only on the key and the image's index, not on the batch size.

  Args:
    model: autoencoder with a Gaussian encoder.
    images: uint8 or floats in [0, 1].
    objective: VAE objective that the model was trained with.
    key: random key that draws the samples.
    samples: number of samples K.

  Returns:
    The bound of each image; report their mean.

  Raises:
    ValueError: if there are no images, `samples` is not positive, the encoder is not Gaussian, the
      decoder returns another shape, β is zero where it is a variance, or a bound is not finite.

  Reference: Burda, Grosse & Salakhutdinov, ICLR 2016, arXiv 1509.00519, eq. (8).
  """
  _checks.instance("model", model, Autoencoder, "an Autoencoder")
  _checks.instance("objective", objective, VAE, "a VAE")
  _checks.key("key", key)
  images = _checks.array("images", images)
  if images.ndim != 4 or images.size == 0:
    raise ValueError(f"images must be a non-empty [n, h, w, c], but have {list(images.shape)}.")
  _checks.integer("samples", samples)
  log_likelihood, constant = _decoder_likelihood(objective, model, math.prod(images.shape[1:]))
  batch = min(_IMAGES, len(images))
  chunk = min(samples, _DECODED // batch)

  @jax.jit
  def weight_sums(images: Array, indices: Array) -> tuple[Scalars, Scalars]:
    """Returns each image's largest log-weight, and its weights divided by that one, summed."""
    x = pixels(images)
    posterior = model.posterior(x)
    mean, log_variance = posterior.mean, posterior.log_variance
    if log_variance is None:
      raise ValueError("model must have a Gaussian encoder: see networks.build(gaussian=).")
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, indices)
    draw = jax.vmap(
      lambda image_key, k: jax.random.normal(jax.random.fold_in(image_key, k), mean.shape[1:]),
      (None, 0),
    )

    def add_chunk(i: Array, sums: tuple[Scalars, Scalars]) -> tuple[Scalars, Scalars]:
      k = i * chunk + jnp.arange(chunk)
      noise = jax.vmap(draw, (0, None))(keys, k)  # (images, chunk, d)
      latents = mean[:, None] + jnp.exp(log_variance / 2)[:, None] * noise
      logits = model.logits(latents.reshape(-1, latents.shape[-1]))
      if logits.shape[1:] != x.shape[1:]:
        raise ValueError(
          f"model must decode images of shape {list(x.shape[1:])}, but gives "
          f"{list(logits.shape[1:])}."
        )
      evidence = log_likelihood(jnp.repeat(x, chunk, axis=0), logits).reshape(-1, chunk)
      # log p(z) − log q(z | x), in which the two factors (2π)^{−D/2} cancel.
      ratio = (jnp.sum(noise**2 - latents**2, -1) + jnp.sum(log_variance, -1)[:, None]) / 2
      weights = jnp.where(k < samples, evidence + ratio, -jnp.inf)
      # Carry (maximum, scaled sum) rather than their logsumexp. The logsumexp is hundreds of nats,
      # so float32 would lose precision at every chunk.
      largest, total = sums
      top = jnp.maximum(largest, jnp.max(weights, axis=1))
      total = total * jnp.exp(largest - top) + jnp.sum(jnp.exp(weights - top[:, None]), axis=1)
      return top, total

    start = jnp.full(len(images), -jnp.inf), jnp.zeros(len(images))
    return lax.fori_loop(0, -(-samples // chunk), add_chunk, start)

  bounds = np.empty(len(images))
  for start in range(0, len(images), batch):
    # The last batch overlaps the one before it, so that all have one size and compile once.
    first = min(start, len(images) - batch)
    indices = np.arange(first, first + batch)
    largest, total = weight_sums(jnp.asarray(images[first : first + batch]), indices)
    bounds[indices] = np.asarray(largest, np.float64) + np.log(np.asarray(total, np.float64))
  bounds += constant - math.log(samples)
  if not np.isfinite(bounds).all():
    raise ValueError(
      f"The bounds must be finite, but {np.sum(~np.isfinite(bounds))} of {len(images)} are not: "
      "images hold NaN, or the model's training diverged."
    )
  return bounds


def _decoder_likelihood(
  objective: VAE, model: Autoencoder, num_pixels: int
) -> tuple[Callable[[Array, Array], Array], float]:
  """Returns a function of images and logits for log p(x | z) up to a constant, and the constant."""
  axes = (1, 2, 3)
  if objective.reconstruction == "binary_cross_entropy":
    if model.output != "sigmoid":
      raise ValueError(
        f'model must have the output "sigmoid" for the binary cross-entropy, not {model.output!r}.'
      )
    # softplus(l) − x l is the cross-entropy of sigmoid(l), finite for every logit.
    return lambda x, logits: jnp.sum(x * logits - jax.nn.softplus(logits), axes), 0.0
  beta = objective.beta
  if beta <= 0:
    raise ValueError(f"objective must have a positive beta, twice a variance, but has {beta}.")
  constant = -num_pixels / 2 * math.log(math.pi * beta)
  return (
    lambda x, logits: -jnp.sum(jnp.square(x - model.output_activation(logits)), axes) / beta,
    constant,
  )
