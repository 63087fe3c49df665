import jax
import jax.numpy as jnp
import numpy as np
import pytest
from image_utils import is_cut, read
from PIL import Image

from aejax.evaluation import diagnostics

KEY = jax.random.key(0)
NORMAL = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
EPOCHS = [
  {"epoch": e, "reconstruction_error": 50.0 / e, "penalty": -1.0 - e, "loss": 1.0}
  for e in range(1, 9)
]


def blue(path):
  """Number of pixels in the colour of the data, or in a tint of it."""
  with Image.open(path) as image:
    pixels = np.asarray(image.convert("RGB")).astype(int)
  return int((pixels[..., 2] - pixels[..., 0] > 40).sum())


@pytest.mark.parametrize("dim", [1, 2, 30])
def test_latent_plots_show_the_latents(tmp_path, dim):
  z = np.random.default_rng(1).normal(size=(300, dim))
  drawn = [
    diagnostics.save_marginals(tmp_path / "marginals.png", z),
    diagnostics.save_quantiles(tmp_path / "quantiles.png", z, key=KEY),
  ]
  if dim > 1:
    drawn.append(diagnostics.save_pairs(tmp_path / "pairs.png", z))
  for path in drawn:
    assert blue(path) > 200
  with Image.open(drawn[0]) as image:
    assert max(image.size) < 1400


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0, 4000.0])
@pytest.mark.parametrize("fall", [3, 15, 10_000])
def test_save_curves_keeps_labels_within_the_figure(tmp_path, scale, fall):
  errors = scale * np.geomspace(fall, 1, 40)
  epochs = [
    {"epoch": e, "reconstruction_error": float(error), "penalty": -scale / e}
    for e, error in enumerate(errors, start=1)
  ]
  assert not is_cut(read(diagnostics.save_curves(tmp_path / "curves.png", epochs)))


def test_save_curves_draws_the_epochs(tmp_path):
  assert blue(diagnostics.save_curves(tmp_path / "curves.png", EPOCHS)) > 300
  assert blue(diagnostics.save_curves(tmp_path / "one.png", EPOCHS[:1])) >= 0
  with pytest.raises(ValueError, match="epochs must be at least one line of a log"):
    diagnostics.save_curves(tmp_path / "none.png", [])
  assert not (tmp_path / "none.png").exists()


def test_worst_direction_is_along_the_stretched_coordinate():
  z = np.random.default_rng(2).normal(size=(2000, 6))
  z[:, 4] *= 3
  directions = jax.random.normal(KEY, (16, 6))
  directions = directions / jnp.linalg.norm(directions, axis=1, keepdims=True)
  worst = diagnostics._worst_direction(jnp.asarray(z, jnp.float32), directions)
  assert abs(worst[4]) > 0.99
  assert np.linalg.norm(worst) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
  ("latents", "message"),
  [
    (np.ones((1, 2)), r"\[n, d\] with n at least 2, but has shape \[1, 2\]"),
    (np.full((5, 2), np.nan), "finite, but holds NaN or infinity"),
  ],
)
def test_latent_plots_reject_bad_latents(tmp_path, latents, message, without_beartype):
  for save in (
    diagnostics.save_marginals,
    diagnostics.save_pairs,
    lambda path, z: diagnostics.save_quantiles(path, z, key=KEY),
  ):
    with pytest.raises(ValueError, match=message):
      save(tmp_path / "x.png", latents)
  with pytest.raises(ValueError, match="two coordinates or more"):
    diagnostics.save_pairs(tmp_path / "x.png", np.ones((5, 1)))
  assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("hidden_matplotlib")
def test_diagnostics_name_the_extra_of_matplotlib(tmp_path):
  for save in (
    lambda path: diagnostics.save_curves(path, EPOCHS),
    lambda path: diagnostics.save_marginals(path, NORMAL),
    lambda path: diagnostics.save_pairs(path, NORMAL),
    lambda path: diagnostics.save_quantiles(path, NORMAL, key=KEY),
  ):
    with pytest.raises(ImportError, match=r"matplotlib, which is not installed: .*aejax\[train\]"):
      save(tmp_path / "x.png")
  assert list(tmp_path.iterdir()) == []


def test_save_pairs_colours_classes_and_writes_vectors(tmp_path):
  z = np.random.default_rng(0).normal(size=(50, 3))
  labels = np.arange(50) % 2
  plain = diagnostics.save_pairs(tmp_path / "a.png", z)
  coloured = diagnostics.save_pairs(tmp_path / "b.png", z, labels=labels)
  assert plain.read_bytes() != coloured.read_bytes()
  assert "z" in (tmp_path / "b.svg").read_text()
  with Image.open(coloured) as image:
    orange = (np.asarray(image.convert("RGB")).astype(int) - [255, 169, 14]) ** 2
  assert (orange.sum(-1) < 2000).any()


@pytest.mark.usefixtures("without_beartype")
def test_save_pairs_rejects_another_number_of_labels(tmp_path):
  with pytest.raises(ValueError, match=r"labels must have shape \[500\]"):
    diagnostics.save_pairs(tmp_path / "c.png", NORMAL, labels=np.arange(9))


def test_vector_graphics_are_the_same_each_time(tmp_path):
  z = np.random.default_rng(0).normal(size=(50, 2))
  texts = []
  for name in ("a", "b"):
    diagnostics.save_marginals(tmp_path / f"{name}.png", z)
    texts.append((tmp_path / f"{name}.svg").read_text())
  assert texts[0] == texts[1]
  assert "<text" in texts[0]
