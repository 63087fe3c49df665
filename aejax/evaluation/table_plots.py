"""Plots of vectors: each feature, and the correlations of all features."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from aejax.evaluation._palette import BLUE, INK
from aejax.evaluation.diagnostics import panels, save_figure

__all__ = ["save_correlations", "save_feature_reconstructions", "save_features"]

_MAX_FEATURES = 12
_MAX_POINTS = 2_000


def save_features(
  path: str | Path, samples: Float[np.ndarray, "n d"], real: Float[np.ndarray, "m d"]
) -> Path:
  """Saves histograms of the first 12 features: bars for samples, a line for real vectors."""
  figure, axes = panels(min(samples.shape[1], _MAX_FEATURES), columns=4, size=(230, 150))
  num_bins = int(np.clip(2 * np.sqrt(len(real)), 5, 40))
  for k, panel in enumerate(axes):
    # Outliers of the samples must not squeeze the real values into one bar.
    edges = np.linspace(real[:, k].min(), real[:, k].max(), num_bins + 1)
    edges = edges if edges[0] < edges[-1] else edges[0] + np.linspace(-0.5, 0.5, num_bins + 1)
    inside = np.clip(samples[:, k], edges[0], edges[-1])
    bins = edges.tolist()
    panel.hist(inside, bins, weights=np.full(len(inside), 1 / len(inside)), color=BLUE)
    weights = np.full(len(real), 1 / len(real))
    panel.hist(real[:, k], bins, weights=weights, color=INK, histtype="step")
    panel.set_title(f"feature {k + 1}", fontsize=9, color=INK, loc="left")
    panel.set_yticks([])
  return save_figure(path, figure)


def save_feature_reconstructions(
  path: str | Path,
  vectors: Float[np.ndarray, "n d"],
  reconstructions: Float[np.ndarray, "n d"],
) -> Path:
  """Saves scatter plots of the first 12 features: values against those reconstructed."""
  figure, axes = panels(min(vectors.shape[1], _MAX_FEATURES), columns=4, size=(200, 200))
  for k, panel in enumerate(axes):
    x, y = vectors[:_MAX_POINTS, k], reconstructions[:_MAX_POINTS, k]
    panel.scatter(x, y, s=5, color=BLUE, alpha=0.5, linewidths=0)
    panel.axline((float(x[0]), float(x[0])), slope=1, color=INK, linewidth=1)
    panel.set_title(f"feature {k + 1}", fontsize=9, color=INK, loc="left")
  axes[0].set_ylabel("reconstruction", fontsize=9, color=INK)
  return save_figure(path, figure)


def save_correlations(
  path: str | Path, samples: Float[np.ndarray, "n d"], real: Float[np.ndarray, "m d"]
) -> Path:
  """Saves the correlation matrix of real vectors beside that of samples, from −1 to 1."""
  figure, axes = panels(2, columns=2, size=(340, 340))
  for panel, values, title in (
    (axes[0], real, "test vectors"),
    (axes[1], samples, "samples"),
  ):
    with np.errstate(invalid="ignore", divide="ignore"):
      matrix = np.nan_to_num(np.corrcoef(values.astype(np.float64), rowvar=False))
    low, high = 0.5, values.shape[1] + 0.5
    panel.imshow(
      np.atleast_2d(matrix),
      extent=(low, high, high, low),
      vmin=-1,
      vmax=1,
      cmap="RdBu_r",
      interpolation="nearest",
    )
    panel.set_title(title, fontsize=10, color=INK, loc="left")
  return save_figure(path, figure)
