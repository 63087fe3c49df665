"""The FID's features, from the file of its weights."""

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
_LARGEST = 2**30

# Images a call. The largest activations are 147 · 147 · 64 numbers an image: 280 MB for 50.
_BATCH = 50
_EPSILON = 1e-3


@dataclasses.dataclass(frozen=True)
class _Inception(Extractor):
  """What `inception` makes, and nothing else: only distances of these features are FID and KID."""

  @property
  def frechet_name(self) -> str:
    return "fid"

  @property
  def kernel_name(self) -> str:
    return "kid"


def inception(path: str | Path) -> Extractor:
  """The extractor of the FID's features, 2048 of each image, grey or of three colours.

  Images of any size are resized to 299 by 299. Generated images are taken as they are: codes that
  save them first also round them to 256 levels.

  Args:
    path: of weights-inception-2015-12-05-6726825d.pth, as torch-fidelity and pytorch-fid publish
      it; it is read without torch, and nothing in it is run.

  Returns:
    The extractor, called `inception`; `generation_metrics` calls its distances `fid` and `kid`.

  Raises:
    ValueError: if there is no such file, or it is another or damaged.

  Reference: Szegedy et al., CVPR 2016, arXiv 1512.00567; Heusel et al., NeurIPS 2017, arXiv
    1706.08500.
  """
  path = _checks.path("path", path)
  if not os.path.isfile(path):  # False too of what is too long to be a path
    raise ValueError(
      f"path must be that of {_FILE}, but there is no file {_checks.short_repr(path)}."
    )
  if (size := path.stat().st_size) > _LARGEST:
    raise ValueError(f"{_checks.short_repr(path)} cannot be {_FILE}: it has {size} bytes.")
  content = path.read_bytes()
  found = hashlib.sha256(content).hexdigest()
  if not found.startswith(_DIGEST):
    raise ValueError(
      f"{_checks.short_repr(path)} must be {_FILE}, whose SHA-256 begins with {_DIGEST}, but its own "
      f"begins with {found[: len(_DIGEST)]}."
    )
  try:
    weights = fold_batch_norm(read_tensors(content))
  except ValueError as error:
    sentence = _checks.short_message(error)
    raise ValueError(f"{_checks.short_repr(path)} holds no Inception: {sentence}") from error
  return _Inception("inception", jax.tree_util.Partial(features, weights), batch=_BATCH)


def fold_batch_norm(tensors: Mapping[str, np.ndarray]) -> dict[str, dict[str, Array]]:
  """The network's kernels and biases, from a state dict, each normalisation part of its kernel.

  Args:
    tensors: `L.conv.weight`, `[o, i, h, w]`, and `L.bn.weight`, `bias`, `running_mean` and
      `running_var`, `[o]`, of each layer L; what else there is is not used.

  Raises:
    ValueError: if one is missing, or has another shape than Inception's.
  """
  weights = {}
  for name in tensors:
    if name.endswith(".conv.weight"):
      layer = name.removesuffix(".conv.weight")
      weights[layer] = _folded_layer(layer, tensors)
  image = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32)
  jax.eval_shape(features, weights, image)  # for its checks
  return {layer: jax.tree.map(jnp.asarray, arrays) for layer, arrays in weights.items()}


def _folded_layer(layer: str, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
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
  # In float64, so that one rounding is all that folding adds.
  gain = scale / np.sqrt(variance + _EPSILON)
  return {
    "kernel": (kernel.transpose(2, 3, 1, 0) * gain).astype(np.float32),
    "bias": (shift - mean * gain).astype(np.float32),
  }
