"""Diagnostic plots of a run: its training curves, and its latents compared with N(0, I)."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, Shaped

from aejax import _checks, distances
from aejax._extras import require
from aejax._files import replacing
from aejax.evaluation._palette import BLUE, GREY, INK, class_colours
from aejax.evaluation.image_grid import DPI, blank_figure, label_powers, write_png
from aejax.metrics._chunked import Real, features_in_float64

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

__all__ = [
  "panels",
  "save_curves",
  "save_figure",
  "save_marginals",
  "save_pairs",
  "save_quantiles",
]

_MAX_COORDINATES = 12
_MAX_PAIR_COORDINATES = 6
_MAX_POINTS = 2_000
_DIRECTIONS = 32


def save_curves(path: str | Path, epochs: Sequence[dict[str, Any]]) -> Path:
  """Saves reconstruction error and penalty over the epochs of a log.

  Args:
    path: the PNG to write.
    epochs: the lines of metrics.jsonl.

  Raises:
    ValueError: if there are no epochs, or one lacks a number.
  """
  _check_epochs(epochs)
  figure, axes = panels(2, columns=2, size=(460, 300), gap=80)
  x = [line["epoch"] for line in epochs]
  titles = ("reconstruction error", "penalty")
  for panel, name in zip(axes, ("reconstruction_error", "penalty"), strict=True):
    panel.plot(x, [line[name] for line in epochs], color=BLUE, linewidth=1.4)
    panel.set_title(titles[name == "penalty"], fontsize=10, color=INK, loc="left")
    panel.set_xlabel("epoch", fontsize=9, color=INK)
  errors = [line["reconstruction_error"] for line in epochs]
  if min(errors) > 0 and max(errors) > 10 * min(errors):
    axes[0].set_yscale("log")
    label_powers(axes[0].yaxis)
  return save_figure(path, figure)


def _check_epochs(epochs: Any) -> None:
  if not isinstance(epochs, Sequence) or not epochs:
    raise ValueError(
      f"epochs must be at least one line of a log, but is {_checks.short_repr(epochs)}."
    )
  for line in epochs:
    for name in ("epoch", "reconstruction_error", "penalty"):
      value = line.get(name) if isinstance(line, dict) else None
      if not isinstance(value, int | float):
        raise ValueError(
          f"epochs must each have a number {name}, but one is {_checks.short_repr(line)}."
        )


def save_marginals(
  path: str | Path, latents: Float[Real, "n d"], *, reference: Float[Real, "m d"] | None = None
) -> Path:
  """Saves histograms of the first twelve coordinates, with the density of N(0, 1).

  Args:
    path: the PNG to write.
    latents: latents, one a row.
    reference: samples of another prior, whose histograms then replace the density.

  Raises:
    ValueError: if `latents` is not a finite [n, d] of at least two rows.
  """
  z = features_in_float64("latents", latents, least=2)
  shown = z[:, :_MAX_COORDINATES]
  figure, axes = panels(shown.shape[1], columns=4, size=(230, 170))
  limit = max(4.0, min(float(np.abs(shown).max()), 8.0))
  x = np.linspace(-limit, limit, 201)
  edges = np.linspace(-limit, limit, int(np.clip(2 * np.sqrt(len(z)), 16, 81)))
  density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
  for k, (panel, values) in enumerate(zip(axes, shown.T, strict=True)):
    panel.hist(values, bins=edges.tolist(), density=True, color=BLUE)
    if reference is None:
      panel.plot(x, density, color=INK, linewidth=1.2)
    else:
      samples = np.asarray(reference)[:, k]
      panel.hist(samples, bins=edges.tolist(), density=True, histtype="step", color=INK)
    panel.set_yticks([])
    panel.set_title(f"$z_{{{k + 1}}}$", fontsize=10, color=INK, loc="left", y=0.8, x=0.03)
  return save_figure(path, figure, vectors=True)


def save_quantiles(
  path: str | Path,
  latents: Float[Real, "n d"],
  *,
  key: Key[Array, ""],
  reference: Float[Real, "m d"] | None = None,
) -> Path:
  """Saves quantile–quantile plots against N(0, 1), along random directions and the worst one.

  The worst direction has the largest one-dimensional Wasserstein distance, and is found by gradient
  ascent from random directions. If the latents are normal along it, they are along any direction.

  Args:
    path: the PNG to write.
    latents: latents, one a row.
    key: random key that draws the directions.
    reference: samples of another prior, whose quantiles then replace those of N(0, 1).

  Raises:
    ValueError: if `latents` is not a finite [n, d] of at least two rows.
  """
  z = features_in_float64("latents", latents, least=2)
  n, dim = z.shape
  _checks.key("key", key)
  random = distances.random_directions(key, _DIRECTIONS, dim)
  target = None if reference is None else jnp.asarray(reference[:_MAX_POINTS], jnp.float32)
  worst = _worst_direction(jnp.asarray(z[:_MAX_POINTS], jnp.float32), random, target)
  levels = (np.arange(n) + 0.5) / n
  expected = np.asarray(jax.scipy.special.ndtri(jnp.asarray(levels)))
  kept = np.unique(np.linspace(0, n - 1, 400).astype(int))
  figure, axes = panels(2, columns=2, size=(400, 400))
  for panel, directions, title in (
    (axes[0], np.asarray(random), f"{_DIRECTIONS} random directions"),
    (axes[1], worst[None], "the worst direction"),
  ):
    sorted_projections = np.sort(z @ directions.T, axis=0)[kept]
    quantiles = expected[kept]
    if reference is not None:
      quantiles = np.quantile(np.asarray(reference) @ directions.T, levels[kept], axis=0)
    panel.axline((0, 0), slope=1, color=INK, linewidth=1)
    panel.plot(
      quantiles,
      sorted_projections,
      color=BLUE,
      linewidth=1,
      alpha=min(1, 6 / len(directions)),
    )
    panel.set_title(title, fontsize=10, color=INK, loc="left")
    compared = "N(0, 1)" if reference is None else "the prior"
    panel.set_xlabel(f"quantiles of {compared}", fontsize=9, color=INK)
    limit = max(3.5, float(np.abs(sorted_projections).max()))
    panel.set(xlim=(-limit, limit), ylim=(-limit, limit))
  axes[0].set_ylabel("quantiles of the latents", fontsize=9, color=INK)
  return save_figure(path, figure, vectors=True)


def save_pairs(
  path: str | Path,
  latents: Float[Real, "n d"],
  *,
  labels: Shaped[Real, " n"] | None = None,
  reference: Float[Real, "m d"] | None = None,
) -> Path:
  """Saves scatter plots of all pairs of the first six coordinates, with the circle |z| = 2.

  Args:
    path: the PNG to write.
    latents: latents, one a row.
    labels: class of each latent, which then has the colour of its class.
    reference: samples of another prior, which then replace the circle.

  Raises:
    ValueError: if `latents` is not a finite [n, d] of at least two rows, with d at least 2, or the
      number of labels differs.
  """
  z = features_in_float64("latents", latents, least=2)
  dim = min(z.shape[1], _MAX_PAIR_COORDINATES)
  if dim < 2:
    raise ValueError(f"latents must have two coordinates or more, but have shape {z.shape}.")
  require("train", "matplotlib")
  from matplotlib.patches import Circle

  order = np.random.default_rng(0).permutation(len(z))[:_MAX_POINTS]
  points, colours = z[order, :dim], [BLUE] * len(order)
  if labels is not None:
    if np.shape(labels) != (len(z),):
      raise ValueError(f"labels must have shape [{len(z)}], but have {list(np.shape(labels))}.")
    numbers = np.unique(labels, return_inverse=True)[1]
    of_class = class_colours(int(numbers.max()) + 1)
    colours = [of_class[number] for number in numbers[order]]
  limit = max(3.5, float(np.abs(points).max()))
  cells = dim - 1
  side = max(110, 660 // cells)
  figure, axes = panels(cells * cells, columns=cells, size=(side, side), gap=6)
  for index, panel in enumerate(axes):
    row, column = index // cells + 1, index % cells
    if column >= row:
      panel.set_visible(False)
      continue
    if reference is not None:
      samples = np.asarray(reference)[:_MAX_POINTS, [column, row]]
      panel.scatter(*samples.T, s=2, color=GREY, linewidths=0, rasterized=True)
    panel.scatter(
      *(points[:, column], points[:, row]), s=4, c=colours, alpha=0.8, linewidths=0, rasterized=True
    )
    if reference is None:
      panel.add_patch(Circle((0, 0), 2, fill=False, color=INK, linewidth=0.8))
    panel.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[])
    if column == 0:
      panel.set_ylabel(f"$z_{{{row + 1}}}$", fontsize=9, color=INK)
    if row == cells:
      panel.set_xlabel(f"$z_{{{column + 1}}}$", fontsize=9, color=INK)
  return save_figure(path, figure, vectors=True)


def _worst_direction(
  z: Float[Array, "n d"],
  directions: Float[Array, "k d"],
  target: Float[Array, "m d"] | None = None,
  steps: int = 100,
) -> Float[np.ndarray, " d"]:
  """Returns the direction with the largest distance after gradient ascent from some directions."""

  def distance(direction):
    unit = direction / jnp.linalg.norm(direction)
    return distances.sliced_wasserstein(z, target, directions=unit[None])

  @jax.jit
  def climb(direction):
    def step(_, best):
      value, direction = best
      gradient = jax.grad(distance)(direction)
      moved = direction + 0.3 * gradient / (jnp.linalg.norm(gradient) + 1e-12)
      moved = moved / jnp.linalg.norm(moved)
      new_value = distance(moved)
      return jax.lax.cond(new_value > value, lambda: (new_value, moved), lambda: (value, direction))

    return jax.lax.fori_loop(0, steps, step, (distance(direction), direction))

  values = jax.jit(lambda directions: jax.lax.map(distance, directions))(directions)
  # Start from the best three directions only: ascent from all would take too long.
  maxima = [climb(directions[k]) for k in np.argsort(values)[-3:]]
  return np.asarray(max(maxima, key=lambda maximum: float(maximum[0]))[1])


def panels(
  count: int, *, columns: int, size: tuple[int, int], gap: int = 54
) -> tuple["Figure", list["Axes"]]:
  """Returns a figure with `count` panels, row by row, each `size` pixels large."""
  columns = min(columns, count)
  rows = -(-count // columns)
  left, bottom, top = max(70, gap + 16), 56, 30
  width = left + columns * (size[0] + gap)
  height = bottom + top + rows * (size[1] + gap) - gap
  figure = blank_figure(width, height)
  axes = []
  for index in range(count):
    row, column = divmod(index, columns)
    x = left + column * (size[0] + gap)
    y = height - top - (row + 1) * size[1] - row * gap
    panel = figure.add_axes((x / width, y / height, size[0] / width, size[1] / height))
    panel.tick_params(colors=INK, labelsize=8)
    for name, spine in panel.spines.items():
      spine.set_visible(name in ("left", "bottom"))
      spine.set_color(GREY)
    axes.append(panel)
  return figure, axes


def save_figure(path: str | Path, figure: "Figure", *, vectors: bool = False) -> Path:
  """Writes a figure of `panels` to a PNG file, and with `vectors` to an SVG file beside it."""
  figure.set_dpi(DPI)
  path = write_png(path, figure)
  if vectors:
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    # Text stays text. A fixed salt makes the names of clipping paths, and so the file, repeatable.
    options: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "aejax"}
    canvas = FigureCanvasSVG(figure)
    with matplotlib.rc_context(options), replacing(path.with_suffix(".svg")) as temporary:
      canvas.print_svg(temporary, metadata={"Date": None})
  return path
