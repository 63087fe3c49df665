import inspect
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from image_utils import enlarged, random_images, read
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg

from aejax.evaluation._palette import class_colours
from aejax.evaluation.figures import (
  save_decoded_plane,
  save_grid,
  save_interpolations,
  save_latent_scatter,
  save_reconstructions,
)

GAP = 6  # pixels between images, 3 in the decoded plane


def without_beartype(function):
  """The function without the shape checks that the tests wrap around it."""
  return inspect.unwrap(function)


@pytest.mark.parametrize(
  ("shape", "columns", "factor", "rows"),
  [
    ((64, 8, 8, 1), 8, 16, 8),
    ((17, 8, 8, 1), 8, 16, 3),
    ((4, 28, 28, 1), 2, 11, 2),  # an image has at most 320 pixels a side
    ((6, 10, 20, 3), 4, 12, 2),
    ((6, 40, 5, 3), 3, 8, 2),
    ((8, 64, 64, 3), 8, 2, 1),
    ((1, 8, 8, 1), 8, 40, 1),
    ((2, 400, 300, 3), 2, 1, 1),
  ],
)
def test_save_grid_enlarges_and_places_each_image(tmp_path, shape, columns, factor, rows):
  images = random_images(*shape)
  path = save_grid(tmp_path / "grid.png", images, columns=columns)
  picture = read(path)
  n, h, w, _ = shape
  columns = min(columns, n)
  high, wide = factor * h + GAP, factor * w + GAP
  assert picture.shape == (rows * high - GAP, columns * wide - GAP, 3)
  seen = np.zeros(picture.shape[:2], bool)
  for i, image in enumerate(images):
    region = np.s_[
      i // columns * high : i // columns * high + factor * h,
      i % columns * wide : i % columns * wide + factor * w,
    ]
    np.testing.assert_array_equal(picture[region], enlarged(image, factor))
    seen[region] = True
  # The rest is white.
  assert (picture[~seen] == 255).all()


def test_save_grid_clips_values(tmp_path):
  images = np.array([-3.0, 0.0, 0.5, 1.0, 7.0], np.float32).reshape(5, 1, 1, 1)
  picture = read(save_grid(tmp_path / "grid.png", images, columns=5))
  assert picture[0, :: 204 + GAP, 0].tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16, jnp.bfloat16])
def test_save_grid_accepts_jax_arrays_of_every_float_dtype(tmp_path, dtype):
  images = jnp.asarray(random_images(3, 4, 4, 1), dtype)
  picture = read(save_grid(tmp_path / "grid.png", images, columns=3))
  exact = np.asarray(images.astype(jnp.float32))
  np.testing.assert_array_equal(picture[:320, :320], enlarged(exact[0], 80))


def test_save_reconstructions_puts_pairs_below_each_other(tmp_path):
  images, copies = random_images(12, 8, 8, 1), random_images(12, 8, 8, 1, seed=1)
  picture = read(save_reconstructions(tmp_path / "reconstructions.png", images, copies))
  left, step, pair = 136, 128 + GAP, 2 * 128 + GAP + 3 * GAP
  assert picture.shape == (2 * pair - 3 * GAP, left + 8 * step - GAP, 3)
  for i in range(12):
    x, y = left + i % 8 * step, i // 8 * pair
    np.testing.assert_array_equal(picture[y : y + 128, x : x + 128], enlarged(images[i], 16))
    y += step
    np.testing.assert_array_equal(picture[y : y + 128, x : x + 128], enlarged(copies[i], 16))
  # The label column has the same word next to each kind of row, at its middle. It is white between
  # the rows and at its edges.
  label = picture[:, :left].min(axis=2) < 128
  originals, reconstructions = (
    [label[y + 40 : y + 90] for y in (start, start + pair)] for start in (0, step)
  )
  for words in (originals, reconstructions):
    assert words[0].sum() > 100
    np.testing.assert_array_equal(*words)
  assert reconstructions[0].sum() > originals[0].sum()
  assert label.sum() == sum(words.sum() for words in (*originals, *reconstructions))
  assert not label[:, :4].any()
  assert not label[:, -4:].any()


def test_save_interpolations_has_a_row_for_each(tmp_path):
  images = random_images(3, 10, 6, 8, 3)
  picture = read(save_interpolations(tmp_path / "interpolations.png", images))
  factor = 12
  h, w = 6 * factor, 8 * factor
  assert picture.shape == (3 * h + 2 * 2 * GAP, 10 * w + 9 * GAP, 3)
  for row in range(3):
    for step in range(10):
      y, x = row * (h + 2 * GAP), step * (w + GAP)
      tile = picture[y : y + h, x : x + w]
      np.testing.assert_array_equal(tile, enlarged(images[row, step], factor))


X = np.zeros((4, 8, 8, 1), np.float32)
P = np.zeros((2, 3, 8, 8, 1), np.float32)
Z = np.zeros((5, 2), np.float32)
UNIT = (-1.0, 1.0, -1.0, 1.0)

BAD = {
  "grid: rank": (save_grid, (X[0],), {}, r"\[n, h, w, c\]"),
  "grid: channels": (save_grid, (np.zeros((4, 8, 8, 2), np.float32),), {}, "c = 1 or 3"),
  "grid: none": (save_grid, (X[:0],), {}, "non-empty"),
  "grid: bytes": (save_grid, (X.astype(np.uint8),), {}, "uint8"),
  "grid: NaN": (save_grid, (X * np.nan,), {}, "finite"),
  "grid: columns": (save_grid, (X,), {"columns": 0}, "columns"),
  "grid: too many": (save_grid, (np.zeros((1000, 8, 8, 1), np.float32),), {}, "too many"),
  "pairs: shapes": (save_reconstructions, (X, X[:2]), {}, "one shape"),
  "pairs: channels": (save_reconstructions, (X[..., 0], X[..., 0]), {}, "c = 1 or 3"),
  "pairs: NaN": (save_reconstructions, (X, X * np.nan), {}, "reconstructions must be finite"),
  "walks: rank": (save_interpolations, (X,), {}, r"\[rows, columns, h, w, c\]"),
  "plane: rank": (save_decoded_plane, (X, UNIT), {}, r"\[rows, columns, h, w, c\]"),
  "plane: one row": (save_decoded_plane, (P[:1], UNIT), {}, "at least 2"),
  "plane: extent": (save_decoded_plane, (P, (1.0, -1.0, -1.0, 1.0)), {}, "left < right"),
  "plane: NaN": (save_decoded_plane, (P, (-1.0, 1.0, -1.0, np.inf)), {}, "finite"),
  "scatter: dimension": (save_latent_scatter, (np.zeros((5, 3), np.float32),), {}, r"\[n, 2\]"),
  "scatter: none": (save_latent_scatter, (Z[:0],), {}, "non-empty"),
  "scatter: NaN": (save_latent_scatter, (Z * np.nan,), {}, "finite"),
  "scatter: labels": (save_latent_scatter, (Z, np.zeros(4, int)), {}, r"\[5\]"),
}


@pytest.mark.parametrize("case", BAD)
def test_figures_reject_bad_arguments_and_leave_no_file(tmp_path, case):
  save, args, options, message = BAD[case]
  with pytest.raises(ValueError, match=message):
    without_beartype(save)(tmp_path / "picture.png", *args, **options)
  assert not list(tmp_path.iterdir())


def test_save_grid_rejects_other_formats(tmp_path):
  with pytest.raises(ValueError, match=r"end in \.png"):
    save_grid(tmp_path / "grid.jpg", X)
  assert not list(tmp_path.iterdir())


def test_save_grid_makes_the_folder_and_replaces_the_file(tmp_path):
  folder = tmp_path / "runs" / "cwae"
  path = save_grid(str(folder / "grid.png"), X)
  assert path == folder / "grid.png"
  black = path.read_bytes()
  save_grid(path, X + 1)
  assert path.read_bytes() != black
  assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize("broken", ["replace", "print_png"])
def test_save_grid_keeps_the_old_file_on_failure(tmp_path, monkeypatch, broken):
  path = save_grid(tmp_path / "grid.png", X)
  old = path.read_bytes()

  def fail(*args, **kwargs):
    if broken == "print_png":
      args[1].write_bytes(b"half a picture")
    raise OSError("disk full")

  owner = Path if broken == "replace" else FigureCanvasAgg
  monkeypatch.setattr(owner, broken, fail)
  with pytest.raises(OSError, match="disk full"):
    save_grid(path, X + 1)
  assert list(tmp_path.iterdir()) == [path]
  assert path.read_bytes() == old


def test_save_grid_ignores_matplotlib_settings(tmp_path):
  with rc_context({"savefig.bbox": "tight", "savefig.dpi": 30, "figure.dpi": 50}):
    path = save_grid(tmp_path / "grid.png", X)
  assert read(path).shape == (256, 4 * 256 + 3 * GAP, 3)


def test_importing_evaluation_loads_no_matplotlib(tmp_path):
  code = f"""
import sys
import numpy as np
from aejax import evaluation
assert "matplotlib" not in sys.modules
evaluation.save_latent_scatter({str(tmp_path / "s.png")!r}, np.eye(2), np.arange(2))
evaluation.save_grid({str(tmp_path / "g.png")!r}, np.zeros((1, 4, 4, 1)))
assert "matplotlib" in sys.modules
assert "matplotlib.pyplot" not in sys.modules
"""
  subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)


@pytest.mark.usefixtures("hidden_matplotlib")
def test_figures_name_the_extra_of_matplotlib(tmp_path):
  for save, *arguments in (
    (save_grid, X),
    (save_reconstructions, X, X),
    (save_interpolations, P),
    (save_decoded_plane, P, UNIT),
    (save_latent_scatter, Z),
  ):
    with pytest.raises(ImportError, match=r"matplotlib, which is not installed: .*aejax\[train\]"):
      save(tmp_path / "x.png", *arguments)
  with pytest.raises(ImportError, match="matplotlib, which is not installed"):
    class_colours(11)
  assert list(tmp_path.iterdir()) == []
