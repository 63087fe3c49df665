"""The decoded plane and the scatter plot of two latents."""

import jax.numpy as jnp
import numpy as np
import pytest
from image_utils import enlarged, is_cut, random_images, read
from matplotlib.colors import to_rgb

from aejax.evaluation import figures, image_grid
from aejax.evaluation.figures import save_decoded_plane, save_latent_scatter


@pytest.fixture
def drawn(monkeypatch):
  """The figures that are written during a test."""
  written = []

  def write_png(path, figure):
    written.append(figure)
    return image_grid.write_png(path, figure)

  monkeypatch.setattr(figures, "write_png", write_png)
  return written


@pytest.mark.parametrize(
  ("shape", "factor"), [((9, 9, 8, 8, 1), 14), ((2, 5, 12, 8, 3), 25), ((4, 3, 400, 300, 3), 1)]
)
def test_save_decoded_plane_puts_each_image_at_its_latents(tmp_path, drawn, shape, factor):
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
      # Exact up to float64 rounding in matplotlib's transforms.
      assert abs(x0 - round(x0)) < 1e-6
      assert abs(y0 - round(y0)) < 1e-6
      # The frame covers the outermost pixels.
      inside = np.s_[round(y0) + 2 : round(y0) + height - 2, round(x0) + 2 : round(x0) + width - 2]
      tile = enlarged(images[row, column], factor)[2:-2, 2:-2]
      np.testing.assert_array_equal(picture[inside], tile)
  assert not is_cut(picture)


def test_save_latent_scatter_draws_points_on_equal_axes(tmp_path, drawn):
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
  # The picture is dark 3 units above the origin, on the circle of radius 3.
  x, y = ends[0, 0], picture.shape[0] - ends[0, 1] - 3 * unit
  assert picture[round(y) - 1 : round(y) + 2, round(x) - 20 : round(x) + 20].min() < 100
  assert axes.get_legend() is None
  assert min(picture.shape[:2]) > 800
  assert not is_cut(picture)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 300.0])
def test_save_latent_scatter_shows_all_points_and_circles(tmp_path, drawn, scale):
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
def test_save_latent_scatter_colours_and_names_classes(tmp_path, drawn, names):
  labels = np.repeat(np.array(names), 20)
  z = np.random.default_rng(0).standard_normal((len(labels), 2)).astype(np.float32)
  # The first coordinate encodes the class, to identify a point after the shuffle.
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
  # The figure has room for the complete names.
  assert legend.get_window_extent().x1 < picture.shape[1]
  assert not is_cut(picture)


def test_save_latent_scatter_draws_at_most_ten_thousand_points(tmp_path, drawn):
  # Labels are sorted, so the first ten thousand rows would contain too few of the second class.
  labels = np.repeat([0, 1], 8000)
  z = np.random.default_rng(0).standard_normal((16_000, 2)).astype(np.float32)
  first = save_latent_scatter(tmp_path / "1.png", z, labels).read_bytes()
  assert first == save_latent_scatter(tmp_path / "2.png", z, labels).read_bytes()
  (points,) = drawn[0].axes[0].collections
  assert len(points.get_offsets()) == 10_000
  colours, counts = np.unique(points.get_facecolors(), axis=0, return_counts=True)
  assert len(colours) == 2
  # Hypergeometric distribution: mean 5000, standard deviation sqrt(10000 · ¼ · 6000/16000) = 31.
  assert abs(counts[0] - 5000) < 5 * 31
