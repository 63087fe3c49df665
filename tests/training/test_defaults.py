"""Settings that are left out, compared with literal copies of the published ones."""

import pytest
from table1.table import PUBLISHED_FID, ROWS

from aejax import objectives
from aejax.training import Options, complete

SHAPES = {
  "digits": (8, 8, 1),
  "mnist": (28, 28, 1),
  "fashion_mnist": (28, 28, 1),
  "cifar10": (32, 32, 3),
  "celeb_a": (64, 64, 3),
  "/data/mine.npz": (20, 20, 3),
}
# Network, latent dimension and epochs: of gmum/cwae-pytorch; ours for the digits and other data.
SETTINGS = {
  "digits": ("mlp", 4, 400),
  "mnist": ("mlp", 8, 500),
  "fashion_mnist": ("mlp", 8, 500),
  "cifar10": ("cifar10", 64, 500),
  "celeb_a": ("celeb_a", 64, 55),
  "/data/mine.npz": ("convolutional", 8, 200),
}
# Learning rates and weights that the same repository has, where they are not 1e-3 and 1.
RATES = {
  ("mnist", "wae-mmd"): 5e-4,
  ("celeb_a", "swae"): 5e-4,
  ("celeb_a", "wae-mmd"): 5e-4,
  ("celeb_a", "cwae"): 5e-4,
}
WEIGHTS = {
  ("fashion_mnist", "swae"): 100.0,
  ("fashion_mnist", "wae-mmd"): 100.0,
  ("fashion_mnist", "cwae"): 10.0,
  ("celeb_a", "swae"): 100.0,
  ("celeb_a", "wae-mmd"): 100.0,
  ("celeb_a", "cwae"): 5.0,
}
# The weights of each objective elsewhere.
OWN_WEIGHTS = {"vae": 1.0, "infovae": 10.0, "rae": 0.01}


@pytest.mark.parametrize("dataset", SETTINGS)
@pytest.mark.parametrize("method", objectives.BY_NAME)
def test_defaults_are_the_published_settings(method, dataset):
  found = complete(
    method, {}, Options(), dataset=dataset, image_shape=SHAPES[dataset], num_images=50_000
  )
  assert (found.network, found.latent_dim, found.epochs) == SETTINGS[dataset]
  assert found.learning_rate == RATES.get((dataset, method), 1e-3)
  if method != "ae":
    name = "beta" if method == "vae" else "weight"
    expected = WEIGHTS.get((dataset, method), OWN_WEIGHTS.get(method, 1.0))
    assert found.objective[name] == expected
    assert getattr(found.make_objective(), name) == expected


def test_defaults_that_all_data_sets_share():
  found = complete(
    "swae", {}, Options(), dataset="mnist", image_shape=(28, 28, 1), num_images=50_000
  )
  shared = ("batch_size", "schedule", "precision", "seed", "seeds", "accumulate", "skip_nonfinite")
  assert [getattr(found, name) for name in shared] == [128, "constant", "float32", 0, 1, 1, False]
  shared = ("checkpoint_minutes", "checkpoint_epochs", "keep_checkpoints", "image_size", "data_dir")
  assert [getattr(found, name) for name in shared] == [2.0, 0, 2, None, None]
  assert found.objective["num_directions"] == 50
  assert found.objective["sample_prior"] is False


def test_rows_of_the_table_are_the_published_methods_and_ours():
  found = {row.label: (row.run, row.method, dict(row.objective), row.sampler) for row in ROWS}
  assert found == {
    "AE": ("ae", "ae", {}, "prior"),
    "VAE": ("vae", "vae", {}, "prior"),
    "SWAE": ("swae", "swae", {}, "prior"),
    "SWAE, paper": ("swae-paper", "swae", {"sample_prior": True}, "prior"),
    "WAE-MMD": ("wae-mmd", "wae-mmd", {}, "prior"),
    "WAE-MMD, paper": ("wae-mmd-paper", "wae-mmd", {"sample_prior": True}, "prior"),
    "CWAE": ("cwae", "cwae", {}, "prior"),
    "CWAE, paper": ("cwae-paper", "cwae", {"approximate": True}, "prior"),
    "SIGReg-AE": ("sigreg", "sigreg", {"weight": 100.0}, "prior"),
    "Energy-AE": ("energy", "energy", {"weight": 100.0}, "prior"),
    "AE + Gaussian mixture": ("ae", "ae", {}, "mixture"),
    "CWAE + Gaussian mixture": ("cwae", "cwae", {}, "mixture"),
  }
  assert PUBLISHED_FID["fashion_mnist"] == {"SWAE": 55.99, "WAE-MMD": 51.74, "CWAE": 50.35}


@pytest.mark.parametrize(
  ("num_images", "batch_size"),
  [(60_000, 128), (1438, 128), (1024, 128), (1023, 64), (500, 32), (200, 16), (20, 16), (9, 8)],
)
def test_default_batch_size_suits_the_number_of_images(num_images, batch_size):
  settings = dict(dataset="/data/mine.npz", image_shape=(20, 20, 3), num_images=num_images)
  assert complete("cwae", {}, Options(), **settings).batch_size == batch_size
  with pytest.raises(
    ValueError, match=f"batch_size is 70000, but the training set has {num_images}"
  ):
    complete("cwae", {}, Options(batch_size=70_000), **settings)
