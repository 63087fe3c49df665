"""An encoder and a decoder as one NNX module."""

from collections.abc import Callable
from typing import Any, NamedTuple

from aejax._extras import require_flax

require_flax()

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key, Num

from aejax import _checks
from aejax._memory import check_fits

__all__ = ["Autoencoder", "Posterior", "pixels"]

_OUTPUTS: dict[str, Callable[[Array], Array]] = {
  "identity": lambda logits: logits,
  "sigmoid": jax.nn.sigmoid,
  "tanh": lambda logits: (jnp.tanh(logits) + 1) / 2,
}

# The type includes integers, which `posterior` rejects with a sentence instead of a type error.
Images = Num[Array | np.ndarray, "n ..."]


class Posterior(NamedTuple):
  """The distribution of the latents given each image: a point or a diagonal Gaussian.

  Attributes:
    mean: mean for each image; for a deterministic encoder, the latents.
    log_variance: log-variance for each image, or None for a deterministic encoder.
  """

  mean: Float[Array, "n d"]
  log_variance: Float[Array, "n d"] | None

  def sample(self, key: Key[Array, ""]) -> Float[Array, "n d"]:
    """Draws one sample from each posterior, or returns a deterministic encoder's latents.

    Args:
      key: random key; the same key gives the same latents.
    """
    return self.reparameterize(jax.random.normal(_checks.key("key", key), self.mean.shape))

  def reparameterize(self, noise: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Returns mean + standard deviation · `noise`, the reparameterised sample for given noise."""
    if self.log_variance is None:
      return self.mean
    return self.mean + jnp.exp(self.log_variance / 2) * noise


class Autoencoder(nnx.Module):
  """An encoder and a decoder, with methods to encode, decode, reconstruct and generate.

  Both are callables, usually NNX modules. Their inputs and results are converted to float32,
  whatever dtype they compute in, so that losses and distances never see bfloat16.

  Attributes:
    encoder: function from images `[n, h, w, c]` in [0, 1] to latents `[n, latent_dim]`. A Gaussian
      encoder returns the pair (mean, log_variance), both `[n, latent_dim]`.
    decoder: function from latents `[n, latent_dim]` to `[n, h, w, c]`, before `output` is applied.
    latent_dim: number of latent dimensions.
    output: activation after the decoder: "identity", "sigmoid", or "tanh" (mapped from [−1, 1] to
      [0, 1]).

  Example:
    >>> from flax import nnx
    >>> rngs = nnx.Rngs(0)
    >>> encoder = nnx.Sequential(lambda x: x.reshape(-1, 64), nnx.Linear(64, 2, rngs=rngs))
    >>> decoder = nnx.Sequential(nnx.Linear(2, 64, rngs=rngs), lambda x: x.reshape(-1, 8, 8, 1))
    >>> model = Autoencoder(encoder, decoder, latent_dim=2, output="sigmoid")
    >>> model.generate(jax.random.key(0), 5).shape
    (5, 8, 8, 1)
  """

  def __init__(
    self,
    encoder: Callable[..., Any],
    decoder: Callable[..., Any],
    *,
    latent_dim: int,
    output: str = "identity",
  ) -> None:
    for name, network in (("encoder", encoder), ("decoder", decoder)):
      if not callable(network) or isinstance(network, type):
        raise ValueError(
          f"{name} must be a function or a module, but is {_checks.type_name(network)}."
        )
    _checks.integer("latent_dim", latent_dim)
    _checks.one_of("output", output, _OUTPUTS)
    self.encoder = encoder
    self.decoder = decoder
    self.latent_dim = latent_dim
    self.output = output
    _check_only_params(self)

  def posterior(self, images: Images) -> Posterior:
    """Returns the distribution of the latents given each image.

    Args:
      images: batch of floats in [0, 1].

    Returns:
      Mean and log-variance in float32. The log-variance is None for a deterministic encoder.

    Raises:
      ValueError: if `images` is not a batch of floats, or the encoder's result does not have shape
        `[n, latent_dim]`.
    """
    images = _checks.array("images", images)
    if images.ndim < 2:
      raise ValueError(f"images must have shape (n, ...), not {jnp.shape(images)}.")
    if not jnp.issubdtype(images.dtype, jnp.floating):
      raise ValueError(
        f"images must be floats in [0, 1], not {images.dtype}; divide 8-bit images by 255."
      )
    encoded = self.encoder(jnp.asarray(images, jnp.float32))
    if not isinstance(encoded, tuple | list):
      return Posterior(self._latents(encoded, "latents", images.shape[0]), None)
    if len(encoded) != 2:
      raise ValueError(
        "encoder must return latents or the pair (mean, log_variance), "
        f"but returned {len(encoded)} values."
      )
    mean, log_variance = encoded
    return Posterior(
      self._latents(mean, "a mean", images.shape[0]),
      self._latents(log_variance, "a log-variance", images.shape[0]),
    )

  def encode(self, images: Images) -> Float[Array, "n d"]:
    """Returns the latents of `images` in [0, 1]; for a Gaussian encoder, the posterior mean."""
    return self.posterior(images).mean

  def logits(self, latents: Float[Array | np.ndarray, "n d"]) -> Float[Array, "n ..."]:
    """Returns the decoder's result in float32, before `output` is applied.

    Args:
      latents: batch of latents.

    Raises:
      ValueError: if `latents` is not `[n, latent_dim]`, or the result is not `[n, h, w, c]`.
    """
    latents = _checks.array("latents", latents)
    if latents.ndim != 2 or latents.shape[1] != self.latent_dim:
      raise ValueError(f"latents must have shape (n, {self.latent_dim}), not {jnp.shape(latents)}.")
    logits = self.decoder(jnp.asarray(latents, jnp.float32))
    shape = _shape_of("decoder", logits)
    if len(shape) < 2 or shape[0] != latents.shape[0]:
      raise ValueError(
        f"decoder must return images of shape ({latents.shape[0]}, ...), but returned {shape}."
      )
    return jnp.asarray(logits, jnp.float32)

  def decode(self, latents: Float[Array | np.ndarray, "n d"]) -> Float[Array, "n ..."]:
    """Returns the images of `latents`, in [0, 1] unless `output` is the identity."""
    return self.output_activation(self.logits(latents))

  def output_activation(self, logits: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    """Returns images in [0, 1] from the decoder's result, or the result for "identity"."""
    return _OUTPUTS[self.output](logits)

  def reconstruct(self, images: Images) -> Float[Array, "n ..."]:
    """Returns the reconstructions D(E(x)); a Gaussian encoder uses its posterior mean.

    Raises:
      ValueError: if the shape of the reconstructions differs from that of `images`.
    """
    images = _checks.array("images", images)
    reconstruction = self.decode(self.encode(images))
    if reconstruction.shape != images.shape:
      raise ValueError(
        f"decoder must return images of shape {images.shape}, that of the encoder's input, "
        f"but returned {reconstruction.shape}."
      )
    return reconstruction

  def generate(self, key: Key[Array, ""], num: int) -> Float[Array, "num ..."]:
    """Generates images: decodes latents sampled from N(0, I).

    Args:
      key: random key; the same key gives the same images.
      num: number of images.
    """
    shape = _checks.integer("num", num), self.latent_dim
    check_fits("num", num, 4 * num * self.latent_dim)
    return self.decode(jax.random.normal(_checks.key("key", key), shape))

  def _latents(self, encoded: Any, name: str, num: Any) -> Float[Array, "n d"]:
    """Returns the encoder's result in float32, or raises a ValueError for a wrong shape."""
    if _shape_of("encoder", encoded) != (num, self.latent_dim):
      raise ValueError(
        f"encoder must return {name} of shape (n, latent_dim) = ({num}, {self.latent_dim}), "
        f"but returned {jnp.shape(encoded)}."
      )
    return jnp.asarray(encoded, jnp.float32)


def pixels(images: Num[Array | np.ndarray, "n ..."]) -> Float[Array, "n ..."]:
  """Converts images to float32 in [0, 1]; divides uint8 by 255.

  Raises:
    ValueError: if `images` has another integer dtype, for which the value of white is unknown.
  """
  if images.dtype != jnp.uint8 and not jnp.issubdtype(images.dtype, jnp.floating):
    raise ValueError(f"images must be uint8, or floats in [0, 1], but are {images.dtype}.")
  floats = jnp.asarray(images, jnp.float32)
  return floats / 255 if images.dtype == jnp.uint8 else floats


def _shape_of(network: str, returned: Any) -> tuple[Any, ...]:
  """Returns the shape of a network's result, or raises a ValueError if it is not an array."""
  if isinstance(returned, jax.Array | np.ndarray):
    return returned.shape
  expected = "latents" if network == "encoder" else "images"
  raise ValueError(f"{network} must return {expected}, but returned {_checks.type_name(returned)}.")


def _check_only_params(model: Autoencoder) -> None:
  """Raises a ValueError if a network has hidden state, because training updates only parameters."""
  for path, variable in nnx.to_flat_state(nnx.state(model)):
    if not isinstance(variable, nnx.Param):
      raise ValueError(
        f"encoder and decoder may hold nnx.Param only, but {'.'.join(map(str, path))} is "
        f"{type(variable).__name__}; use GroupNorm or LayerNorm, not BatchNorm, and no dropout."
      )
