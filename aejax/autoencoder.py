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
from aejax._untrained import is_untrained
from aejax.priors import Prior, StandardNormal

__all__ = ["Autoencoder", "Posterior", "check_prior", "pixels"]

_OUTPUTS: dict[str, Callable[[Array], Array]] = {
  "identity": lambda logits: logits,
  "sigmoid": jax.nn.sigmoid,
  "tanh": lambda logits: (jnp.tanh(logits) + 1) / 2,
}

# The type includes integers and lists, which `posterior` rejects or converts.
Examples = Num[Array | np.ndarray, "n ..."] | list[Any]


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
  whatever dtype they compute in, so that losses and distances never see bfloat16. Networks with
  state, such as BatchNorm and Dropout, are set to evaluation here; only the train step updates it.

  Examples have any shape: images `[n, h, w, c]`, signals `[n, t, c]`, vectors `[n, k]`, volumes.

  Attributes:
    encoder: function from examples `[n, ...]`, images in [0, 1], to latents `[n, latent_dim]`. A
      Gaussian encoder returns the pair (mean, log_variance), both `[n, latent_dim]`.
    decoder: function from latents `[n, latent_dim]` to examples, before `output` is applied.
    latent_dim: number of latent dimensions.
    output: activation after the decoder: "identity", "sigmoid", or "tanh" (mapped from [−1, 1] to
      [0, 1]).
    prior: distribution that `generate` draws latents from; N(0, I) by default. `training.create`
      sets it to the prior of the objective.

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
    prior: Prior | None = None,
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
    self._prior = _Constant(check_prior(prior, latent_dim))
    if nnx.state(self, nnx.Not(nnx.Param)):
      self.eval()

  @property
  def prior(self) -> Prior:
    """The distribution that `generate` draws latents from."""
    prior = self._prior.value
    return StandardNormal(self.latent_dim) if prior is None else prior

  def set_prior(self, prior: Prior | None) -> None:
    """Sets the distribution that `generate` draws latents from; None is N(0, I).

    Raises:
      ValueError: if it is not a prior, or has another dimension.
    """
    self._prior = _Constant(check_prior(prior, self.latent_dim))

  def posterior(self, images: Examples) -> Posterior:
    """Returns the distribution of the latents given each example.

    Args:
      images: batch of floats; images are in [0, 1].

    Returns:
      Mean and log-variance in float32. The log-variance is None for a deterministic encoder.

    Raises:
      ValueError: if `images` is not a batch of floats, or the encoder's result does not have shape
        `[n, latent_dim]`.
    """
    batch: Any = _checks.array("images", images)
    if batch.ndim < 2:
      raise ValueError(f"images must have shape (n, ...), not {jnp.shape(batch)}.")
    if not jnp.issubdtype(batch.dtype, jnp.floating):
      raise ValueError(
        f"images must be floats in [0, 1], not {batch.dtype}; divide 8-bit images by 255."
      )
    encoded = self.encoder(jnp.asarray(batch, jnp.float32))
    if not isinstance(encoded, tuple | list):
      return Posterior(self._latents(encoded, "latents", batch.shape[0]), None)
    if len(encoded) != 2:
      raise ValueError(
        "encoder must return latents or the pair (mean, log_variance), "
        f"but returned {len(encoded)} values."
      )
    mean, log_variance = encoded
    return Posterior(
      self._latents(mean, "a mean", batch.shape[0]),
      self._latents(log_variance, "a log-variance", batch.shape[0]),
    )

  def encode(self, images: Examples) -> Float[Array, "n d"]:
    """Returns the latents of `images` in [0, 1]; for a Gaussian encoder, the posterior mean."""
    return self.posterior(images).mean

  def logits(self, latents: Float[Array | np.ndarray, "n d"] | list[Any]) -> Float[Array, "n ..."]:
    """Returns the decoder's result in float32, before `output` is applied.

    Args:
      latents: batch of latents.

    Raises:
      ValueError: if `latents` is not `[n, latent_dim]`, or the result is not `[n, ...]`.
    """
    z: Any = _checks.array("latents", latents)
    if z.ndim != 2 or z.shape[1] != self.latent_dim:
      raise ValueError(f"latents must have shape (n, {self.latent_dim}), not {jnp.shape(z)}.")
    logits = self.decoder(jnp.asarray(z, jnp.float32))
    shape = _shape_of("decoder", logits)
    if len(shape) < 2 or shape[0] != z.shape[0]:
      raise ValueError(
        f"decoder must return images of shape ({z.shape[0]}, ...), but returned {shape}."
      )
    return jnp.asarray(logits, jnp.float32)

  def decode(self, latents: Float[Array | np.ndarray, "n d"] | list[Any]) -> Float[Array, "n ..."]:
    """Returns the images of `latents`, in [0, 1] unless `output` is the identity."""
    return self.output_activation(self.logits(latents))

  def output_activation(self, logits: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
    """Returns images in [0, 1] from the decoder's result, or the result for "identity"."""
    return _OUTPUTS[self.output](logits)

  def reconstruct(self, images: Examples) -> Float[Array, "n ..."]:
    """Returns the reconstructions D(E(x)); a Gaussian encoder uses its posterior mean.

    Raises:
      ValueError: if the shape of the reconstructions differs from that of `images`.
    """
    batch: Any = _checks.array("images", images)
    reconstruction = self.decode(self.encode(batch))
    if reconstruction.shape != batch.shape:
      raise ValueError(
        f"decoder must return images of shape {batch.shape}, that of the encoder's input, "
        f"but returned {reconstruction.shape}."
      )
    return reconstruction

  def generate(self, key: Key[Array, ""], num: int) -> Float[Array, "num ..."]:
    """Generates examples: decodes latents drawn from `prior`.

    Args:
      key: random key; the same key gives the same examples.
      num: number of examples.

    Raises:
      ValueError: if the model was handed to `training.create` and still has its initial parameters.
    """
    key, num = _checks.key("key", key), _checks.integer("num", num)
    check_fits("num", num, 4 * num * self.latent_dim)
    if is_untrained(self):
      raise ValueError(
        "This model still has the parameters that training.create started from: "
        "training.merge(model, state.params) returns the trained one."
      )
    return self.decode(self.prior.sample(key, num))

  def _latents(self, encoded: Any, name: str, num: Any) -> Float[Array, "n d"]:
    """Returns the encoder's result in float32, or raises a ValueError for a wrong shape."""
    if _shape_of("encoder", encoded) != (num, self.latent_dim):
      raise ValueError(
        f"encoder must return {name} of shape (n, latent_dim) = ({num}, {self.latent_dim}), "
        f"but returned {jnp.shape(encoded)}."
      )
    return jnp.asarray(encoded, jnp.float32)


def check_prior(prior: Any, latent_dim: int) -> Prior | None:
  """Returns a prior, or None for N(0, I), which is the same model as one without a prior.

  Raises:
    ValueError: if it is not a prior, or has another dimension.
  """
  if prior is None:
    return None
  _checks.instance("prior", prior, Prior, "None or a prior")
  if prior.dim != latent_dim:
    raise ValueError(f"prior has dimension {prior.dim}, but latent_dim is {latent_dim}.")
  return None if isinstance(prior, StandardNormal) else prior


class _Constant:
  """A value that NNX keeps as it is, even if it holds arrays."""

  def __init__(self, value: Any) -> None:
    self.value = value

  def __eq__(self, other: object) -> bool:
    return isinstance(other, _Constant) and self.value == other.value

  def __hash__(self) -> int:
    return hash(self.value)


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
