import dataclasses
import shutil

import jax
import pytest

import aejax
from aejax import data
from aejax.data import Dataset
from aejax.metrics.features import Extractor
from aejax.training import TrainedAutoencoder


@pytest.fixture(scope="session")
def digits():
  return data.load("digits")


@pytest.fixture(scope="session")
def few(digits):
  """A part of the digits with labels, scored fast."""
  return Dataset(
    "digits",
    digits.train[:200],
    digits.test[:60],
    digits.train_labels[:200],
    digits.test_labels[:60],
  )


@pytest.fixture(scope="session")
def trained(digits_run):
  """A CWAE with two latents."""
  return aejax.load(digits_run)


@pytest.fixture(scope="session")
def vae(trained):
  """An untrained VAE with two latents; its posteriors are about as wide as N(0, I)."""
  configuration = dataclasses.replace(
    trained.configuration, method="vae", objective={"beta": 1.0}, seed=3
  )
  model = aejax.networks.build(
    "linear", (8, 8, 1), latent_dim=2, gaussian=True, key=jax.random.key(0)
  )
  return TrainedAutoencoder(configuration, model, 0)


@pytest.fixture(scope="session")
def pixel_extractor():
  """Features that are some of the pixels."""
  return Extractor("pixels", lambda images: images.reshape(len(images), -1)[:, ::7])


@pytest.fixture
def hidden_matplotlib(monkeypatch):
  """Makes matplotlib look as if it were not installed."""
  import importlib.util

  find_spec = importlib.util.find_spec
  monkeypatch.setattr(
    importlib.util,
    "find_spec",
    lambda name, *rest: None if name == "matplotlib" else find_spec(name, *rest),
  )


@pytest.fixture(scope="session")
def second(digits_run, tmp_path_factory):
  """Another run, without a plane, and with a name that HTML must escape."""
  folder = tmp_path_factory.mktemp("other") / "a <b> & c"
  shutil.copytree(digits_run, folder)
  for name in ("plane.json", "latents.png"):
    (folder / name).unlink()
  return folder
