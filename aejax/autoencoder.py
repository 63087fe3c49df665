"""An encoder and a decoder as one NNX module; both may be any networks."""

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

# Wider than what is accepted, so that integers get a sentence about [0, 1], not a type error.
Images = Num[Array | np.ndarray, "n h w c"]


class Posterior(NamedTuple):
  """The distribution of the latents given each image: a point or a diagonal Gaussian.

  Attributes:
    mean: one row for each image; for a deterministic encoder, the latents.
    log_variance: one row for each image; None for a deterministic encoder.
  """

  mean: Float[Array, "n d"]
  log_variance: Float[Array, "n d"] | None

  def sample(self, key: Key[Array, ""]) -> Float[Array, "n d"]:
    """Draws one latent from each posterior; a deterministic encoder's latents are returned as is.

    Args:
      key: random key; the same key gives the same latents.
    """
    return self.reparameterize(jax.random.normal(_checks.key("key", key), self.mean.shape))

  def reparameterize(self, noise: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Returns mean + standard deviation · `noise`, the reparameterised draw for given noise."""
    if self.log_variance is None:
      return self.mean
    return self.mean + jnp.exp(self.log_variance / 2) * noise


class Autoencoder(nnx.Module):
  """A pair of encoder and decoder that encodes, decodes, reconstructs and generates.

  Both are callables, usually NNX modules. All results are float32, also if the networks compute
  in bfloat16, so losses and distances are computed in float32.

  Attributes:
    encoder: images `[n, h, w, c]` in [0, 1] to latents `[n, latent_dim]`, or for a Gaussian
      encoder to the pair (mean, log_variance), both `[n, latent_dim]`.
    decoder: latents `[n, latent_dim]` to `[n, h, w, c]`, before `output` is applied.
    latent_dim: number of latent dimensions.
    output: activation that makes images of the decoder's values: "identity", "sigmoid" or "tanh"
      (mapped from [−1, 1] to [0, 1]).

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
  ):
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
      images: floats in [0, 1].

    Returns:
      Mean and log-variance in float32; the latter is None for a deterministic encoder.

    Raises:
      ValueError: if `images` is not a batch of floats, or the encoder does not return
        `[n, latent_dim]`.
    """
    images = _checks.array("images", images)
    if images.ndim != 4:
      raise ValueError(f"images must have shape (n, h, w, c), not {jnp.shape(images)}.")
    if not jnp.issubdtype(images.dtype, jnp.floating):
      raise ValueError(
        f"images must be floats in [0, 1], not {images.dtype}; divide 8-bit images by 255."
      )
    encoded = self.encoder(jnp.asarray(images, jnp.float32))
    if not isinstance(encoded, tuple | list):
      return Posterior(self._latents(encoded, "latents", len(images)), None)
    if len(encoded) != 2:
      raise ValueError(
        "encoder must return latents or the pair (mean, log_variance), "
        f"but returned {len(encoded)} values."
      )
    mean, log_variance = encoded
    return Posterior(
      self._latents(mean, "a mean", len(images)),
      self._latents(log_variance, "a log-variance", len(images)),
    )

  def encode(self, images: Images) -> Float[Array, "n d"]:
    """Returns the latents of `images`, floats in [0, 1]; for a Gaussian encoder, the means."""
    return self.posterior(images).mean

  def logits(self, latents: Float[Array | np.ndarray, "n d"]) -> Float[Array, "n h w c"]:
    """Returns the values of the decoder in float32, before the output activation.

    Args:
      latents: one a row.

    Raises:
      ValueError: if `latents` is not `[n, latent_dim]`, or the decoder does not return
        `[n, h, w, c]`.
    """
    latents = _checks.array("latents", latents)
    if latents.ndim != 2 or latents.shape[1] != self.latent_dim:
      raise ValueError(f"latents must have shape (n, {self.latent_dim}), not {jnp.shape(latents)}.")
    logits = self.decoder(jnp.asarray(latents, jnp.float32))
    shape = _shape_of("decoder", logits)
    if len(shape) != 4 or shape[0] != len(latents):
      raise ValueError(
        f"decoder must return images of shape ({len(latents)}, h, w, c), but returned {shape}."
      )
    return jnp.asarray(logits, jnp.float32)

  def decode(self, latents: Float[Array | np.ndarray, "n d"]) -> Float[Array, "n h w c"]:
    """Returns the images of `latents`, in [0, 1] unless `output` is "identity"."""
    return self.output_activation(self.logits(latents))

  def output_activation(self, logits: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
    """Applies the output activation to values of the decoder."""
    return _OUTPUTS[self.output](logits)

  def reconstruct(self, images: Images) -> Float[Array, "n h w c"]:
    """Returns D(E(x)), the reconstructions of images, at the posterior mean.

    Raises:
      ValueError: if the decoder returns another shape than that of `images`.
    """
    images = _checks.array("images", images)
    reconstruction = self.decode(self.encode(images))
    if reconstruction.shape != images.shape:
      raise ValueError(
        f"decoder must return images of shape {images.shape}, like those of the encoder, "
        f"but returned {reconstruction.shape}."
      )
    return reconstruction

  def generate(self, key: Key[Array, ""], num: int) -> Float[Array, "num h w c"]:
    """Generates images: decodes latents drawn from N(0, I).

    Args:
      key: random key; the same key gives the same images.
      num: number of images.
    """
    shape = _checks.integer("num", num), self.latent_dim
    check_fits("num", num, 4 * num * self.latent_dim)
    return self.decode(jax.random.normal(_checks.key("key", key), shape))

  def _latents(self, encoded: Any, name: str, num: int) -> Float[Array, "n d"]:
    if _shape_of("encoder", encoded) != (num, self.latent_dim):
      raise ValueError(
        f"encoder must return {name} of shape (n, latent_dim) = ({num}, {self.latent_dim}), "
        f"but returned {jnp.shape(encoded)}."
      )
    return jnp.asarray(encoded, jnp.float32)


def pixels(images: Num[Array | np.ndarray, "n h w c"]) -> Float[Array, "n h w c"]:
  """Returns images as float32 in [0, 1]; uint8 is divided by 255, floats are unchanged.

  Raises:
    ValueError: for other integers, whose white level is not known.
  """
  if images.dtype != jnp.uint8 and not jnp.issubdtype(images.dtype, jnp.floating):
    raise ValueError(f"images must be uint8, or floats in [0, 1], but are {images.dtype}.")
  floats = jnp.asarray(images, jnp.float32)
  return floats / 255 if images.dtype == jnp.uint8 else floats


def _shape_of(network: str, returned: Any) -> tuple[int, ...]:
  if isinstance(returned, jax.Array | np.ndarray):
    return returned.shape
  what = "latents" if network == "encoder" else "images"
  raise ValueError(f"{network} must return {what}, but returned {_checks.type_name(returned)}.")


def _check_only_params(model: Autoencoder) -> None:
  """Refuses state other than parameters, which training would not carry along."""
  for path, variable in nnx.to_flat_state(nnx.state(model)):
    if not isinstance(variable, nnx.Param):
      raise ValueError(
        f"encoder and decoder may hold nnx.Param only, but {'.'.join(map(str, path))} is "
        f"{type(variable).__name__}; use GroupNorm or LayerNorm for BatchNorm, and no dropout."
      )
