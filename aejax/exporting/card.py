"""The model card: what a model is, how well it does, and how to use its files."""

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from flax import nnx

from aejax import __version__
from aejax._files import replacing
from aejax.autoencoder import Autoencoder

__all__ = ["write_card"]

# Entries of summary.json that are not metrics.
_NO_METRICS = {"method", "dataset", "network", "latent_dim", "steps", "seeds"}


def write_card(
  path: Path,
  weights: Path,
  model: Autoencoder,
  description: Mapping[str, Any],
  summary: Mapping[str, Any],
) -> Path:
  """Writes a model card in Markdown.

  Args:
    path: the file to write.
    weights: the safetensors file that the card is about.
    model: the model.
    description: what the weights file says about the model.
    summary: content of summary.json; empty if the run is not scored.
  """
  parameters = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
  configuration = description.get("configuration", {})
  shape = tuple(description["image_shape"])
  facts = {
    "method": configuration.get("method", "not recorded"),
    "training data": _data(configuration),
    "shape of an example": " × ".join(map(str, shape)),
    "values": _values(description["scaling"]),
    "latent dimension": description["latent_dim"],
    "network": description["network"] or "of the author's own",
    "parameters": f"{parameters:,}",
    "training steps": f"{description['steps']:,}" if "steps" in description else "not recorded",
  }
  versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("jax", "flax"))
  lines = [
    f"# {weights.stem}",
    "",
    f"An autoencoder whose latents are matched to a prior, trained with aejax {__version__} "
    f"({versions}).",
    "",
    *_table(("", ""), [(name, value) for name, value in facts.items()]),
    "",
    "## Metrics",
    "",
    *_metrics(summary),
    "",
    "## Use",
    "",
    "With aejax:",
    "",
    "```python",
    "import aejax",
    "",
    f'model = aejax.load_model("{weights.name}")',
    "latents = model.encode(x)",
    "examples = model.decode(latents)",
    "```",
    "",
    "Without aejax, with JAX only (and flatbuffers), on CPUs, GPUs of NVIDIA and TPUs:",
    "",
    "```python",
    "from pathlib import Path",
    "import jax.export",
    "",
    *(
      f'{part} = jax.export.deserialize(Path("{weights.stem}.{part}.stablehlo").read_bytes())'
      for part in ("encoder", "decoder")
    ),
    f"{_result(model, shape)} = encoder.call(x)  # x: float32, [n, {', '.join(map(str, shape))}]",
    "examples = decoder.call(latents)",
    "```",
    "",
    *_settings(configuration),
  ]
  with replacing(path) as temporary:
    temporary.write_text("\n".join(lines), encoding="utf-8")
  return path


def _data(configuration: Mapping[str, Any]) -> str:
  if not configuration:
    return "not recorded"
  # The folders of the author's machine are nobody's business.
  name = Path(configuration["dataset"]).name
  return f"{name}, {configuration['train_images']:,} examples"


def _values(scaling: Any) -> str:
  if isinstance(scaling, Mapping):
    return "in the units of the data, standardised inside"
  return "in [0, 1]" if scaling == "unit" else "as they are"


def _result(model: Autoencoder, shape: tuple[int, ...]) -> str:
  posterior = jax.eval_shape(
    lambda x: model.posterior(x), jax.ShapeDtypeStruct((1, *shape), jax.numpy.float32)
  )
  return "latents" if posterior.log_variance is None else "latents, log_variance"


def _metrics(summary: Mapping[str, Any]) -> list[str]:
  normal = summary.get("normal_latents", {})
  rows = [
    (name, _number(value), _number(normal[name]) if name in normal else "")
    for name, value in summary.items()
    if name not in _NO_METRICS and isinstance(value, int | float)
  ]
  if not rows:
    return ["The run is not scored."]
  return [
    "On the test set; for the distances, also what truly normal latents score.",
    "",
    *_table(("metric", "value", "normal latents"), rows),
  ]


def _settings(configuration: Mapping[str, Any]) -> list[str]:
  if not configuration:
    return []
  hidden = {"dataset", "data_dir", "scaling"}
  rows = [(name, f"`{value}`") for name, value in configuration.items() if name not in hidden]
  return ["## Settings", "", *_table(("setting", "value"), rows), ""]


def _number(value: float) -> str:
  return f"{value:.4g}" if isinstance(value, float) else f"{value}"


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
  lines = [head, ("---",) * len(head), *rows]
  return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]
