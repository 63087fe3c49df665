import json
import math

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from training.small_runs import SmallRuns

import aejax
from aejax import networks
from aejax.training import Options, Run, prepare
from aejax.training.checkpoints import Checkpoints
from aejax.training.state import build, fresh
from aejax.training.trained import TrainedAutoencoder

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
  """A linear CWAE with two latents after two epochs of digits."""
  workdir = tmp_path_factory.mktemp("runs") / "cwae-digits"
  options = Options(workdir=workdir, network="linear", latent_dim=2, epochs=2)
  prepare("cwae", {}, options).train()
  return workdir


@pytest.fixture(scope="module")
def trained(workdir):
  return aejax.load(workdir)


@pytest.fixture(scope="module")
def images():
  """Images for more than two batches, not a multiple of the batch size."""
  return np.random.default_rng(0).integers(0, 256, size=(1300, 8, 8, 1), dtype=np.uint8)


def test_load_returns_the_trained_model(trained, workdir):
  last = json.loads((workdir / "metrics.jsonl").read_text().splitlines()[-1])
  assert trained.step == last["step"] == 22
  assert trained.configuration.method == "cwae"
  digits = aejax.data.load("digits")
  fresh = networks.build("linear", (8, 8, 1), latent_dim=2, key=KEY)
  for model, better in ((trained, True), (fresh, False)):
    reconstructions = np.asarray(model.reconstruct(np.float32(digits.train) / 255))
    error = np.sum((reconstructions - digits.train / 255) ** 2) / len(digits.train)
    # The error still fell within the last epoch: these are the parameters at its end.
    assert (error < last["reconstruction_error"]) == better


def test_trained_encodes_decodes_and_reconstructs_as_the_model(trained, images):
  floats = images[:5].astype(np.float32) / 255
  latents = trained.encode(images[:5])
  assert latents.shape == (5, 2)
  # The same function, compiled once more.
  np.testing.assert_allclose(latents, trained.model.encode(floats), rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(
    trained.decode(latents), trained.model.decode(latents), rtol=1e-5, atol=1e-5
  )
  np.testing.assert_array_equal(trained.reconstruct(images[:5]), trained.decode(latents))


def test_encode_accepts_bytes_and_floats(trained, images):
  floats = images[:5].astype(np.float32) / 255
  expected = trained.encode(images[:5])
  for same in (floats, floats.astype(np.float64), jnp.asarray(floats), jnp.asarray(images[:5])):
    # NumPy and XLA may round the division differently.
    np.testing.assert_allclose(trained.encode(same), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n", [1, 512, 513, 1024, 1300])
def test_encode_and_decode_in_batches_give_the_rows_one_by_one(trained, images, n):
  latents = np.asarray(trained.encode(images[:n]))
  assert latents.shape == (n, 2)
  rows = {0, n // 2, min(n - 1, 511), min(n - 1, 512), n - 1}
  for i in rows:
    # Matrix products of other sizes sum in another order.
    np.testing.assert_allclose(
      latents[i], trained.encode(images[i : i + 1])[0], rtol=1e-5, atol=1e-5
    )
  decoded = np.asarray(trained.decode(latents))
  assert decoded.shape == (n, 8, 8, 1)
  for i in rows:
    np.testing.assert_allclose(
      decoded[i], trained.decode(latents[i : i + 1])[0], rtol=1e-5, atol=1e-5
    )


def test_encode_with_a_gaussian_encoder(trained):
  model = networks.build("linear", (8, 8, 1), latent_dim=2, gaussian=True, key=KEY)
  model.encoder.latents.linear.bias[...] = jnp.array([3.0, 3.0, math.log(4.0), math.log(4.0)])
  gaussian = TrainedAutoencoder(trained.configuration, model, 0)
  n = 1300  # three batches, each with its own noise
  black = np.zeros((n, 8, 8, 1), np.uint8)
  np.testing.assert_allclose(gaussian.encode(black), np.full((n, 2), 3.0), rtol=1e-6)
  draws = np.asarray(gaussian.encode(black, key=KEY))
  np.testing.assert_array_equal(draws, gaussian.encode(black, key=KEY))
  # Exact draws exceed 2.23 / sqrt(n) with probability 1e-4.
  assert stats.kstest(draws.ravel(), stats.norm(3, 2).cdf).statistic < 2.23 / math.sqrt(2 * n)
  assert len(np.unique(draws)) == 2 * n
  np.testing.assert_array_equal(
    gaussian.reconstruct(black), gaussian.decode(gaussian.encode(black))
  )
  # A deterministic encoder ignores the key.
  np.testing.assert_array_equal(trained.encode(black, key=KEY), trained.encode(black))


def test_generate_decodes_draws_from_the_prior(trained):
  generated = trained.generate(KEY, num=3)
  np.testing.assert_array_equal(generated, trained.generate(KEY, num=3))
  assert not np.allclose(generated, trained.generate(jax.random.key(1), num=3))
  np.testing.assert_array_equal(generated, trained.decode(jax.random.normal(KEY, (3, 2))))
  assert trained.generate(KEY).shape == (64, 8, 8, 1)
  with pytest.raises(ValueError, match="num must be a whole number from 1 up, but is 0"):
    trained.generate(KEY, num=0)


def test_reconstruct_under_jit(trained, images):
  floats = jnp.asarray(images[:5], jnp.float32) / 255
  np.testing.assert_allclose(
    jax.jit(trained.reconstruct)(floats), trained.reconstruct(floats), rtol=1e-5, atol=1e-5
  )


@pytest.mark.parametrize(
  ("images", "sentence"),
  [
    (np.zeros((8, 8, 1), np.uint8), r"must have shape \[n, 8, 8, 1\], but have shape \[8, 8, 1\]"),
    (np.zeros((2, 8, 7, 1), np.uint8), r"but have shape \[2, 8, 7, 1\]"),
    (np.zeros((2, 8, 8, 3), np.uint8), r"but have shape \[2, 8, 8, 3\]"),
    (np.zeros((2, 8, 8, 1), np.int64), r"must be uint8, or floats in \[0, 1\], but are int"),
    (np.full((2, 8, 8, 1), 255.0), r"must be uint8, or floats in \[0, 1\], but span \[255\.0, 255"),
    (np.full((2, 8, 8, 1), -0.5), r"but span \[-0\.5, -0\.5\]"),
    (np.full((2, 8, 8, 1), math.nan), r"but span \[nan, nan\]"),
  ],
)
def test_encode_rejects_other_images(trained, images, sentence, without_beartype):
  for function in (trained.encode, trained.reconstruct):
    with pytest.raises(ValueError, match=sentence):
      function(images)


def test_decode_rejects_another_dimension(trained):
  with pytest.raises(ValueError, match=r"latents must have shape \(n, 2\), not \(4, 3\)"):
    trained.decode(np.zeros((4, 3), np.float32))


def test_load_rejects_folders_without_a_run(workdir, tmp_path):
  for folder in (tmp_path, tmp_path / "nowhere"):
    with pytest.raises(ValueError, match="holds no run"):
      aejax.load(folder)
  (tmp_path / "config.json").write_bytes((workdir / "config.json").read_bytes())
  with pytest.raises(ValueError, match="holds no checkpoint yet"):
    aejax.load(str(tmp_path))
  assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
  (tmp_path / "checkpoints").mkdir()
  with pytest.raises(ValueError, match="There is no checkpoint in"):
    aejax.load(tmp_path)


def test_load_best_needs_a_complete_epoch(workdir, tmp_path):
  run = Run.open(workdir)
  _, state, _ = build(run.configuration)
  (tmp_path / "config.json").write_bytes((workdir / "config.json").read_bytes())
  with Checkpoints(tmp_path / "checkpoints") as checkpoints:
    checkpoints.save(0, fresh(state))
  assert aejax.load(tmp_path).step == 0
  with pytest.raises(ValueError, match=r"no best epoch yet: no epoch was complete at its check"):
    aejax.load(tmp_path, best=True)


def test_load_rejects_checkpoint_of_another_model(workdir, tmp_path):
  (tmp_path / "checkpoints").symlink_to(workdir / "checkpoints")
  text = (workdir / "config.json").read_text()
  (tmp_path / "config.json").write_text(text.replace('"latent_dim": 2', '"latent_dim": 3'))
  with pytest.raises(ValueError, match="is of another model"):
    aejax.load(tmp_path)


@pytest.mark.parametrize("x64", [False, True])
def test_load_does_not_depend_on_64_bit_jax(tmp_path, x64):
  """The state of a run is float32 under both settings, and each loads the other's."""
  runs = SmallRuns(tmp_path)
  with jax.enable_x64(x64):
    run = runs.train("cwae", test_epochs=1)
  manifest = next(run.workdir.glob("checkpoints/*/manifest.json")).read_text()
  assert "float64" not in manifest
  images = run.dataset.test
  with jax.enable_x64(not x64):
    latents = np.asarray(aejax.load(run.workdir).encode(images))
  np.testing.assert_allclose(latents, run.encode(images), rtol=1e-5, atol=1e-6)
  # An earlier version kept sums in float64.
  path = next(run.workdir.glob("checkpoints/*/manifest.json"))
  path.write_text(manifest.replace('loss": "float32', 'loss": "float64'))
  np.testing.assert_array_equal(aejax.load(run.workdir).encode(images), run.encode(images))


def test_trained_model_can_be_exported_with_a_free_batch_size(trained, without_beartype):
  n = jax.export.symbolic_shape("n")[0]
  exported = jax.export.export(jax.jit(trained.reconstruct))(
    jax.ShapeDtypeStruct((n, 8, 8, 1), jnp.float32)
  )
  rows = np.zeros((3, 8, 8, 1), np.float32)
  np.testing.assert_allclose(exported.call(rows), trained.reconstruct(rows), rtol=1e-5)


def test_generate_rejects_other_arguments(trained, without_beartype):
  with pytest.raises(ValueError, match=r"^key must be a jax\.random\.key, but is an int"):
    trained.generate(0, 2)
  with pytest.raises(ValueError, match=r"num must be a whole number from 1 up, but is 2\.0"):
    trained.generate(KEY, 2.0)
  with pytest.raises(ValueError, match=r"images must have shape \[n, 8, 8, 1\]"):
    trained.encode([[1.0]])
