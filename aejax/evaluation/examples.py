"""Plots of examples of any kind.

Images and volumes are shown as pictures, signals as lines, and vectors by feature. Each function
writes a PNG file, which is complete or absent, and returns its path.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Num

from aejax.data import Scaling
from aejax.evaluation import figures, line_plots, table_plots
from aejax.metrics._chunked import Real

__all__ = [
  "check_examples",
  "save_example_interpolations",
  "save_example_reconstructions",
  "save_samples",
]


def check_examples(num: int, shape: tuple[int, ...]) -> None:
  """Checks that `save_samples` can save `num` examples of a shape.

  Raises:
    ValueError: if there are too many for one picture.
  """
  if len(shape) >= 3:
    figures.check_grid(num, (shape[-3], shape[-2]))


def save_samples(path: str | Path, samples: Float[Real, "n ..."], real: Num[Real, "m ..."]) -> Path:
  """Saves generated examples.

  Images are a grid, and so are volumes, of which the middle slice along the first axis is shown.
  Signals are lines. Vectors are shown by the histogram of each feature, beside that of real ones.

  Args:
    path: the PNG to write.
    samples: generated examples.
    real: examples of the data set, which give the range of the values.
  """
  samples, real = _floats(samples), _floats(real)
  if samples.ndim == 2:
    return table_plots.save_features(path, samples, real)
  if samples.ndim == 3:
    return line_plots.save_signals(path, samples, real)
  return figures.save_grid(path, _pictures(samples, real))


def save_example_reconstructions(
  path: str | Path, examples: Num[Real, "n ..."], reconstructions: Float[Real, "n ..."]
) -> Path:
  """Saves examples with their reconstructions.

  Images and volumes are above their reconstructions, signals in one panel with them, and for
  vectors each feature is a scatter plot of its values against those reconstructed.
  """
  examples, reconstructions = _floats(examples), _floats(reconstructions)
  if examples.ndim == 2:
    return table_plots.save_feature_reconstructions(path, examples, reconstructions)
  if examples.ndim == 3:
    return line_plots.save_signal_reconstructions(path, examples, reconstructions)
  return figures.save_reconstructions(
    path, _pictures(examples, examples), _pictures(reconstructions, examples)
  )


def save_example_interpolations(
  path: str | Path, walks: Float[Real, "rows steps ..."], real: Num[Real, "m ..."]
) -> Path:
  """Saves decoded walks through the latents; signals and volumes as in `save_samples`.

  Raises:
    ValueError: for vectors, for which no such plot exists.
  """
  walks, real = _floats(walks), _floats(real)
  if walks.ndim == 3:
    raise ValueError("walks must be of images, signals or volumes, but are of vectors.")
  if walks.ndim == 4:
    return line_plots.save_signal_interpolations(path, walks)
  return figures.save_interpolations(path, _pictures(walks, real))


def _floats(values: Num[Real, "n ..."]) -> Float[np.ndarray, "n ..."]:
  """Returns values as float32, uint8 in [0, 1]."""
  return np.asarray(Scaling().apply(np.asarray(values)))


def _pictures(
  values: Float[np.ndarray, "*n c"], real: Float[np.ndarray, "m ..."]
) -> Float[np.ndarray, "*k d"]:
  """Returns images in [0, 1], of volumes their middle slices.

  Values in [0, 1] stay as they are. Others are scaled so that real values span [0, 1].
  """
  if real.ndim == 5:
    values = values[..., values.shape[-4] // 2, :, :, :]
  low, high = float(real.min()), float(real.max())
  if low < 0 or high > 1:
    values = (values - low) / max(high - low, 1e-30)
  if values.shape[-1] not in (1, 3):
    values = values.mean(-1, keepdims=True)
  return values
