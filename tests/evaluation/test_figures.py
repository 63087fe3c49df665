import inspect
import subprocess
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from PIL import Image

from aejax.evaluation import canvas, figures
from aejax.evaluation.figures import (
  save_decoded_plane,
  save_grid,
  save_interpolations,
  save_latent_scatter,
  save_reconstructions,
)

GAP = 6  # pixels between images, 3 in the decoded plane


def unchecked(function):
  """The function as a user meets it, without the shape checks that the tests wrap around it."""
  return inspect.unwrap(function)


def random_images(*shape: int, seed: int = 0) -> np.ndarray:
  return np.random.default_rng(seed).random(shape).astype(np.float32)


def read(path) -> np.ndarray:
  with Image.open(path) as picture:
    assert picture.format == "PNG"
    return np.asarray(picture.convert("RGB"))


def enlarged(image: np.ndarray, factor: int) -> np.ndarray:
  """The bytes that an image in [0, 1] should appear as, one pixel a block."""
  colour = np.broadcast_to(np.rint(255 * image), (*image.shape[:2], 3))
  return np.kron(colour, np.ones((factor, factor, 1))).astype(np.uint8)


@pytest.mark.parametrize(
  ("shape", "columns", "factor", "rows"),
  [
    ((64, 8, 8, 1), 8, 16, 8),
    ((17, 8, 8, 1), 8, 16, 3),
    ((4, 28, 28, 1), 2, 11, 2),  # at most 320 pixels an image
    ((6, 10, 20, 3), 4, 12, 2),
    ((6, 40, 5, 3), 3, 8, 2),
    ((8, 64, 64, 3), 8, 2, 1),
    ((1, 8, 8, 1), 8, 40, 1),
    ((2, 400, 300, 3), 2, 1, 1),
  ],
)
def test_grid_shows_each_image_enlarged_and_in_its_place(tmp_path, shape, columns, factor, rows):
  images = random_images(*shape)
  path = save_grid(tmp_path / "grid.png", images, columns=columns)
  picture = read(path)
  n, h, w, _ = shape
  columns = min(columns, n)
  high, wide = factor * h + GAP, factor * w + GAP
  assert picture.shape == (rows * high - GAP, columns * wide - GAP, 3)
  seen = np.zeros(picture.shape[:2], bool)
  for i, image in enumerate(images):
    place = np.s_[
      i // columns * high : i // columns * high + factor * h,
      i % columns * wide : i % columns * wide + factor * w,
    ]
    np.testing.assert_array_equal(picture[place], enlarged(image, factor))
    seen[place] = True
  # Gaps, and places without an image, are white.
  assert (picture[~seen] == 255).all()


def test_values_outside_the_range_are_clipped(tmp_path):
  images = np.array([-3.0, 0.0, 0.5, 1.0, 7.0], np.float32).reshape(5, 1, 1, 1)
  picture = read(save_grid(tmp_path / "grid.png", images, columns=5))
  assert picture[0, :: 204 + GAP, 0].tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16, jnp.bfloat16])
def test_jax_images_of_every_float_are_welcome(tmp_path, dtype):
  images = jnp.asarray(random_images(3, 4, 4, 1), dtype)
  picture = read(save_grid(tmp_path / "grid.png", images, columns=3))
  exact = np.asarray(images.astype(jnp.float32))
  np.testing.assert_array_equal(picture[:320, :320], enlarged(exact[0], 80))


def test_reconstructions_stand_below_their_originals_with_names(tmp_path):
  images, copies = random_images(12, 8, 8, 1), random_images(12, 8, 8, 1, seed=1)
  picture = read(save_reconstructions(tmp_path / "reconstructions.png", images, copies))
  left, step, pair = 136, 128 + GAP, 2 * 128 + GAP + 3 * GAP
  assert picture.shape == (2 * pair - 3 * GAP, left + 8 * step - GAP, 3)
  for i in range(12):
    x, y = left + i % 8 * step, i // 8 * pair
    np.testing.assert_array_equal(picture[y : y + 128, x : x + 128], enlarged(images[i], 16))
    y += step
    np.testing.assert_array_equal(picture[y : y + 128, x : x + 128], enlarged(copies[i], 16))
  # The label column has ink beside the middle of each row, the same word beside each kind of row,
  # and none between the rows or at its edges, where a word would be cut.
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


def test_interpolations_have_a_row_a_walk(tmp_path):
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


@pytest.fixture
def drawn(monkeypatch):
  """The figures written during a test."""
  drawn = []

  def write_png(path, figure):
    drawn.append(figure)
    return canvas.write_png(path, figure)

  monkeypatch.setattr(figures, "write_png", write_png)
  return drawn


@pytest.mark.parametrize(
  ("shape", "factor"), [((9, 9, 8, 8, 1), 14), ((2, 5, 12, 8, 3), 25), ((4, 3, 400, 300, 3), 1)]
)
def test_decoded_plane_puts_each_image_at_its_latents(tmp_path, drawn, shape, factor):
  images = random_images(*shape)
  left, right, bottom, top = extent = (-2.0, 2.5, -3.0, 1.0)
  picture = read(save_decoded_plane(tmp_path / "plane.png", images, extent))
  rows, columns, h, w, _ = shape
  height, width = factor * h, factor * w
  (figure,) = drawn
  (axes,) = figure.axes
  for row, z2 in enumerate(np.linspace(top, bottom, rows)):
    for column, z1 in enumerate(np.linspace(left, right, columns)):
      x, y_up = axes.transData.transform((z1, z2))
      x0, y0 = x - width / 2, picture.shape[0] - y_up - height / 2
      # Exact but for float64 in matplotlib's transforms.
      assert abs(x0 - round(x0)) < 1e-6
      assert abs(y0 - round(y0)) < 1e-6
      # The frame is drawn over the outermost pixels.
      inside = np.s_[round(y0) + 2 : round(y0) + height - 2, round(x0) + 2 : round(x0) + width - 2]
      tile = enlarged(images[row, column], factor)[2:-2, 2:-2]
      np.testing.assert_array_equal(picture[inside], tile)
  assert not is_cut(picture)


def is_cut(picture: np.ndarray) -> bool:
  """Whether something touches the edge of a picture that should have a margin."""
  edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
  return bool((edge != 255).any())


def test_scatter_has_a_point_a_latent_on_equal_axes(tmp_path, drawn):
  z = np.random.default_rng(0).standard_normal((500, 2)).astype(np.float32)
  picture = read(save_latent_scatter(tmp_path / "scatter.png", z))
  (axes,) = drawn[0].axes
  (points,) = axes.collections
  np.testing.assert_array_equal(
    np.sort(points.get_offsets(), axis=0), np.sort(z.astype(np.float64), axis=0)
  )
  assert [circle.get_radius() for circle in axes.patches] == [1, 2, 3]
  ends = axes.transData.transform([(0, 0), (1, 0), (0, 1)])
  unit = ends[1, 0] - ends[0, 0]
  assert ends[2, 1] - ends[0, 1] == pytest.approx(unit, rel=1e-12)
  # The circle of radius 3 is where it should be in the picture: dark above the origin, at 3 units.
  x, y = ends[0, 0], picture.shape[0] - ends[0, 1] - 3 * unit
  assert picture[round(y) - 1 : round(y) + 2, round(x) - 20 : round(x) + 20].min() < 100
  assert axes.get_legend() is None
  assert min(picture.shape[:2]) > 800
  assert not is_cut(picture)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_scatter_shows_every_point_and_every_circle(tmp_path, drawn, scale):
  z = (scale * np.random.default_rng(0).standard_normal((50, 2))).astype(np.float32)
  picture = read(save_latent_scatter(tmp_path / "scatter.png", jnp.asarray(z)))
  (axes,) = drawn[0].axes
  for low, high in (axes.get_xlim(), axes.get_ylim()):
    assert low == -high
    assert high > max(3, np.abs(z).max())
  assert not is_cut(picture)


@pytest.mark.parametrize(
  "names",
  [
    [0],
    list(range(10)),
    list(range(47)),
    ["T-shirt/top", "Ankle boot", "a class with quite a long name, as some have"],
  ],
)
def test_scatter_gives_each_class_its_colour_and_a_name(tmp_path, drawn, names):
  labels = np.repeat(np.array(names), 20)
  z = np.random.default_rng(0).standard_normal((len(labels), 2)).astype(np.float32)
  # Each latent carries its class in its first digits, to find it again after the shuffle.
  z[:, 0] = np.repeat(np.arange(len(names)), 20) / 10
  picture = read(save_latent_scatter(tmp_path / "scatter.png", z, labels))
  (axes,) = drawn[0].axes
  legend = axes.get_legend()
  shown = {
    text.get_text(): tuple(to_rgb(handle.get_color()))
    for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
  }
  assert set(shown) == {str(name) for name in names}
  assert len(set(shown.values())) == len(names)
  (points,) = axes.collections
  for (x, _), colour in zip(points.get_offsets(), points.get_facecolors(), strict=True):
    assert tuple(colour[:3]) == shown[str(names[round(10 * x)])]
  # The picture has grown to hold the names, whole.
  assert legend.get_window_extent().x1 < picture.shape[1]
  assert not is_cut(picture)


def test_scatter_draws_ten_thousand_points_at_most(tmp_path, drawn):
  # Sorted by class: the first ten thousand rows would miss the second class.
  labels = np.repeat([0, 1], 8000)
  z = np.random.default_rng(0).standard_normal((16_000, 2)).astype(np.float32)
  first = save_latent_scatter(tmp_path / "1.png", z, labels).read_bytes()
  assert first == save_latent_scatter(tmp_path / "2.png", z, labels).read_bytes()
  (points,) = drawn[0].axes[0].collections
  assert len(points.get_offsets()) == 10_000
  colours, counts = np.unique(points.get_facecolors(), axis=0, return_counts=True)
  assert len(colours) == 2
  # Hypergeometric: mean 5000, standard deviation sqrt(10000 · ¼ · 6000/16000) = 31.
  assert abs(counts[0] - 5000) < 5 * 31


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
def test_bad_arguments_are_refused_and_leave_no_file(tmp_path, case):
  save, args, knobs, message = BAD[case]
  with pytest.raises(ValueError, match=message):
    unchecked(save)(tmp_path / "picture.png", *args, **knobs)
  assert not list(tmp_path.iterdir())


def test_another_format_is_refused(tmp_path):
  with pytest.raises(ValueError, match=r"end in \.png"):
    save_grid(tmp_path / "grid.jpg", X)
  assert not list(tmp_path.iterdir())


def test_the_file_is_new_and_alone_and_its_folder_is_made(tmp_path):
  folder = tmp_path / "runs" / "cwae"
  path = save_grid(str(folder / "grid.png"), X)
  assert path == folder / "grid.png"
  black = path.read_bytes()
  save_grid(path, X + 1)
  assert path.read_bytes() != black
  assert list(folder.iterdir()) == [path]


@pytest.mark.parametrize("broken", ["replace", "print_png"])
def test_a_failure_keeps_the_old_picture_and_nothing_else(tmp_path, monkeypatch, broken):
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


def test_a_users_matplotlib_settings_do_not_crop_the_picture(tmp_path):
  with rc_context({"savefig.bbox": "tight", "savefig.dpi": 30, "figure.dpi": 50}):
    path = save_grid(tmp_path / "grid.png", X)
  assert read(path).shape == (256, 4 * 256 + 3 * GAP, 3)


def test_importing_is_light_and_pyplot_is_never_touched(tmp_path):
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
