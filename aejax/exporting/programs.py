"""Encoder and decoder as StableHLO programs that run wherever JAX runs, without aejax."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import export as jax_export
from jaxtyping import Array

from aejax._extras import require
from aejax._files import replacing
from aejax.autoencoder import Autoencoder
from aejax.data import Scaling

__all__ = ["PLATFORMS", "functions_of", "save_programs"]

PLATFORMS = ("cpu", "cuda", "tpu")
"""Platforms that the programs run on."""


def save_programs(
  stem: Path, model: Autoencoder, image_shape: tuple[int, ...], scaling: Scaling
) -> list[Path]:
  """Writes STEM.encoder.stablehlo and STEM.decoder.stablehlo, with a free batch size.

  The encoder takes float32 `[n, *image_shape]` in the units of the data (images in [0, 1]) and
  returns float32 latents, or the pair (mean, log-variance). The decoder takes float32
  `[n, latent_dim]` and returns float32 data. The parameters are part of the programs.
  """
  require("export", "flatbuffers")
  encode, decode = functions_of(model, scaling)
  return [
    _save(Path(f"{stem}.encoder.stablehlo"), encode, image_shape),
    _save(Path(f"{stem}.decoder.stablehlo"), decode, (model.latent_dim,)),
  ]


def functions_of(
  model: Autoencoder, scaling: Scaling
) -> tuple[Callable[[Array], Array | tuple[Array, Array]], Callable[[Array], Array]]:
  """Returns encoder and decoder as functions from and to the units of the data."""

  def encode(images: Array) -> Array | tuple[Array, Array]:
    posterior = model.posterior(scaling.apply(images))
    if posterior.log_variance is None:
      return posterior.mean
    return posterior.mean, posterior.log_variance

  def decode(latents: Array) -> Array:
    return scaling.undo(model.decode(latents))

  return encode, decode


def _save(path: Path, function: Callable[[Array], object], shape: tuple[int, ...]) -> Path:
  (n,) = jax_export.symbolic_shape("n")
  argument = jax.ShapeDtypeStruct((n, *shape), jnp.float32)
  exported = jax_export.export(jax.jit(function), platforms=PLATFORMS)(argument)
  with replacing(path) as temporary:
    temporary.write_bytes(exported.serialize())
  return path
