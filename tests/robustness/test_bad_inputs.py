"""A bad call of a public function raises a ValueError with one clear sentence."""

import os
import re
import traceback
import types
from pathlib import Path

import numpy as np
import pytest
from robustness import (
  bad_data,
  bad_distances,
  bad_evaluation,
  bad_models,
  bad_own,
  bad_pictures,
)

import aejax
from aejax import data, distances, evaluation, metrics, networks, objectives, priors, training
from aejax.distances._arguments import NoClosedForm

TABLES = (bad_distances, bad_models, bad_evaluation, bad_pictures, bad_data, bad_own)
CALLS = [case for table in TABLES for case in table.CASES]
OURS = str(Path(aejax.__file__).parent)

# Public names that take no input from a user, or only what another function in the table returns.
NO_INPUT = {
  aejax: {"AejaxWarning", "Autoencoder", "Run", "TrainedAutoencoder", "__version__", "fit"}
  | {
    "data",
    "distances",
    "evaluation",
    "exporting",
    "metrics",
    "networks",
    "objectives",
    "priors",
    "training",
  },
  distances: {"Kernel"},
  objectives: {"BY_NAME"},
  priors: {"Prior"},
  networks: {"ARCHITECTURES"},
  data: {"NAMES"},
  metrics: {
    "KernelDistance",
    "Neighbours",
    "NullDistribution",
    "PriorTest",
    "Reference",
    "Sampler",
  },
  evaluation: {"Outputs", "Summary", "conclusion", "evaluate", "plot_run", "score", "summarise"}
  | {"table"},
  training: {"Configuration", "Diverged", "Interrupted", "Options", "TrainState", "TrainStep"}
  | {"Run", "TrainedAutoencoder", "create", "merge", "prepare", "processes"},
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
  """Files and folders that the calls read and write."""
  folder = tmp_path_factory.mktemp("bad")
  text, images, file = folder / "notes.txt", folder / "images.npy", folder / "file"
  text.write_text("no images")
  np.save(images, np.full((4, 6, 6, 1), 99, np.uint8))
  subfolder = folder / "folder.png"
  subfolder.mkdir()
  file.touch()

  def save(name, array=None, **several):
    path = folder / name
    np.save(path, array) if array is not None else np.savez(path, **several)
    return path

  return types.SimpleNamespace(
    folder=folder, text=text, images=images, file=file, subfolder=subfolder, save=save
  )


@pytest.mark.usefixtures("without_beartype")
@pytest.mark.parametrize(
  ("pattern", "call"),
  [case[1:] for case in CALLS],
  ids=[f"{k}-{name}" for k, (name, *_) in enumerate(CALLS)],
)
def test_bad_call_raises_one_sentence(pattern, call, places):
  before = set(os.listdir(places.folder))
  with pytest.raises(ValueError) as error:  # noqa: PT011
    call(places)
  assert type(error.value) in (ValueError, NoClosedForm)
  assert re.search(pattern, str(error.value)), str(error.value)
  assert "\n" not in str(error.value)
  assert len(str(error.value)) < 600
  # The command line takes a ValueError raised by a file of aejax for a user's mistake.
  assert traceback.extract_tb(error.value.__traceback__)[-1].filename.startswith(OURS)
  written = set(os.listdir(places.folder)) - before
  assert all(name.endswith((".npy", ".npz")) for name in written)  # by `places.save`


@pytest.mark.parametrize("package", NO_INPUT)
def test_no_public_name_is_forgotten(package):
  seen = {name.rpartition(".")[2] for name, *_ in CALLS}
  assert NO_INPUT[package] <= set(package.__all__)
  assert set(package.__all__) - seen - NO_INPUT[package] == set()
