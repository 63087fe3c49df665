"""The parameters of a model in a safetensors file that says how to rebuild the model."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key, Num

from aejax import _checks, networks
from aejax._batches import in_batches
from aejax._extras import require
from aejax._files import replacing
from aejax.autoencoder import Autoencoder, Posterior
from aejax.data import Scaling
from aejax.exporting.prior import make_prior

__all__ = ["LoadedModel", "load_model", "save_model"]

# Version of the metadata.
_FORMAT = "1"


class LoadedModel:
  """A model from a file: encodes, decodes, reconstructs and generates any number of examples.

  Values are those of `aejax.load`, bit for bit on the same device.

  Attributes:
    model: the model.
    image_shape: shape of one example.
    scaling: how values of the data reach the networks, and back.
    description: what the file says about the model, among others the settings of its run.
  """

  def __init__(
    self,
    model: Autoencoder,
    image_shape: tuple[int, ...],
    scaling: Scaling,
    description: Mapping[str, Any],
  ) -> None:
    self.model = model
    self.image_shape = image_shape
    self.scaling = scaling
    self.description = dict(description)
    self._posterior = jax.jit(lambda images: model.posterior(scaling.apply(images)))
    self._decode = jax.jit(lambda latents: scaling.undo(model.decode(latents)))

  def posterior(self, images: Num[Array | np.ndarray, "n ..."]) -> Posterior:
    """Returns the posteriors of images, uint8 or floats in [0, 1], or of other examples.

    Raises:
      ValueError: if the images have another shape or range than the training images.
    """
    return in_batches(self._posterior, self.scaling.check(images, self.image_shape))

  def encode(self, images: Num[Array | np.ndarray, "n ..."]) -> Float[Array, "n d"]:
    """Returns the latents of images; for a Gaussian encoder, the posterior means."""
    return self.posterior(images).mean

  def decode(self, latents: Float[Array | np.ndarray, "n d"]) -> Float[Array, "n ..."]:
    """Returns the images of latents, in [0, 1], or other examples in the units of the data."""
    return in_batches(self._decode, jnp.asarray(_checks.array("latents", latents)))

  def reconstruct(self, images: Num[Array | np.ndarray, "n ..."]) -> Float[Array, "n ..."]:
    """Returns D(E(x)) for each image x."""
    return self.decode(self.encode(images))

  def generate(self, key: Key[Array, ""], num: int) -> Float[Array, "{num} ..."]:
    """Returns the examples of `num` draws from the prior that the model was trained for.

    Args:
      key: random key; the same key gives the same examples.
      num: number of examples.

    Raises:
      ValueError: if `num` is not a whole number from 1 up, `key` is no random key, or the prior is
        of another library, so that the file has its name only.
    """
    prior = self.description["prior"]
    if make_prior(prior) is None:
      raise ValueError(
        f"The file does not hold the prior {prior['name']}: sample it, and decode the samples."
      )
    key, num = _checks.key("key", key), _checks.integer("num", num)
    return self.decode(self.model.prior.sample(key, num))


def save_model(path: Path, model: Autoencoder, description: Mapping[str, Any]) -> Path:
  """Writes a safetensors file with the parameters and, in its metadata, a JSON of `description`."""
  require("export", "safetensors")
  from safetensors.numpy import save

  content = save(flat_parameters(model), {"aejax": _FORMAT, "description": json.dumps(description)})
  with replacing(path) as temporary:
    temporary.write_bytes(content)
  return path


def load_model(path: str | os.PathLike[str], *, model: Autoencoder | None = None) -> LoadedModel:
  """Loads a model from a file that `aejax.export` wrote.

  Args:
    path: the safetensors file.
    model: a model of the same structure, whose parameters are replaced; needed only for networks
      that `aejax.networks.build` does not build.

  Raises:
    ValueError: if there is no such file, it is damaged or of another program, or `model` has other
      parameters.
    ImportError: if safetensors is not installed.

  Example:
    model = aejax.load_model("mine.safetensors")
    latents = model.encode(images)
  """
  require("export", "safetensors")
  from safetensors import SafetensorError, safe_open

  path = _checks.path("path", path)
  if not os.path.isfile(path):
    raise ValueError(f"there is no file {_checks.short_repr(path)}")
  try:
    with safe_open(path, framework="numpy") as file:
      metadata = file.metadata() or {}
      parameters = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
  except (SafetensorError, OSError) as error:
    raise ValueError(
      f"{_checks.short_repr(path)} cannot be read as a safetensors file: "
      f"{_checks.short_message(error)}"
    ) from error
  if metadata.get("aejax") != _FORMAT:
    raise ValueError(
      f"{_checks.short_repr(path)} was not written by this version of aejax.export: its format is "
      f"{metadata.get('aejax')!r}, and this one reads {_FORMAT!r}"
    )
  description = json.loads(metadata["description"])
  shape, scaling = tuple(description["image_shape"]), Scaling.from_json(description["scaling"])
  if model is None:
    network = description["network"]
    # The import path of somebody's function is not called because a file names it.
    if network not in networks.ARCHITECTURES:
      raise ValueError(
        f"{_checks.short_repr(path)} holds networks that aejax cannot build: pass a model of the "
        "same structure as load_model(path, model=...)"
      )
    model = networks.build(
      network,
      shape,
      latent_dim=description["latent_dim"],
      gaussian=description["gaussian"],
      output=description["output"],
      dtype=description["precision"],
      key=jax.random.key(0),
    )
  model = with_parameters(model, parameters, path)
  if (prior := make_prior(description["prior"])) is not None:
    model.set_prior(prior)
  return LoadedModel(model, shape, scaling, description)


def flat_parameters(model: Autoencoder) -> dict[str, np.ndarray]:
  """Returns the parameters as arrays by name, such as "encoder.hidden.0.kernel".

  They include the statistics of normalisations, and no random keys.
  """
  return {
    ".".join(map(str, path)): np.ascontiguousarray(variable[...])
    for path, variable in nnx.to_flat_state(nnx.state(model, nnx.Not(nnx.RngState)))
  }


def with_parameters(
  model: Autoencoder, parameters: Mapping[str, np.ndarray], path: Path
) -> Autoencoder:
  """Returns a copy of the model with the parameters of a file.

  Raises:
    ValueError: if the model has parameters of other names, shapes or dtypes.
  """
  graphdef, state, rest = nnx.split(model, nnx.Not(nnx.RngState), ...)
  flat = dict(nnx.to_flat_state(state))
  names = {".".join(map(str, each)): each for each in flat}
  expected = {name: (flat[each].shape, str(flat[each].dtype)) for name, each in names.items()}
  found = {name: (array.shape, str(array.dtype)) for name, array in parameters.items()}
  if found != expected:
    different = sorted(
      name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)
    )
    raise ValueError(
      f"{_checks.short_repr(path)} holds other parameters than the model: they differ in "
      f"{_checks.short_repr(', '.join(different))}"
    )
  for name, each in names.items():
    flat[each] = flat[each].replace(jnp.asarray(parameters[name]))
  return nnx.merge(graphdef, nnx.from_flat_state(flat), rest)
