"""Cases of the options that choose the data and what becomes of them; test_options.py runs them."""

import jax
import numpy as np
import pytest
from training.option_cases import observes
from training.small_runs import TRAIN, log

from aejax import data
from aejax.autoencoder import pixels
from aejax.training import Configuration, Run
from aejax.training.augmentation import flipped
from aejax.training.epoch import epoch_order
from aejax.training.setup import Setup
from aejax.training.state import build
from aejax.training.streaming import Resident, Stream


@observes("dataset")
def _(runs):
  other = runs.save_images("other", 1)
  assert log(runs.train(dataset=other)) != log(runs.standard)
  assert runs.prepare(dataset=None).dataset.image_shape == (8, 8, 1)  # the digits


@observes("image_shape")
def _(runs):
  run = runs.train(dataset=runs.save_images("wide", 0, (4, 6, 3)))
  assert run.load().generate(jax.random.key(0), 2).shape == (2, 4, 6, 3)


@observes("train_images")
def _(runs):
  run = runs.train(dataset=runs.save_images("noise", 0, num=12))
  assert log(run)[0]["step"] == 3
  runs.save_images("noise", 0, num=11)
  with pytest.raises(ValueError, match=r"have shape \[11, 4, 4, 1\]"):
    _ = Run.open(run.workdir).dataset


@observes("data_dir")
def _(runs):
  load = data.load

  def load_from(name, *, data_dir, **options):
    """Replaces a named data set by images in a file of the folder."""
    return load(f"{data_dir}/noise.npz", **options)

  runs.monkeypatch.setattr(data, "load", load_from)
  (runs.folder / "files").mkdir()
  runs.save_images("files/noise", 1)
  run = runs.train(dataset="mnist", data_dir=runs.folder / "files")
  assert log(run) != log(runs.standard)
  expected = load(runs.folder / "files" / "noise.npz").train
  np.testing.assert_array_equal(Run.open(run.workdir).dataset.train, expected)


@observes("image_size")
def _(runs):
  run = runs.train(image_size=6)
  assert run.load().generate(jax.random.key(0), 1).shape == (1, 6, 6, 1)
  assert Run.open(run.workdir).dataset.image_shape == (6, 6, 1)
  runs.resume(run, epochs=2)
  assert len(log(run)) == 2


@observes("standardise")
def _(runs):
  run = runs.train(standardise=True)
  images = runs.standard.dataset.train / 255
  scaled = (images - images.mean()) / images.std()
  np.testing.assert_allclose(run.scaling.apply(runs.standard.dataset.train), scaled, atol=1e-5)
  assert log(run)[0]["reconstruction_error"] > 2 * log(runs.standard)[0]["reconstruction_error"]


@observes("scaling")
def _(runs):
  settings = dict(runs.prepare(network="mlp").configuration.__dict__)
  for scaling, output in (("unit", "sigmoid"), ("none", "identity")):
    model = build(Configuration(**settings | {"scaling": scaling}))[0]
    assert model.output == output


@observes("data_digest")
def _(runs):
  run = runs.train(dataset=runs.save_images("noise", 0))
  runs.save_images("noise", 1)
  with pytest.raises(ValueError, match="does not hold the data that"):
    _ = Run.open(run.workdir).dataset


@observes("data")
def _(runs):
  """Streamed data give the same epochs."""
  run = runs.train(data="stream")
  assert isinstance(Setup(run.configuration, run.dataset, None).feed, Stream)
  assert isinstance(Setup(runs.standard.configuration, run.dataset, None).feed, Resident)
  assert log(run)[0] == pytest.approx(log(runs.standard)[0], rel=1e-5)


@observes("flip")
def _(runs):
  """The first step sees the images of its batch, some of them mirrored."""
  run = runs.train(flip=True, batch_size=TRAIN)
  model, state, _ = build(run.configuration)
  order_key = Setup(run.configuration, run.dataset, None).order_keys[0]
  images = run.dataset.train[np.asarray(epoch_order(order_key, 0, TRAIN))]
  seen = flipped(state, jax.numpy.asarray(images))
  errors = [run.objective(model, pixels(each), key=state.key)[0] for each in (seen, images)]
  assert log(run)[0]["loss"] == pytest.approx(float(errors[0]), rel=1e-5)
  assert abs(errors[0] - errors[1]) > 1e-3 * errors[1]
