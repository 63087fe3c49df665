"""Exported models: read back bit for bit, run without aejax, and described by a card."""

import importlib.util
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import export as jax_export

import aejax
from aejax import cli, data, networks, priors
from aejax.exporting import export, load_model
from aejax.exporting.prior import describe_prior, make_prior
from aejax.training import Options, prepare


@pytest.fixture(scope="module")
def files(digits_run, tmp_path_factory):
  """The files of an exported run."""
  return export(digits_run, tmp_path_factory.mktemp("export") / "mine.safetensors")


@pytest.fixture(scope="module")
def table_run(tmp_path_factory):
  """A trained run whose data are standardised: a convolutional VAE of signals."""
  folder = tmp_path_factory.mktemp("signals")
  signals = np.random.default_rng(0).normal(size=(30, 6, 2)) * [10, 1] + [100, 0]
  np.save(folder / "signals.npy", signals)
  options = Options(
    dataset=str(folder / "signals.npy"),
    workdir=folder / "run",
    latent_dim=2,
    batch_size=9,
    epochs=1,
  )
  run = prepare("vae", {}, options)
  run.train()
  return run


def test_export_writes_four_files(files):
  assert [path.name for path in files] == [
    "mine.safetensors",
    "mine.encoder.stablehlo",
    "mine.decoder.stablehlo",
    "mine.md",
  ]
  assert sorted(files[0].parent.iterdir()) == sorted(files)  # and no partial ones


def test_load_model_gives_the_same_numbers(files, digits_run):
  trained, model = aejax.load(digits_run), load_model(str(files[0]))
  images = data.load("digits").test
  latents = trained.encode(images)
  np.testing.assert_array_equal(model.encode(images), latents)
  np.testing.assert_array_equal(model.decode(latents), trained.decode(latents))
  np.testing.assert_array_equal(model.reconstruct(images), trained.reconstruct(images))
  key = jax.random.key(3)
  np.testing.assert_array_equal(model.generate(key, 5), trained.generate(key, 5))
  assert model.image_shape == (8, 8, 1)
  assert model.description["configuration"]["dataset"] == "digits"
  with pytest.raises(ValueError, match=r"images must have shape \[n, 8, 8, 1\], but"):
    model.encode(images[:, :4])
  for wrong in (images / 100, jnp.asarray(images / 100)):
    with pytest.raises(ValueError, match=r"images must be uint8, or floats in \[0, 1\], but span"):
      model.encode(wrong)


def test_export_of_standardised_data_takes_the_units_of_the_data(table_run, tmp_path):
  files = export(table_run, tmp_path / "signals.safetensors")
  trained, model = table_run.load(), load_model(files[0])
  signals = table_run.dataset.test
  posterior = trained.posterior(signals)
  np.testing.assert_array_equal(model.posterior(signals).log_variance, posterior.log_variance)
  decoded = trained.decode(posterior.mean)
  np.testing.assert_array_equal(model.decode(posterior.mean), decoded)
  assert 50 < float(decoded[..., 0].mean()) < 150
  encoder, decoder = (jax_export.deserialize(path.read_bytes()) for path in files[1:3])
  mean, log_variance = encoder.call(signals)
  np.testing.assert_allclose(mean, posterior.mean, atol=1e-5)
  np.testing.assert_allclose(log_variance, posterior.log_variance, atol=1e-5)
  np.testing.assert_allclose(decoder.call(mean), decoded, rtol=1e-4)
  assert encoder.platforms == ("cpu", "cuda", "tpu")
  assert "latents, log_variance = encoder.call(x)" in files[3].read_text()


@pytest.mark.parametrize(
  "architecture",
  ["convolutional", *(pytest.param(a, marks=pytest.mark.slow) for a in ("mlp", "cifar10"))],
)
def test_every_architecture_has_a_free_batch_size(architecture, tmp_path):
  shape = (5, 4, 1)
  model = networks.build(architecture, shape, latent_dim=2, key=jax.random.key(0))
  files = export(model, tmp_path / "x.safetensors")
  x = np.random.default_rng(0).random((3, *shape), np.float32)
  encoder = jax_export.deserialize(files[1].read_bytes())
  np.testing.assert_allclose(encoder.call(x), model.encode(x), atol=1e-5)
  decoder = jax_export.deserialize(files[2].read_bytes())
  np.testing.assert_allclose(decoder.call(encoder.call(x)), model.reconstruct(x), atol=1e-5)


def test_programs_run_without_aejax(files, digits_run, tmp_path):
  images = (data.load("digits").test[:5] / 255).astype(np.float32)
  np.save(tmp_path / "x.npy", images)
  code = f"""
import pathlib, sys
import jax.export, numpy as np
encoder, decoder = (
  jax.export.deserialize(pathlib.Path(path).read_bytes())
  for path in {[str(path) for path in files[1:3]]!r}
)
x = np.load({str(tmp_path / "x.npy")!r})
for n in (1, 5):
  latents = encoder.call(x[:n])
  decoded = decoder.call(latents)
np.savez({str(tmp_path / "out.npz")!r}, latents=latents, decoded=decoded)
assert not any(name.partition(".")[0] in ("aejax", "flax", "orbax") for name in sys.modules)
"""
  done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
  assert done.returncode == 0, done.stderr
  trained = aejax.load(digits_run)
  with np.load(tmp_path / "out.npz") as file:
    out = dict(file)
  np.testing.assert_allclose(out["latents"], trained.encode(images), atol=1e-5)
  np.testing.assert_allclose(out["decoded"], trained.reconstruct(images), atol=1e-5)


def test_load_model_needs_no_orbax(files):
  code = f"""
import sys, importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "orbax" else find_spec(name, *a)
import aejax
print(aejax.load_model({str(files[0])!r}).image_shape)
assert "orbax.checkpoint" not in sys.modules
assert "aejax.training" not in sys.modules
"""
  done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
  assert (done.stdout, done.returncode) == ("(8, 8, 1)\n", 0), done.stderr


def test_card_has_the_metrics_and_no_folder(files, digits_run):
  card = files[3].read_text()
  summary = json.loads((digits_run / "summary.json").read_text())
  normal = summary["normal_latents"]["cramer_wold"]
  assert f"| cramer_wold | {summary['cramer_wold']:.4g} | {normal:.4g} |" in card
  assert "| training data | digits, 1,438 examples |" in card
  assert "| epochs | `2` |" in card
  assert 'aejax.load_model("mine.safetensors")' in card
  assert "/" not in card.split("## Use")[0].replace("8 × 8", "")


def test_export_of_an_unscored_run_says_so(table_run, tmp_path):
  card = export(table_run.workdir, tmp_path / "x.safetensors")[3].read_text()
  assert "The run is not scored." in card
  assert "| training data | signals.npy, 27 examples |" in card
  assert str(table_run.workdir.parent) not in card


def test_export_of_own_networks_needs_a_model_to_load(tmp_path):
  def build(seed):
    rngs = nnx.Rngs(seed)
    encoder = nnx.Sequential(nnx.Linear(5, 2, rngs=rngs))
    return aejax.Autoencoder(encoder, nnx.Linear(2, 5, rngs=rngs), latent_dim=2)

  model, path = build(0), tmp_path / "own.safetensors"
  with pytest.raises(ValueError, match="image_shape is needed"):
    export(model, path)
  export(model, path, image_shape=(5,))
  x = jnp.ones((3, 5)) * 7
  found = load_model(path, model=build(1))
  np.testing.assert_array_equal(found.reconstruct(x), jax.jit(model.reconstruct)(x))
  with pytest.raises(ValueError, match=r"own\.safetensors holds networks that aejax cannot build"):
    load_model(path)
  other = networks.build("linear", (5,), latent_dim=2, key=jax.random.key(0))
  with pytest.raises(ValueError, match="holds other parameters than the model: they differ in"):
    load_model(path, model=other)


@pytest.mark.usefixtures("without_beartype")
def test_export_rejects_wrong_arguments(files, digits_run, tmp_path):
  with pytest.raises(ValueError, match=r"must be that of a \.safetensors or \.onnx file, but is"):
    export(digits_run, tmp_path / "mine.bin")
  with pytest.raises(
    ValueError, match="must be a run, its work directory or a model, but is an int"
  ):
    export(3, tmp_path / "x.safetensors")
  with pytest.raises(ValueError, match="holds no run"):
    export(tmp_path, tmp_path / "x.safetensors")
  with pytest.raises(ValueError, match="image_shape is for an Autoencoder"):
    export(digits_run, tmp_path / "x.safetensors", image_shape=(8, 8, 1))
  assert not list(tmp_path.iterdir())


def test_load_model_rejects_other_files(files, tmp_path):
  with pytest.raises(ValueError, match="there is no file"):
    load_model(tmp_path / "none.safetensors")
  path = tmp_path / "x.safetensors"
  path.write_bytes(files[0].read_bytes()[:1000])
  with pytest.raises(ValueError, match="cannot be read as a safetensors file"):
    load_model(path)
  from safetensors.numpy import save_file

  save_file({"a": np.zeros(2)}, path)
  with pytest.raises(ValueError, match="its format is None, and this one reads '1'"):
    load_model(path)


def test_export_without_its_extra_says_so(digits_run, tmp_path, monkeypatch):
  find_spec = importlib.util.find_spec
  for missing in ("safetensors", "flatbuffers"):
    monkeypatch.setattr(
      importlib.util, "find_spec", lambda name, m=missing: None if name == m else find_spec(name)
    )
    with pytest.raises(ImportError, match=rf"package {missing}, .* pip install 'aejax\[export\]'"):
      export(digits_run, tmp_path / "x.safetensors")


def test_export_command_writes_to_the_work_directory_by_default(table_run, tmp_path, capsys):
  cli.main(["export", str(table_run.workdir)])
  expected = table_run.workdir / "model.safetensors"
  assert capsys.readouterr().out.splitlines()[0] == str(expected)
  assert load_model(expected).image_shape == (6, 2)
  cli.main(["export", str(table_run.workdir), "--out", str(tmp_path / "a.safetensors")])
  assert (tmp_path / "a.md").is_file()


@pytest.mark.parametrize(
  "prior",
  [
    priors.StandardNormal(2),
    priors.UniformSphere(2, radius=3.0),
    priors.UniformBall(2, radius=0.5),
    priors.UniformCube(2),
    priors.GaussianMixture(
      np.array([0.25, 0.75], np.float32),
      np.array([[0, 1], [2, 3]], np.float32),
      np.array([1.0, 0.5], np.float32),
    ),
  ],
  ids=lambda prior: type(prior).__name__,
)
def test_prior_survives(prior):
  found = make_prior(json.loads(json.dumps(describe_prior(prior))))
  assert type(found) is type(prior)
  key = jax.random.key(0)
  np.testing.assert_array_equal(found.sample(key, 9), prior.sample(key, 9))


def test_prior_of_another_library_is_named_only():
  class Mine:
    dim = 2

    def sample(self, key, n):
      return jnp.zeros((n, 2))

  described = describe_prior(Mine())
  assert described["name"].endswith("Mine")
  assert make_prior(described) is None


def test_generate_draws_from_the_prior_of_the_model(tmp_path):
  model = networks.build("linear", (5,), latent_dim=2, key=jax.random.key(0))
  model.set_prior(priors.UniformSphere(2, radius=6.0))
  export(model, tmp_path / "sphere.safetensors")
  copy = networks.build("linear", (5,), latent_dim=2, key=jax.random.key(1))
  found = load_model(tmp_path / "sphere.safetensors", model=copy)
  key = jax.random.key(2)
  latents = priors.UniformSphere(2, radius=6.0).sample(key, 4)
  np.testing.assert_array_equal(found.generate(key, 4), jax.jit(model.decode)(latents))

  class Mine:
    dim = 2

    def sample(self, key, n):
      return jnp.zeros((n, 2))

  model.set_prior(Mine())
  export(model, tmp_path / "mine.safetensors")
  found = load_model(tmp_path / "mine.safetensors", model=copy)
  with pytest.raises(ValueError, match=r"does not hold the prior .*Mine: sample it, and decode"):
    found.generate(key, 4)


def test_statistics_of_normalisations_are_exported(tmp_path):
  def build(seed):
    rngs = nnx.Rngs(seed)
    encoder = nnx.Sequential(nnx.Linear(5, 2, rngs=rngs), nnx.BatchNorm(2, rngs=rngs))
    return aejax.Autoencoder(encoder, nnx.Linear(2, 5, rngs=rngs), latent_dim=2)

  model = build(0)
  model.encoder.layers[1].mean[...] = jnp.array([3.0, -1.0])
  export(model, tmp_path / "own.safetensors", image_shape=(5,))
  found = load_model(tmp_path / "own.safetensors", model=build(1))
  x = jnp.ones((3, 5))
  np.testing.assert_array_equal(found.encode(x), jax.jit(model.encode)(x))
