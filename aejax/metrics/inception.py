"""The features of the FID: Inception, with weights from the published file."""

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from aejax import _checks
from aejax.metrics._inception_network import SIDE, features
from aejax.metrics._torch_weights import read_tensors
from aejax.metrics.features import Extractor

__all__ = ["fold_batch_norm", "inception"]

_FILE = "weights-inception-2015-12-05-6726825d.pth"
_DIGEST = "6726825d"
_MAX_BYTES = 2**30

# Images in a call. The largest activations have 147 · 147 · 64 numbers an image: 280 MB for 50.
_BATCH = 50
_EPSILON = 1e-3


@dataclasses.dataclass(frozen=True)
class _Inception(Extractor):
  """The extractor that `inception` returns: only distances of its features are FID and KID."""

  @property
  def frechet_name(self) -> str:
    return "fid"

  @property
  def kernel_name(self) -> str:
    return "kid"


def inception(path: str | Path) -> Extractor:
  """Returns the extractor of the FID's features: 2048 features of grey or RGB images.

  Images of any size are resized to 299 by 299. Generated images are not rounded to 256 levels, as
  in programs that first save them as files.

  Args:
    path: the file weights-inception-2015-12-05-6726825d.pth, which torch-fidelity and pytorch-fid
      publish; it is read without torch, and no code in it is run.

  Returns:
    The extractor, whose name is `inception`. Its distances are called `fid` and `kid`.

  Raises:
    ValueError: if the file does not exist, is another file, or is damaged.

  Reference: Szegedy et al., CVPR 2016, arXiv 1512.00567; Heusel et al., NeurIPS 2017, arXiv
    1706.08500.
  """
  path = _checks.path("path", path)
  if not os.path.isfile(path):  # also False for a string too long for a path
    raise ValueError(
      f"path must be that of {_FILE}, but there is no file {_checks.short_repr(path)}."
    )
  if (size := path.stat().st_size) > _MAX_BYTES:
    raise ValueError(f"{_checks.short_repr(path)} cannot be {_FILE}: it has {size} bytes.")
  content = path.read_bytes()
  found = hashlib.sha256(content).hexdigest()
  if not found.startswith(_DIGEST):
    raise ValueError(
      f"{_checks.short_repr(path)} must be {_FILE}, whose SHA-256 begins with {_DIGEST}, but its "
      f"own begins with {found[: len(_DIGEST)]}."
    )
  try:
    weights = fold_batch_norm(read_tensors(content))
  except ValueError as error:
    sentence = _checks.short_message(error)
    raise ValueError(f"{_checks.short_repr(path)} holds no Inception: {sentence}") from error
  return _Inception("inception", jax.tree_util.Partial(features, weights), batch=_BATCH)


def fold_batch_norm(tensors: Mapping[str, np.ndarray]) -> dict[str, dict[str, Array]]:
  """Folds the batch normalisation of each layer into its convolution.

  Args:
    tensors: state dict with `L.conv.weight`, `[o, i, h, w]`, and `L.bn.weight`, `L.bn.bias`,
      `L.bn.running_mean` and `L.bn.running_var`, `[o]`, for each layer L; others are ignored.

  Returns:
    A kernel and a bias for each layer.

  Raises:
    ValueError: if a tensor is missing, or does not have the shape that Inception needs.
  """
  weights = {}
  for name in tensors:
    if name.endswith(".conv.weight"):
      layer = name.removesuffix(".conv.weight")
      weights[layer] = _fold_layer(layer, tensors)
  image = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32)
  jax.eval_shape(features, weights, image)  # checks names and shapes
  return {layer: jax.tree.map(jnp.asarray, arrays) for layer, arrays in weights.items()}


def _fold_layer(layer: str, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
  parts = [tensors[f"{layer}.conv.weight"].astype(np.float64)]
  for part in ("weight", "bias", "running_mean", "running_var"):
    name = f"{layer}.bn.{part}"
    if name not in tensors:
      raise ValueError(f"it has no tensor {name}.")
    if tensors[name].shape != parts[0].shape[:1] or parts[0].ndim != 4:
      raise ValueError(f"its tensor {name} has shape {list(tensors[name].shape)}.")
    parts.append(tensors[name].astype(np.float64))
  kernel, scale, shift, mean, variance = parts
  if not all(np.isfinite(part).all() for part in parts) or variance.min() < 0:
    raise ValueError(f"its layer {layer} has numbers that are not finite, or a negative variance.")
  # Compute in float64, so that folding adds a single rounding to float32.
  gain = scale / np.sqrt(variance + _EPSILON)
  return {
    "kernel": (kernel.transpose(2, 3, 1, 0) * gain).astype(np.float32),
    "bias": (shift - mean * gain).astype(np.float32),
  }
