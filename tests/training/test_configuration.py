import dataclasses
import json
import math

import pytest

from aejax import objectives
from aejax.training import Options, complete
from aejax.training.configuration import differences, read, write
from aejax.training.defaults import describe_default

SHAPES = {
  "digits": (8, 8, 1),
  "mnist": (28, 28, 1),
  "fashion_mnist": (28, 28, 1),
  "cifar10": (32, 32, 3),
  "celeb_a": (64, 64, 3),
}


def _complete(method="cwae", objective=None, dataset="digits", num_images=1438, **options):
  return complete(
    method,
    objective or {},
    Options(**options),
    dataset=dataset,
    image_shape=SHAPES.get(dataset, (7, 5, 3)),
    num_images=num_images,
  )


# Learning rate and weight of gmum/cwae-pytorch, reproduce_table1.sh.
PUBLISHED = {
  "mnist": {"ae": (1e-3, 0), "swae": (1e-3, 1), "wae-mmd": (5e-4, 1), "cwae": (1e-3, 1)},
  "fashion_mnist": {
    "ae": (1e-3, 0),
    "swae": (1e-3, 100),
    "wae-mmd": (1e-3, 100),
    "cwae": (1e-3, 10),
  },
  "cifar10": {"ae": (1e-3, 0), "swae": (1e-3, 1), "wae-mmd": (1e-3, 1), "cwae": (1e-3, 1)},
  "celeb_a": {"ae": (1e-3, 0), "swae": (5e-4, 100), "wae-mmd": (5e-4, 100), "cwae": (5e-4, 5)},
}
NETWORKS = {
  "mnist": ("mlp", 8, 500),
  "fashion_mnist": ("mlp", 8, 500),
  "cifar10": ("cifar10", 64, 500),
  "celeb_a": ("celeb_a", 64, 55),
}


@pytest.mark.parametrize("dataset", PUBLISHED)
@pytest.mark.parametrize("method", ["ae", "swae", "wae-mmd", "cwae"])
def test_complete_takes_published_settings(dataset, method):
  configuration = _complete(method, dataset=dataset, num_images=50_000)
  objective = configuration.make_objective()
  rate, weight = PUBLISHED[dataset][method]
  assert configuration.learning_rate == rate
  assert objective.penalty_weight == weight
  assert objective.reconstruction == "squared_error"
  assert (configuration.network, configuration.latent_dim, configuration.epochs) == NETWORKS[
    dataset
  ]
  assert configuration.batch_size == 128
  assert configuration.schedule == "constant"
  if method == "swae":
    assert objective.num_directions == 50
  if method == "cwae":
    assert objective.log


def test_complete_prefers_given_options():
  configuration = _complete(
    "cwae", {"weight": 2.0}, "celeb_a", learning_rate=0.1, latent_dim=3, network="mlp", epochs=7
  )
  assert configuration.make_objective() == objectives.CWAE(weight=2.0)
  assert configuration.learning_rate == 0.1
  assert (configuration.network, configuration.latent_dim, configuration.epochs) == ("mlp", 3, 7)


def test_complete_chooses_a_network_by_image_size():
  configuration = _complete(dataset="/data/mine.npz", num_images=300)
  assert configuration.network == "convolutional"
  assert configuration.image_shape == (7, 5, 3)
  assert configuration.train_images == 300
  assert _complete().network == "mlp"


@pytest.mark.parametrize(
  ("options", "sentence"),
  [
    (dict(latent_dim=0), "latent_dim must be a whole number from 1 up, but is 0"),
    (dict(epochs=-1), "epochs must be a whole number from 1 up, but is -1"),
    (dict(epochs=2.5), r"epochs must be a whole number from 1 up, but is 2\.5"),
    (dict(batch_size=0), "batch_size must be a whole number from 1 up, but is 0"),
    (dict(batch_size=1439), "batch_size is 1439, but the training set has 1438 images only"),
    (dict(learning_rate=0.0), r"learning_rate must be positive and finite, but is 0\.0"),
    (dict(learning_rate=math.nan), "learning_rate must be positive and finite, but is nan"),
    (dict(learning_rate=math.inf), "learning_rate must be positive and finite, but is inf"),
    (dict(seed=-1), r"seed must be a whole number from 0 to 2\^32 − 1, but is -1"),
    (dict(seed=2**32), "seed must be a whole number"),
    (dict(network="mpl"), "There is no network 'mpl': did you mean mlp"),
    (dict(network="xyz"), r"There is no network 'xyz'\. There are linear, mlp, convolutional"),
    (dict(schedule="cosin"), "There is no schedule 'cosin': did you mean cosine"),
    (dict(precision="float16"), "There is no precision 'float16'"),
    (dict(method="wae"), "There is no method 'wae': did you mean"),
  ],
)
def test_complete_rejects_bad_values(options, sentence, without_beartype):
  with pytest.raises(ValueError, match=sentence) as error:
    _complete(**options)
  assert "\n" not in str(error.value)


def test_complete_accepts_largest_batch_and_seed():
  assert _complete(batch_size=1438, seed=2**32 - 1).batch_size == 1438


def test_read_returns_what_write_wrote(tmp_path):
  configuration = _complete("swae", {"num_directions": 7, "sample_prior": True}, seed=3)
  write(tmp_path, configuration)
  assert read(tmp_path) == configuration
  assert json.loads((tmp_path / "config.json").read_text())["objective"] == {
    "reconstruction": "squared_error",
    "weight": 1.0,
    "sample_prior": True,
    "num_directions": 7,
  }
  assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_read_without_config(tmp_path):
  with pytest.raises(ValueError, match=r"holds no run: there is no config\.json in it"):
    read(tmp_path)


@pytest.mark.parametrize(
  ("damage", "sentence"),
  [
    (lambda text: text[:40], "is damaged"),
    (lambda text: "[]", "does not describe a run"),
    (
      lambda text: text.replace('"format": 2', '"format": 3'),
      "its format is 3, and this one reads",
    ),
    (
      lambda text: text.replace('"format": 2', '"format": 1'),
      "its format is 1, and this one reads",
    ),
    (lambda text: text.replace('"format": 2', '"format": true'), "its format is True, and"),
    (lambda text: text.replace('"format": 2,', ""), "its format is None, and this one reads 2"),
    (lambda text: text.replace("{", '{"seed": 1, ', 1), "is damaged: an entry occurs twice"),
    (
      lambda text: text.replace('"epochs"', '"epoch"'),
      "missing or unknown entries epoch, epochs",
    ),
    (lambda text: text.replace('"epochs": 400', '"epochs": "many"'), "epochs must be a whole"),
    (lambda text: text.replace('"cwae"', '"cwea"'), "no method 'cwea': did you mean cwae"),
    (lambda text: text.replace('"cwae"', '"vae"'), "There is no field of vae 'weight'"),
    (lambda text: text.replace('"mlp"', '"mpl"'), "no network 'mpl'"),
    (lambda text: text.replace('"weight": 1.0', '"weight": -1.0'), "must be finite"),
    (lambda text: text.replace('"seed": 0', '"seed": null'), "seed must be a whole number"),
    (lambda text: text.replace("0.001", '"fast"'), "does not describe a run"),
  ],
)
def test_read_rejects_damaged_file(tmp_path, damage, sentence, without_beartype):
  write(tmp_path, _complete())
  path = tmp_path / "config.json"
  text = path.read_text()
  assert damage(text) != text
  path.write_text(damage(text))
  with pytest.raises(ValueError, match=sentence) as error:
    read(tmp_path)
  assert "\n" not in str(error.value)
  assert str(path) in str(error.value)


def test_differences_names_what_was_asked_for():
  configuration = _complete("cwae", {"weight": 2.0}, seed=3)
  assert differences(configuration, "cwae", {}, Options()) == []
  same = Options(seed=3, epochs=10**6, resume=True, dataset="digits")
  assert differences(configuration, "cwae", {"weight": 2.0}, same) == []
  assert differences(
    configuration, "cwae", {"weight": 1.0}, Options(seed=4, dataset="mnist", network="linear")
  ) == [
    "weight is 2.0, not 1.0",
    "dataset is digits, not mnist",
    "network is mlp, not linear",
    "seed is 3, not 4",
  ]
  # The fields of another method are not compared.
  assert differences(configuration, "swae", {"num_directions": 3}, Options()) == [
    "method is cwae, not swae"
  ]


def test_differences_resolves_relative_paths(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  configuration = dataclasses.replace(_complete(), dataset=str(tmp_path / "mine.npz"))
  assert differences(configuration, "cwae", {}, Options(dataset="mine.npz")) == []
  assert differences(configuration, "cwae", {}, Options(dataset="other.npz"))


def test_describe_default():
  assert describe_default("cwae", "weight") == "1.0; fashion_mnist 10.0; celeb_a 5.0"
  assert describe_default("cwae", "latent_dim") == "8; digits 4; cifar10 64; celeb_a 64"
  assert describe_default("ae", "batch_size") == "128"
  assert describe_default("ae", "weight") == describe_default("ae", "workdir") == ""
