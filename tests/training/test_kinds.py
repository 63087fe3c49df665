"""Runs on vectors, signals, volumes and images outside of [0, 1]: from the file to the report."""

import json

import jax
import numpy as np
import pytest
from sklearn import datasets
from sklearn.decomposition import PCA

import aejax
from aejax import cli
from aejax.metrics.latents import reconstruction_error
from aejax.training import Options, Run, prepare
from aejax.training.configuration import read

KEY = jax.random.key(0)


def _sine_waves(n):
  phases = np.random.default_rng(0).uniform(0, 3, size=(n, 1, 1))
  return 5 * np.sin(np.linspace(0, 6, 20)[:, None] + phases) + 20


KINDS = {
  "vectors": lambda: np.random.default_rng(0).normal(size=(40, 5)) * 9 + 30,
  "signals": lambda: _sine_waves(40),
  "volumes": lambda: np.random.default_rng(0).normal(size=(40, 3, 4, 5, 1)),
}
PLOTS = {"samples.png", "reconstructions.png", "marginals.png", "latents.png", "report.html"}


@pytest.mark.parametrize(
  "kind", ["vectors", "signals", pytest.param("volumes", marks=pytest.mark.slow)]
)
def test_every_kind_is_trained_scored_and_sampled(kind, tmp_path, capsys):
  path, workdir = tmp_path / "mine.npy", tmp_path / "run"
  values = KINDS[kind]()
  np.save(path, values)
  options = ["--network", "linear", "--latent-dim", "2", "--epochs", "2", "--batch-size", "12"]
  cli.main(["train", "cwae", "--dataset", str(path), "--workdir", str(workdir), *options])
  written = {file.name for file in workdir.iterdir()}
  assert written > PLOTS
  assert ("interpolations.png" in written) == (kind != "vectors")
  assert ("correlations.png" in written) == (kind == "vectors")
  assert not written & {"plane.png", "neighbours.png"}
  summary = json.loads((workdir / "summary.json").read_text())
  assert ("marginal_distance" in summary) == (kind == "vectors")
  assert ("correlation_difference" in summary) == (kind == "vectors")
  assert not any("classifier" in name for name in summary)
  cli.main(["sample", str(workdir), "--out", str(tmp_path / "samples.png")])
  assert (tmp_path / "samples.png").stat().st_size > 1000

  run = Run.open(workdir)
  assert run.configuration.image_shape == values.shape[1:]
  trained = aejax.load(workdir)
  assert trained.model.output == "identity"
  # Results are in the units of the data, and errors in those that are trained on.
  decoded = np.asarray(trained.reconstruct(run.dataset.test))
  assert decoded.shape == run.dataset.test.shape
  assert abs(decoded.mean() - values.mean()) < values.std()
  scale = np.asarray(run.configuration.scaling["scale"], np.float32)
  error = reconstruction_error(run.dataset.test / scale, decoded / scale)
  np.testing.assert_allclose(summary["reconstruction_error"], error, rtol=1e-3)


def test_linear_autoencoder_equals_pca(tmp_path):
  """The best affine autoencoder is PCA; Wine is a table of 13 chemical features."""
  table = datasets.load_wine()
  np.savez(tmp_path / "wine.npz", X=table.data, y=table.target)
  options = Options(
    dataset=str(tmp_path / "wine.npz"),
    workdir=tmp_path / "run",
    network="linear",
    latent_dim=3,
    epochs=400,
    batch_size=160,
    learning_rate=3e-2,
    schedule="cosine",
  )
  run = prepare("ae", {}, options)
  run.train()
  train = run.dataset.train
  assert len(train) == 160
  trained = run.load()
  error = reconstruction_error(
    trained.scaling.apply(train), trained.scaling.apply(trained.reconstruct(train))
  )
  x = (train - train.mean(0)) / train.std(0)
  pca = PCA(3).fit(x)
  best = np.square(x - pca.inverse_transform(pca.transform(x))).sum(1).mean()
  # It cannot be better, up to rounding.
  assert 0.9999 * best < error < 1.01 * best
  assert run.dataset.train_labels.max() == 2


def test_images_outside_of_the_unit_interval_need_a_decision(tmp_path):
  images = np.random.default_rng(0).normal(size=(20, 4, 4, 1))
  np.save(tmp_path / "images.npy", images)

  def options(**more):
    settings = dict(dataset=str(tmp_path / "images.npy"), network="mlp", latent_dim=2, batch_size=9)
    return Options(**(settings | more))

  with pytest.raises(ValueError, match=r"not in \[0, 1\]: divide .* or choose --standardise or"):
    prepare("ae", {}, options(workdir=tmp_path / "a"))
  assert not (tmp_path / "a").exists()
  run = prepare("ae", {}, options(workdir=tmp_path / "b", standardise=False))
  assert run.configuration.scaling == "none"
  assert read(run.workdir).scaling == "none"
  run = prepare("ae", {}, options(workdir=tmp_path / "c", standardise=True))
  assert run.configuration.scaling["mean"] == [float(run.dataset.train.mean(dtype=np.float64))] or (
    np.isclose(run.configuration.scaling["mean"][0], run.dataset.train.mean(dtype=np.float64))
  )
  assert prepare("ae", {}, options(workdir=run.workdir, resume=True)).configuration.scaling == (
    run.configuration.scaling
  )
  with pytest.raises(ValueError, match="standardise cannot change on --resume"):
    prepare("ae", {}, options(workdir=run.workdir, resume=True, standardise=False))


def test_binary_cross_entropy_needs_values_in_the_unit_interval(tmp_path):
  np.save(tmp_path / "table.npy", np.random.default_rng(0).normal(size=(20, 4)))
  options = Options(dataset=str(tmp_path / "table.npy"), workdir=tmp_path / "run", batch_size=9)
  with pytest.raises(ValueError, match="binary_cross_entropy needs an Autoencoder with output"):
    prepare("vae", {"reconstruction": "binary_cross_entropy"}, options)


def test_own_networks_must_suit_the_values(tmp_path):
  values = np.random.default_rng(0).normal(size=(20, 4))
  model = aejax.networks.build("linear", (4,), latent_dim=2, output="sigmoid", key=KEY)
  with pytest.raises(
    ValueError, match=r'outside \[0, 1\], which .* output="sigmoid" cannot return'
  ):
    aejax.fit("ae", values, model=model, latent_dim=2, epochs=1, batch_size=9)


def test_vectors_in_the_unit_interval_stay_as_they_are(tmp_path):
  np.save(tmp_path / "table.npy", np.random.default_rng(0).random(size=(20, 4)))
  options = Options(dataset=str(tmp_path / "table.npy"), workdir=tmp_path / "run", batch_size=9)
  run = prepare("ae", {}, options)
  assert (run.configuration.scaling, run.configuration.network) == ("unit", "mlp")
