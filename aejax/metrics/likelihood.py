"""How likely a variational autoencoder finds images: importance-weighted bounds."""

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

# Images, and latents decoded at once: they bound the memory of the decoder's activations.
_IMAGES, _DECODED = 64, 4096


def importance_weighted_bound(
  model: Autoencoder,
  images: Num[Array | np.ndarray, "n ..."],
  *,
  objective: VAE,
  key: Key[Array, ""],
  samples: int = 5000,
) -> Float[np.ndarray, " n"]:
  """A lower bound of log p(x) in nats for each image, tighter the more samples.

  log 1/K Σ_k p(x | z_k) p(z_k) / q(z_k | x) with K draws z_k from the posterior q. On average it is
  below log p(x), at K = 1 the evidence lower bound, and rises with K: the gap is about χ² / 2K with
  χ² the divergence of the true posterior from q. Say K with every value.

  The likelihood p(x | z) is the one that the objective stands for, P pixels an image:

  - squared error: the VAE minimises |x − x̂|² + β KL. A Gaussian decoder of variance s has
    −log p(x | z) = |x − x̂|² / 2s + P/2 log 2πs, so that 2s times its negative bound is
    |x − x̂|² + 2s KL and a constant: s = β/2, and log p(x | z) = −|x − x̂|² / β − P/2 log πβ.
    A density of pixels in [0, 1]: it may exceed 1, and its logarithm 0.
  - binary cross-entropy: Bernoulli, log p(x | z) = Σ x log x̂ + (1 − x) log(1 − x̂), whatever β. A
    probability of black-and-white images; of grey ones the customary number, not a likelihood.

  The draws of an image depend on the key and its place alone, not on how the work is cut up.

  Args:
    model: with a Gaussian encoder.
    images: uint8 or floats in [0, 1].
    objective: that the model was trained with.
    key: draws the samples.
    samples: K.

  Returns:
    The bounds, one an image; their mean is the figure to report.

  Raises:
    ValueError: if there is no image, `samples` is not positive, the encoder gives no Gaussian, the
      decoder gives other shapes, β is zero where it is a variance, or a bound is not finite.

  Reference: Burda, Grosse & Salakhutdinov, ICLR 2016, arXiv 1509.00519, eq. (8).
  """
  _checks.instance("model", model, Autoencoder, "an Autoencoder")
  _checks.instance("objective", objective, VAE, "a VAE")
  _checks.key("key", key)
  images = _checks.array("images", images)
  if images.ndim < 2 or images.size == 0:
    raise ValueError(f"images must be a non-empty [n, ...], but have {list(images.shape)}.")
  _checks.integer("samples", samples)
  log_likelihood, constant = _decoder_likelihood(objective, model, math.prod(images.shape[1:]))
  batch = min(_IMAGES, len(images))
  chunk = min(samples, _DECODED // batch)

  @jax.jit
  def parts(images: Array, numbers: Array) -> tuple[Scalars, Scalars]:
    """Largest log-weight of each image, and the sum of the weights over that."""
    x = pixels(images)
    posterior = model.posterior(x)
    mean, log_variance = posterior.mean, posterior.log_variance
    if log_variance is None:
      raise ValueError("model must have a Gaussian encoder: see networks.build(gaussian=).")
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, numbers)
    draw = jax.vmap(
      lambda own, k: jax.random.normal(jax.random.fold_in(own, k), mean.shape[1:]), (None, 0)
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
      # Of log p(z) − log q(z | x) the two (2π)^{−D/2} cancel.
      ratio = (jnp.sum(noise**2 - latents**2, -1) + jnp.sum(log_variance, -1)[:, None]) / 2
      weights = jnp.where(k < samples, evidence + ratio, -jnp.inf)
      # The sum beside its maximum, and not the logarithm of both together: that one is hundreds of
      # nats large, and would be rounded once a chunk.
      largest, total = sums
      top = jnp.maximum(largest, jnp.max(weights, axis=1))
      total = total * jnp.exp(largest - top) + jnp.sum(jnp.exp(weights - top[:, None]), axis=1)
      return top, total

    start = jnp.full(len(images), -jnp.inf), jnp.zeros(len(images))
    return lax.fori_loop(0, -(-samples // chunk), add_chunk, start)

  bounds = np.empty(len(images))
  for start in range(0, len(images), batch):
    # The last batch is a full one too, of which some images were seen before: compiled once.
    first = min(start, len(images) - batch)
    numbers = np.arange(first, first + batch)
    largest, total = parts(jnp.asarray(images[first : first + batch]), numbers)
    bounds[numbers] = np.asarray(largest, np.float64) + np.log(np.asarray(total, np.float64))
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
  """Log p(x | z) from images and the decoder's logits, summed over pixels, but for a constant."""
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
