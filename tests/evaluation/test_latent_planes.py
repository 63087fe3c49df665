"""The planes of the report: their directions, points and decoded tiles."""

import json
import types

import numpy as np
import pytest
from PIL import Image

from aejax.evaluation import latent_planes
from aejax.evaluation.latent_planes import decode_plane, write_planes
from aejax.training import TrainedAutoencoder


class Echo(TrainedAutoencoder):
  """Decodes latents to images that hold them."""

  def __init__(self):
    self.configuration = types.SimpleNamespace(image_shape=(1, 4, 1))

  def decode(self, latents):
    return np.asarray(latents, np.float32).reshape(len(latents), 1, -1, 1)


def test_decode_plane_has_the_largest_second_coordinate_on_top():
  plane = decode_plane(Echo(), 3, 2.0)[:, :, 0, :, 0]
  assert plane[0].tolist() == [[-2, 2], [0, 2], [2, 2]]
  assert plane[2, 0].tolist() == [-2, -2]


def test_decode_plane_follows_its_directions():
  origin = np.array([5.0, 6.0, 7.0])
  basis = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
  plane = decode_plane(Echo(), 3, 2.0, origin, basis)[:, :, 0, :, 0]
  np.testing.assert_array_equal(plane[0, 2], [5, 8, 9])


@pytest.fixture
def written(tmp_path):
  rng = np.random.default_rng(0)
  labels = np.arange(60) % 5
  means = rng.normal(size=(60, 4)) * [4, 2, 1, 0.5] + labels[:, None] + 10
  write_planes(tmp_path, Echo(), means, labels, extent=3.0, normal=True)
  return means, labels, json.loads((tmp_path / "plane.json").read_text()), tmp_path


def test_write_planes_offers_axes_classes_and_images(written):
  _, _, about, folder = written
  kinds = [" ".join(plane["axes"]).replace("test ", "").split()[0] for plane in about["planes"]]
  assert kinds == ["principal"] * 3 + ["class"] * 3 + ["image"] * 3
  assert about["planes"][0]["axes"] == ["principal axis 1", "principal axis 2"]
  with Image.open(folder / "plane_tiles.png") as image:
    width, height = image.size
  assert width % (4 * about["side"]) == 0
  assert height * 4 * about["side"] == width * about["side"] * len(about["planes"])


def test_write_planes_project_latents_and_marks(written):
  means, labels, about, _ = written
  # The variance along the first two principal axes is that of the covariance's eigenvalues.
  points = np.array([point[:2] for point in about["planes"][0]["points"]])
  eigenvalues = np.sort(np.linalg.eigvalsh(np.cov(means.T, bias=True)))[::-1]
  np.testing.assert_allclose(points.var(0), eigenvalues[:2], rtol=1e-2)
  np.testing.assert_allclose(points.mean(0), 0, atol=1e-2)
  assert [point[2] for point in about["planes"][0]["points"]] == labels.tolist()
  # A plane of two classes contains their means: distances from the centre are kept.
  plane = about["planes"][3]
  for x, y, label in plane["marks"]:
    of_class = means[labels == int(label.split()[1])].mean(0) - means.mean(0)
    assert np.hypot(x, y) == pytest.approx(np.linalg.norm(of_class), abs=2e-3)
    assert max(abs(x), abs(y)) <= plane["extent"]
  assert plane["marks"][0][1] == 0  # the first direction is that of the first class
  # The latent 0 is where it is projected to.
  assert np.hypot(*about["planes"][0]["zero"]) <= np.linalg.norm(means.mean(0)) + 1e-3


@pytest.mark.parametrize(("values", "planes", "side"), [(400, 3, 5), (200, 1, 7), (9, 1, 5)])
def test_write_planes_keeps_files_small(tmp_path, monkeypatch, values, planes, side):
  monkeypatch.setattr(latent_planes, "_VALUES", (values, values))
  means = np.random.default_rng(1).normal(size=(30, 4))
  write_planes(tmp_path, Echo(), means, None, extent=3.0, normal=False)
  about = json.loads((tmp_path / "plane.json").read_text())
  assert len(about["planes"]) == planes
  assert about["side"] == side
  assert (about["classes"], about["circles"]) == ([], [])
  assert about["planes"][0]["points"][0][2] == 0


def test_planes_of_parallel_directions_are_left_out():
  line = np.outer(np.arange(1.0, 7), [1.0, 0, 0, 0])
  spans = latent_planes._spans(line, np.zeros(6, int), np.zeros(0))
  assert [span[0][0] for span in spans] == [
    "principal axis 1",
    "principal axis 1",
    "principal axis 2",
  ]
