"""Writes a trained model as files for others."""

import dataclasses
import os
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from aejax import _checks
from aejax._extras import require
from aejax._files import read_json
from aejax.autoencoder import Autoencoder
from aejax.data import Scaling
from aejax.exporting.card import write_card
from aejax.exporting.onnx_programs import save_onnx
from aejax.exporting.prior import describe_prior
from aejax.exporting.programs import save_programs
from aejax.exporting.weights import save_model
from aejax.priors import Prior

__all__ = ["export"]


@runtime_checkable
class _Trained(Protocol):
  """A trained model with the settings of its run, as `aejax.load` returns."""

  configuration: Any

  @property
  def model(self) -> Autoencoder:
    """The trained model."""
    ...

  @property
  def step(self) -> int:
    """The number of steps that it was trained for."""
    ...

  @property
  def prior(self) -> Prior:
    """The distribution that the latents are matched to."""
    ...


def export(
  run_or_model: _Trained | Autoencoder | str | os.PathLike[str],
  path: str | os.PathLike[str],
  *,
  image_shape: tuple[int, ...] | None = None,
) -> list[Path]:
  """Writes a trained model as files that others read: weights, programs and a model card.

  With the path `mine.safetensors`, the files are:

  - `mine.safetensors`: the parameters, with the settings of the run as JSON in the metadata. Read
    it with `aejax.load_model`, or the parameters alone with any library for safetensors.
  - `mine.encoder.stablehlo` and `mine.decoder.stablehlo`: programs for CPUs, GPUs of NVIDIA and
    TPUs, with a free batch size. Run them with `jax.export.deserialize(content).call(x)`, where
    aejax is not installed.
  - `mine.md`: a model card with the settings, the metrics of a scored run, and their use.

  With the path `mine.onnx`, they are `mine.encoder.onnx` and `mine.decoder.onnx`: programs for ONNX
  runtimes, with a free batch size, which were compared with the model.

  Args:
    run_or_model: a run or its work directory, a model from `aejax.load`, or an `Autoencoder`.
    path: path of the weights, which ends in .safetensors, or a path that ends in .onnx.
    image_shape: shape of one example; needed for an `Autoencoder` that `networks.build` did not
      build, and refused otherwise.

  Returns:
    The paths of the files; each is complete or absent.

  Raises:
    ValueError: if the argument is no trained model, the work directory holds no run or several, or
      the path is wrong; or if jax2onnx cannot convert the networks, such as those of volumes.
    ImportError: if safetensors or flatbuffers is not installed; for ONNX, jax2onnx or onnxruntime.

  Example:
    aejax.export("runs/cwae-digits", "mine.safetensors")
  """
  path = _checks.path("path", path)
  if path.suffix not in (".safetensors", ".onnx") or path.is_dir():
    raise ValueError(
      f"path must be that of a .safetensors or .onnx file, but is {_checks.short_repr(path)}"
    )
  if path.suffix == ".onnx":
    require("onnx", "jax2onnx", "onnxruntime")
  else:
    require("export", "safetensors", "flatbuffers")
  _checks.folder("the folder of path", path.parent)
  workdir = None
  if isinstance(run_or_model, str | os.PathLike):
    from aejax.training import Run

    workdir = _checks.path("run_or_model", run_or_model)
    opened: Any = Run.open(workdir)
    run_or_model = opened
  elif (folder := getattr(run_or_model, "workdir", None)) is not None:
    workdir = Path(folder)
  if isinstance(run_or_model, Autoencoder):
    model, description = run_or_model, _describe_model(run_or_model, image_shape)
  elif isinstance(run_or_model, _Trained):
    if image_shape is not None:
      raise ValueError("image_shape is for an Autoencoder, but the run has its own.")
    model, description = run_or_model.model, _describe_run(run_or_model)
  else:
    raise ValueError(
      "run_or_model must be a run, its work directory or a model, but is "
      f"{_checks.type_name(run_or_model)}."
    )
  shape, scaling = tuple(description["image_shape"]), Scaling.from_json(description["scaling"])
  if path.suffix == ".onnx":
    return save_onnx(path.with_suffix(""), model, shape, scaling)
  summary = {}
  if workdir is not None and (workdir / "summary.json").is_file():
    summary = read_json(workdir / "summary.json")
  programs = save_programs(path.with_suffix(""), model, shape, scaling)
  card = write_card(path.with_suffix(".md"), path, model, description, summary)
  # The weights come last: where they are, the export was complete.
  return [save_model(path, model, description), *programs, card]


def _describe_run(trained: _Trained) -> dict[str, Any]:
  """Returns what `load_model` needs, and the settings of the run."""
  configuration = trained.configuration
  return {
    "network": configuration.network,
    "image_shape": list(configuration.image_shape),
    "latent_dim": configuration.latent_dim,
    "gaussian": configuration.make_objective().gaussian_encoder,
    "output": trained.model.output,
    "precision": configuration.precision,
    "scaling": configuration.scaling,
    "prior": describe_prior(trained.prior),
    "steps": trained.step,
    "configuration": dataclasses.asdict(configuration),
  }


def _describe_model(model: Autoencoder, image_shape: tuple[int, ...] | None) -> dict[str, Any]:
  """Returns the same for a model without a run; `load_model` then needs a model to fill."""
  shape = image_shape or getattr(model.encoder, "image_shape", None)
  if shape is None:
    raise ValueError("image_shape is needed: the encoder does not say what examples it takes.")
  return {
    "network": None,
    "image_shape": list(shape),
    "latent_dim": model.latent_dim,
    "output": model.output,
    "prior": describe_prior(model.prior),
    "scaling": "unit" if model.output != "identity" else "none",
  }
