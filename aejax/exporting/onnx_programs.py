"""Encoder and decoder as ONNX programs, for runtimes other than JAX."""

import contextlib
import importlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from aejax import _checks
from aejax._extras import require
from aejax._files import replacing
from aejax.autoencoder import Autoencoder
from aejax.data import Scaling
from aejax.exporting.programs import functions_of
from aejax.networks._conv_ops import portable_convolutions

__all__ = ["save_onnx"]

# Largest difference from JAX, relative to the largest value: float32 sums in another order.
_TOLERANCE = 1e-4

# Number of examples that are compared; not 1, to which a wrong batch size may broadcast.
_EXAMPLES = 3


def save_onnx(
  stem: Path, model: Autoencoder, image_shape: tuple[int, ...], scaling: Scaling
) -> list[Path]:
  """Writes STEM.encoder.onnx and STEM.decoder.onnx, with a free batch size.

  Inputs and outputs are those of `save_programs`: `examples` to `latents`, and `log_variance` of a
  Gaussian encoder, and back. Each file is run once by ONNX Runtime, and compared with JAX.

  Raises:
    ImportError: if jax2onnx or onnxruntime is not installed.
    ValueError: if jax2onnx cannot convert the networks, or the programs compute something else.
  """
  require("onnx", "jax2onnx", "onnxruntime")
  encode, decode = functions_of(model, scaling)
  return [
    _save(Path(f"{stem}.encoder.onnx"), encode, image_shape, "examples"),
    _save(Path(f"{stem}.decoder.onnx"), decode, (model.latent_dim,), "latents"),
  ]


def _save(
  path: Path, function: Callable[[Array], Any], shape: tuple[int, ...], argument: str
) -> Path:
  examples = np.random.default_rng(0).random((_EXAMPLES, *shape), np.float32)
  expected = jax.tree.leaves(function(jnp.asarray(examples)))
  results = ["latents", "log_variance"] if argument == "examples" else ["examples"]
  content = _convert(function, shape, argument, results[: len(expected)])
  found = _run(content, argument, examples)
  for value, result in zip(found, expected, strict=True):
    largest = np.max(np.abs(result), initial=np.finfo(np.float32).tiny)
    if value.shape != result.shape or not np.max(np.abs(value - result)) <= _TOLERANCE * largest:
      raise ValueError(f"{path.name} would not compute what the model does: jax2onnx is at fault.")
  with replacing(path) as temporary:
    temporary.write_bytes(content)
  return path


def _convert(
  function: Callable[[Array], Any], shape: tuple[int, ...], argument: str, results: list[str]
) -> bytes:
  """Returns the content of an ONNX file."""
  with _quiet():
    jax2onnx: Any = importlib.import_module("jax2onnx")
    try:
      with portable_convolutions():
        model: Any = jax2onnx.to_onnx(
          # A new function each time, because JAX caches the traces of a function.
          lambda x: function(x),
          [("n", *shape)],
          model_name="aejax",
          input_names=[argument],
          output_names=results,
        )
    except Exception as error:  # jax2onnx raises errors of any type for what it does not know
      raise ValueError(
        f"jax2onnx cannot convert these networks: {_checks.short_message(error)}"
      ) from error
    return model.SerializeToString()


def _run(content: bytes, argument: str, examples: np.ndarray) -> list[np.ndarray]:
  """Returns what ONNX Runtime computes."""
  onnxruntime: Any = importlib.import_module("onnxruntime")
  options = onnxruntime.SessionOptions()
  options.log_severity_level = 3  # without notes about unused constants
  session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
  return session.run(None, {argument: examples})


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Silences what jax2onnx logs about its own examples and types."""
  loggers = [logging.getLogger(name) for name in ("jax2onnx", "onnx_ir")]
  levels = [logger.level for logger in loggers]
  for logger in loggers:
    logger.setLevel(logging.CRITICAL)
  try:
    yield
  finally:
    for logger, level in zip(loggers, levels, strict=True):
      logger.setLevel(level)
