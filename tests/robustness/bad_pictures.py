"""Bad calls of the functions that save plots.

One case for each argument and kind of mistake.
"""

import jax
import numpy as np

from aejax import evaluation
from aejax.evaluation import diagnostics

Z = np.linspace(-1, 1, 24, dtype=np.float32).reshape(12, 2)
IMAGES = np.linspace(0, 1, 4 * 16, dtype=np.float32).reshape(4, 4, 4, 1)
ROWS = IMAGES.reshape(2, 2, 4, 4, 1)
EXTENT = (-1, 1, -1, 1)


def plot_path(w):
  return w.folder / "plot.png"


def _images():
  for name, good, f in (
    ("save_grid", IMAGES, evaluation.save_grid),
    ("save_reconstructions", IMAGES, lambda p, x: evaluation.save_reconstructions(p, x, x)),
    ("save_interpolations", ROWS, evaluation.save_interpolations),
    ("save_decoded_plane", ROWS, lambda p, x: evaluation.save_decoded_plane(p, x, EXTENT)),
  ):
    shape = "^images must be a non-empty .*, but (has|have) shape"
    for pattern, bad in (
      (shape, good[0]),  # wrong rank
      (shape, good[:0]),  # empty
      (shape, good[..., [0, 0]]),  # wrong number of channels
      ("^images must be an array of numbers, but is", "x"),
      ("^images must be floating-point in .0, 1., but have", (good * 255).astype(np.uint8)),
      ("^images must be finite", np.full_like(good, np.nan)),
    ):
      yield name, pattern, lambda w, f=f, x=bad: f(plot_path(w), x)
    yield name, "^path must end in .png, but", lambda w, f=f, x=good: f(w.folder / "a.jpg", x)
    yield name, "^path must be a path, but is", lambda w, f=f, x=good: f(None, x)
    folder = "^path must .*, but .* is a folder"
    yield name, folder, lambda w, f=f, x=good: f(w.subfolder, x)
    yield name, "^path cannot be written: ", lambda w, f=f, x=good: f(w.file / "a.png", x)


def _grid():
  name, f = "save_grid", evaluation.save_grid
  many = np.zeros((20_000, 1, 1, 1), np.float32)
  large = "^images are too many or too large"
  yield name, large, lambda w: f(plot_path(w), many, columns=1)
  columns = "^columns must be a whole number from 1 up, but is"
  for bad in (0, 2.5, "many"):
    yield name, columns, lambda w, v=bad: f(plot_path(w), IMAGES, columns=v)


def _reconstructions():
  name, f = "save_reconstructions", evaluation.save_reconstructions
  yield name, "must have one shape, but have", lambda w: f(plot_path(w), IMAGES, IMAGES[:2])
  names = "^names must be two strings"
  for bad in (None, ("a",), ("a", 3)):  # wrong type, wrong length, wrong type inside
    yield name, names, lambda w, v=bad: f(plot_path(w), IMAGES, IMAGES, names=v)


def _decoded_plane():
  name, f = "save_decoded_plane", evaluation.save_decoded_plane
  extent = "^extent must be finite with left < right, bottom < top, but is"
  # left > right, bottom = top, not finite, wrong type, wrong length, wrong type inside
  for bad in ((1, -1, -1, 1), (-1, 1, 1, 1), (np.nan, 1, -1, 1), None, (1, 2), tuple("abcd")):
    yield name, extent, lambda w, v=bad: f(plot_path(w), ROWS, v)
  rows = "^images must be at least 2 rows of 2"
  yield name, rows, lambda w: f(plot_path(w), ROWS[:1], EXTENT)


def _latents(name, f):
  for pattern, bad in (
    ("^latents must .*n, .*, but", Z[0]),  # wrong rank
    ("^latents must .*n, .*, but", Z[:0]),  # empty
    ("^latents must be an array of numbers", "x"),
    ("^latents must be (floating-point|an array of)", Z.astype(object)),
    ("^latents must be finite", np.full_like(Z, np.nan)),
  ):
    yield name, pattern, lambda w, v=bad: f(plot_path(w), v)


def _latent_scatter():
  name, f = "save_latent_scatter", evaluation.save_latent_scatter
  yield from _latents(name, f)
  yield name, "^latents must be a non-empty .n, 2., but", lambda w: f(plot_path(w), np.eye(3))
  yield name, "^latents must be floating-point", lambda w: f(plot_path(w), Z.astype(complex))
  for bad in ([1, 2], "ab"):  # wrong length, wrong type
    yield name, "^labels must (have shape|be an array)", lambda w, v=bad: f(plot_path(w), Z, v)


def _diagnostics():
  key = jax.random.key(0)
  yield from _latents("save_marginals", diagnostics.save_marginals)
  yield from _latents("save_pairs", diagnostics.save_pairs)
  yield from _latents("save_quantiles", lambda p, z: diagnostics.save_quantiles(p, z, key=key))
  one = "^latents must have two coordinates"
  yield "save_pairs", one, lambda w: diagnostics.save_pairs(plot_path(w), Z[:, :1])
  for bad in (None, np.zeros(3)):  # wrong type, wrong dtype
    yield (
      "save_quantiles",
      "^key must be",
      lambda w, v=bad: diagnostics.save_quantiles(plot_path(w), Z, key=v),
    )


def _curves():
  good = {"epoch": 1, "reconstruction_error": 1.0, "penalty": 0.5}
  # empty, wrong type, wrong type inside, missing entry, entry of a wrong type
  for bad in ([], 3, [3], [{}], [good | {"penalty": "x"}]):
    yield (
      "save_curves",
      "^epochs must (be|each have a number)",
      lambda w, v=bad: diagnostics.save_curves(plot_path(w), v),
    )


PARTS = (
  *(_images, _grid, _reconstructions, _decoded_plane),
  *(_latent_scatter, _diagnostics, _curves),
)
CASES = [case for part in PARTS for case in part()]
