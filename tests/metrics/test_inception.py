"""The network of the FID with random weights, because the published ones are not available here.

`golden/inception_features.json` holds every 64th feature of `IMAGES` as torch-fidelity 0.4.0
computes them in float64, with the weights of `torch_files.random_state`. If torch and
torch-fidelity are installed, all 2048 are compared. To write the file again, delete it and run:

    python -m pytest tests/metrics/test_inception.py -m slow -k golden_file
"""

import hashlib
import importlib
import io
import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch_fidelity_stub
import torch_files

from aejax import metrics
from aejax.metrics._inception_network import _mean, features, resize_tf1
from aejax.metrics.inception import fold_batch_norm

MODULE = importlib.import_module("aejax.metrics.inception")
GOLDEN = Path(__file__).parents[1] / "golden/inception_features.json"

# Features are of order one, at most 9. The peer's own float32 differs from its float64 by 3e-6 for
# these images; each of 48 layers rounds by 6e-8 of its largest terms. A network that differs in a
# pixel's position, a border's count or an epsilon differs by 1e-3 or more.
CLOSE = dict(rtol=0, atol=2e-5)


def images(height, width, channels):
  """Two images that differ in brightness and in structure."""
  rng = np.random.default_rng(height)
  noise = rng.integers(0, 256, (height, width, channels))
  slope = np.add.outer(np.arange(height), np.arange(width))[..., None] * (1 + np.arange(channels))
  return np.stack([noise, slope]).clip(0, 255).astype(np.uint8)


IMAGES = {"grey": images(28, 28, 1), "square": images(32, 32, 3), "tall": images(64, 48, 3)}


@pytest.fixture(scope="module")
def state():
  return torch_files.random_state()


@pytest.fixture(scope="module")
def weights(state):
  return fold_batch_norm(state)


@pytest.fixture
def trusting(monkeypatch):
  """Makes `inception` accept the digest of a file."""

  def trust(path):
    monkeypatch.setattr(MODULE, "_DIGEST", hashlib.sha256(path.read_bytes()).hexdigest()[:8])

  return trust


@pytest.fixture(scope="module")
def peer(state):
  """torch-fidelity's network in float64."""
  module = torch_fidelity_stub.module("feature_extractor_inceptionv3")
  import torch

  stream = io.BytesIO()
  torch.save({name: torch.tensor(values) for name, values in state.items()}, stream)
  stream.seek(0)
  network = module.FeatureExtractorInceptionV3("peer", ["2048"], stream).double()
  network.feature_extractor_internal_dtype = torch.float64

  def extract(batch):
    colour = np.repeat(batch, 3 // batch.shape[3], axis=3).transpose(0, 3, 1, 2)
    return network(torch.tensor(colour.copy()))[0].numpy()

  return extract


@pytest.mark.parametrize("name", IMAGES)
def test_features_match_the_golden_file(name, weights):
  found = jax.jit(features)(weights, IMAGES[name] / np.float32(255))
  assert found.shape == (2, 2048)
  assert found.dtype == jnp.float32
  np.testing.assert_allclose(found[:, 7::64], json.loads(GOLDEN.read_text())[name], **CLOSE)


@pytest.mark.slow
def test_golden_file_matches_torch_fidelity(peer):
  found = {name: peer(batch)[:, 7::64].round(7).tolist() for name, batch in IMAGES.items()}
  if not GOLDEN.exists():
    GOLDEN.write_text(json.dumps(found, indent=1) + "\n")
  stored = json.loads(GOLDEN.read_text())
  for name, values in found.items():
    np.testing.assert_allclose(values, stored[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("newer", [True, False])
def test_inception_matches_torch_fidelity(newer, peer, state, trusting, tmp_path):
  """From a file that torch saved, in both formats, to all features."""
  import torch

  path = tmp_path / "weights.pth"
  tensors = {name: torch.tensor(values) for name, values in state.items()}
  torch.save(tensors, path, _use_new_zipfile_serialization=newer)
  trusting(path)
  extractor = metrics.inception(path)
  path.unlink()
  for batch in IMAGES.values():
    found, expected = extractor(batch), peer(batch)
    np.testing.assert_allclose(found, expected, **CLOSE)
    # The tolerance is small compared with the variation of the features.
    assert np.abs(expected).max() < 20
    assert np.std(expected, axis=1).min() > 0.3
    assert np.std(expected[0] - expected[1]) > 0.03


def test_features_of_grey_images_repeat_the_channel(weights):
  grey = IMAGES["grey"] / np.float32(255)
  found, expected = (jax.jit(features)(weights, x) for x in (grey, np.repeat(grey, 3, axis=3)))
  np.testing.assert_allclose(found, expected, **CLOSE)


def test_features_are_float32_under_x64(weights):
  with jax.enable_x64(True):
    found = jax.jit(features)(weights, jnp.asarray(IMAGES["grey"] / 255))
  assert found.dtype == jnp.float32
  np.testing.assert_allclose(found[:, 7::64], json.loads(GOLDEN.read_text())["grey"], **CLOSE)


def test_resize_tf1_of_a_row():
  """Pixel i is taken at i · from / to; beyond the last pixel, the last one is repeated."""
  row = jnp.asarray([1.0, 3.0, 7.0])
  image = jnp.broadcast_to(row[:, None], (3, 3))[None, :, :, None]
  found = resize_tf1(image, 6)[0, :, :, 0]
  np.testing.assert_allclose(found, np.tile([[1], [2], [3], [5], [7], [7]], 6), rtol=1e-6)
  np.testing.assert_allclose(resize_tf1(image, 2)[0, :, 1, 0], [1, 5], rtol=1e-6)
  np.testing.assert_array_equal(resize_tf1(image, 3), image)


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (11, 7), (30, 13)])
def test_resize_tf1_matches_loops(size):
  height, width = size
  image = np.random.default_rng(0).uniform(0, 255, (height, width))
  expected, side = np.empty((9, 9)), 9
  for i in range(side):
    for j in range(side):
      y, x = i * height / side, j * width / side
      a, b = int(y), int(x)
      corners = image[np.ix_([a, min(a + 1, height - 1)], [b, min(b + 1, width - 1)])]
      expected[i, j] = np.array([1 - (y - a), y - a]) @ corners @ np.array([1 - (x - b), x - b])
  found = resize_tf1(jnp.asarray(image[None, :, :, None], jnp.float32), side)[0, :, :, 0]
  np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_mean_excludes_the_padding():
  image = jnp.arange(9.0).reshape(1, 3, 3, 1)
  expected = [[2, 2.5, 3], [3.5, 4, 4.5], [5, 5.5, 6]]
  np.testing.assert_allclose(_mean(image)[0, :, :, 0], expected, rtol=1e-6)


@pytest.mark.usefixtures("without_beartype")
def test_inception_rejects_other_files(tmp_path, monkeypatch):
  path = tmp_path / "weights.pth"
  refusals = {
    "path must be that of weights-inception-2015-12-05-6726825d.pth, but there is no": path,
    "but there is no file": tmp_path,
    "but there is no file .dev": Path("/dev/zero"),
    "path must be a path, but is": None,
  }
  for sentence, wrong in refusals.items():
    with pytest.raises(ValueError, match=sentence):
      metrics.inception(wrong)
  path.write_bytes(b"abc")
  begins = "whose SHA-256 begins with 6726825d, but its own begins with ba7816bf"
  with pytest.raises(ValueError, match=begins):
    metrics.inception(path)
  os.truncate(path, 2**30 + 1)
  with pytest.raises(ValueError, match=r"cannot be weights-inception.*it has 1073741825 bytes"):
    metrics.inception(path)


def _without(state, name):
  return {other: values for other, values in state.items() if other != name}


@pytest.mark.parametrize(
  ("change", "sentence"),
  [
    (lambda s: {}, "it has no tensor Conv2d_1a_3x3.conv.weight"),
    (
      lambda s: _without(s, "Mixed_7c.branch_pool.conv.weight"),
      "it has no tensor Mixed_7c.branch_pool.conv.weight",
    ),
    (
      lambda s: _without(s, "Mixed_6a.branch3x3.bn.running_var"),
      "it has no tensor Mixed_6a.branch3x3.bn.running_var",
    ),
    (
      lambda s: s | {"Conv2d_2a_3x3.conv.weight": np.zeros((32, 32, 1, 3), np.float32)},
      r"its layer Conv2d_2a_3x3 has a kernel of shape \[1, 3, 32, 32\], not \[3, 3, 32, 32\]",
    ),
    (
      lambda s: s | {"Conv2d_2a_3x3.conv.weight": np.zeros(32, np.float32)},
      r"its tensor Conv2d_2a_3x3.bn.weight has shape \[32\]",
    ),
    (
      lambda s: s | {"Mixed_5b.branch1x1.bn.bias": np.zeros(63, np.float32)},
      r"its tensor Mixed_5b.branch1x1.bn.bias has shape \[63\]",
    ),
    (
      lambda s: s | {"Mixed_5b.branch1x1.bn.running_var": np.full(64, -1, np.float32)},
      "its layer Mixed_5b.branch1x1 has numbers that are not finite, or a negative variance",
    ),
    (
      lambda s: s | {"Mixed_5b.branch1x1.bn.running_mean": np.full(64, np.nan, np.float32)},
      "its layer Mixed_5b.branch1x1 has numbers that are not finite, or a negative variance",
    ),
  ],
)
def test_fold_batch_norm_rejects_other_tensors(change, sentence, state):
  with pytest.raises(ValueError, match=sentence):
    fold_batch_norm(change(state))


def test_inception_rejects_damaged_files(tmp_path, trusting):
  path = tmp_path / "weights.pth"
  few = {"Conv2d_1a_3x3.conv.weight": np.zeros((32, 3, 3, 3), np.float32)}
  for content, sentence in (
    (b"PK\3\4 not really", "holds no Inception: The file holds no tensors"),
    (torch_files.file_of(few), "holds no Inception: it has no tensor Conv2d_1a_3x3.bn.weight"),
  ):
    path.write_bytes(content)
    trusting(path)
    with pytest.raises(ValueError, match=sentence) as error:
      metrics.inception(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("channels", [2, 4])
def test_features_reject_other_channels(channels, weights):
  with pytest.raises(ValueError, match=f"images of 1 or 3 channels, but these have {channels}"):
    features(weights, jnp.zeros((1, 8, 8, channels)))


def test_inception_reads_a_file_without_torch(state, weights, trusting, tmp_path):
  """The weights are arguments of the program, not constants."""
  path = tmp_path / "weights.pth"
  path.write_bytes(torch_files.file_of(state))
  trusting(path)
  extractor = metrics.inception(path)
  path.unlink()
  names = extractor.name, extractor.frechet_name, extractor.kernel_name, extractor.batch
  assert names == ("inception", "fid", "kid", 50)
  leaves = jax.tree.leaves(extractor.function)
  for found, expected in zip(leaves, jax.tree.leaves(weights), strict=True):
    np.testing.assert_array_equal(found, expected)
  assert len(leaves) == 2 * 94
