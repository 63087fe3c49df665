"""Trains each method for a few seconds, and writes docs/gallery.md with pictures (two minutes).

Digits come with scikit-learn; Fashion-MNIST is that of `aejax.data.load`. With `--page`, it writes
the page again from docs/images/gallery/gallery.json, without training.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from page import COLOURS, INK
from PIL import Image

import aejax
from aejax import data, distances, objectives
from aejax._files import replacing, write_json
from aejax.data import Dataset
from aejax.evaluation._palette import class_colours

DOCS = Path(__file__).parents[1]
IMAGES = DOCS / "images/gallery"

# Settings of the runs on each data set. λ of distances that are not logarithms is 100 on
# Fashion-MNIST, as in the paper, and 30 on digits, whose reconstruction errors are smaller.
DATASETS: dict[str, dict[str, Any]] = {
  "digits": dict(name="Digits", train=1438, latent_dim=2, epochs=200, weight=30.0, factor=5),
  "fashion_mnist": dict(
    name="Fashion-MNIST", train=15_000, latent_dim=8, epochs=6, weight=100.0, factor=2
  ),
}
METHODS = {
  "digits": ("ae", "vae", "rae", "wae-mmd", "infovae", "swae", "cwae", "sigreg", "energy"),
  "fashion_mnist": ("ae", "vae", "wae-mmd", "swae", "cwae", "sigreg", "energy"),
}
_WEIGHTED = ("wae-mmd", "swae", "sigreg", "energy", "infovae")
_SIDE = 6  # rows and columns of images in a panel
_POINTS = 2000


def fields(method: str, dataset: str) -> dict[str, float]:
  """Returns the fields of an objective that differ from their defaults."""
  if method in _WEIGHTED:
    return {"weight": DATASETS[dataset]["weight"]}
  return {"weight": 10.0} if (method, dataset) == ("cwae", "fashion_mnist") else {}


def main() -> None:
  """Trains the runs and writes pictures, measurements and the page."""
  if "--page" not in sys.argv:
    found = {
      dataset: {method: _run(method, dataset) for method in methods}
      for dataset, methods in METHODS.items()
    }
    write_json(IMAGES / "gallery.json", found)
  found = json.loads((IMAGES / "gallery.json").read_text(encoding="utf-8"))
  with replacing(DOCS / "gallery.md") as temporary:
    temporary.write_text(page(found), encoding="utf-8")


def page(found: dict[str, dict[str, dict[str, float]]]) -> str:
  """Returns the page about measured runs."""
  parts = [
    "# Gallery",
    "Each method after a short training: 36 samples of the prior, 18 test images each above its "
    "reconstruction, and the latents of the test images, coloured by class. All runs of a data set "
    "share networks, batches of 128, Adam with learning rate 10⁻³ and seed 0. They are short, so "
    "read them for the character of a method and not for its best result; "
    "[Evaluation](evaluation.md) has long runs. `python docs/figures/gallery.py` trains them again "
    "and writes this page.",
    "The energy distance compares the latents of the test images with N(0, I). It is 0 on average "
    "for samples of N(0, I).",
  ]
  for dataset, runs in found.items():
    about = DATASETS[dataset]
    drawn = "with the circles |z| = 1 and 2"
    if about["latent_dim"] > 2:
      drawn = "along their first two principal axes, with circles of radius 1 and 2"
    parts += [
      f"## {about['name']}",
      f"{about['train']:,} training images, {about['latent_dim']} latents, {about['epochs']} "
      f"epochs, the networks `mlp`. Latents are shown {drawn}.",
    ]
    rows = [
      f"| [{method}](#{_anchor(method, dataset)}) | {run['reconstruction_error']:.3g} "
      f"| {run['energy_distance']:.2g} | {run['seconds']:.0f} |"
      for method, run in runs.items()
    ]
    parts.append(
      "| method | reconstruction error | energy distance of latents | CPU seconds |\n"
      "|---|---:|---:|---:|\n" + "\n".join(rows)
    )
    for method in runs:
      parts += _entry(method, dataset)
  return "\n\n".join(parts) + "\n"


def _entry(method: str, dataset: str) -> list[str]:
  given = ", ".join(f"{name} {value:g}" for name, value in fields(method, dataset).items())
  summary = (objectives.BY_NAME[method].__doc__ or "").splitlines()[0]
  name = DATASETS[dataset]["name"]
  return [
    f"### {method} on {name}",
    f"{summary} Settings: {given or 'the defaults'}.",
    f"![{method} on {name}: samples of the prior, test images above their reconstructions, and "
    f"latents by class](images/gallery/{dataset}-{method}.png)",
  ]


def _anchor(method: str, dataset: str) -> str:
  return f"{method} on {DATASETS[dataset]['name']}".lower().replace(" ", "-")


def _run(method: str, name: str) -> dict[str, float]:
  """Trains a method, writes its picture, and returns its measurements on the test set."""
  about, whole = DATASETS[name], data.load(name)
  labels = None if whole.train_labels is None else whole.train_labels[: about["train"]]
  dataset = Dataset(name, whole.train[: about["train"]], whole.test, labels, whole.test_labels)
  start = time.process_time()
  objective = objectives.BY_NAME[method](**fields(method, name))
  run = aejax.fit(
    objective,
    dataset,
    model="mlp",
    latent_dim=about["latent_dim"],
    epochs=about["epochs"],
    test_epochs=0,
  )
  seconds = time.process_time() - start
  test = np.asarray(dataset.test)
  posterior = run.posterior(test)
  latents = posterior.sample(jax.random.key(0))
  decoded = np.asarray(run.decode(posterior.mean))
  error = float(np.square(test / 255.0 - decoded).sum(axis=(1, 2, 3)).mean())
  samples = np.asarray(run.generate(jax.random.key(0), _SIDE**2))
  rows = np.arange(_SIDE * _SIDE // 2).reshape(-1, _SIDE)
  pairs = np.concatenate([np.concatenate([test[row] / 255.0, decoded[row]]) for row in rows])
  tiles = [_tiles(images, about["factor"]) for images in (samples, pairs)]
  scatter = _scatter(np.asarray(latents), np.asarray(dataset.test_labels), len(tiles[0]))
  gap = np.full((len(tiles[0]), 12, 3), 255, np.uint8)
  picture = np.concatenate([tiles[0], gap, tiles[1], gap, scatter], axis=1)
  IMAGES.mkdir(parents=True, exist_ok=True)
  with replacing(IMAGES / f"{name}-{method}.png") as temporary:
    Image.fromarray(picture).quantize(palette=_palette(), dither=Image.Dither.NONE).save(
      temporary, format="png", optimize=True
    )
  measured = {
    "reconstruction_error": error,
    "energy_distance": float(distances.energy_distance(latents)),
    "seconds": seconds,
  }
  print(name, method, measured, flush=True)
  return measured


def _tiles(images: np.ndarray, factor: int, gap: int = 2) -> np.ndarray:
  """Returns square tiles in rows of six, enlarged by a whole factor."""
  side = images.shape[1] * factor
  step = side + gap
  canvas = np.full((_SIDE * step - gap, _SIDE * step - gap, 3), 255, np.uint8)
  pixels = np.rint(255 * np.clip(images, 0, 1)).astype(np.uint8)
  for index, image in enumerate(pixels):
    row, column = divmod(index, _SIDE)
    enlarged = image.repeat(factor, axis=0).repeat(factor, axis=1)
    canvas[row * step : row * step + side, column * step : column * step + side] = enlarged
  return canvas


def _palette() -> Image.Image:
  """Returns a palette of greys, and of the colours of classes alone and mixed with white."""
  greys = [(level, level, level) for level in (*range(0, 241, 6), 255)]
  classes = [tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in class_colours(10)]
  mixed = [
    tuple(round(255 - share * (255 - level)) for level in colour)
    for colour in classes
    for share in (1, 0.75, 0.5, 0.25)
  ]
  image = Image.new("P", (1, 1))
  image.putpalette([level for colour in (*greys, *mixed) for level in colour])
  return image


def _scatter(latents: np.ndarray, labels: np.ndarray, side: int) -> np.ndarray:
  """Draws latents, along two principal axes if there are more, as pixels."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure
  from matplotlib.patches import Circle

  z, labels = latents[:_POINTS], labels[:_POINTS]
  if z.shape[1] > 2:
    z = z @ np.linalg.svd(z - z.mean(0), full_matrices=False)[2][:2].T
  figure = Figure(figsize=(side / 100, side / 100), dpi=100)
  canvas = FigureCanvasAgg(figure)
  axes = figure.add_axes((0.1, 0.08, 0.89, 0.89))
  colours = class_colours(10)
  axes.scatter(*z.T, c=[colours[label] for label in labels], s=4000 / len(z) + 3, linewidths=0)
  for radius in (1, 2):
    axes.add_patch(Circle((0, 0), radius, fill=False, color=INK, linewidth=0.8))
  limit = max(3.0, float(np.quantile(np.abs(z), 0.995)) * 1.05)
  axes.set(xlim=(-limit, limit), ylim=(-limit, limit))
  axes.tick_params(labelsize=7, colors=INK)
  for spine in axes.spines.values():
    spine.set_color(COLOURS[4])
  canvas.draw()
  return np.asarray(canvas.buffer_rgba())[..., :3]


if __name__ == "__main__":
  main()
