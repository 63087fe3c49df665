"""Every mistake is one clear sentence: bad calls of everything that aejax makes public."""

import os
import re
import traceback
import types
from pathlib import Path

import numpy as np
import pytest
from robustness import bad_data, bad_distances, bad_evaluation, bad_models, bad_pictures
from robustness.bad_commands import COMMANDS

import aejax
from aejax import data, distances, evaluation, networks, objectives, priors, training

TABLE = {
  "distances": bad_distances.CASES,
  "models": bad_models.CASES,
  "evaluation": bad_evaluation.CASES,
  "pictures": bad_pictures.CASES,
  "data": bad_data.CASES,
}
CALLS = [case for cases in TABLE.values() for case in cases]
OURS = str(Path(aejax.__file__).parent)

# Public names that take nothing from a user, or that are made by what is in the table.
NO_INPUT = {
  aejax: {"TrainedAutoencoder", "data", "distances", "evaluation", "networks", "objectives"}
  | {"priors", "training"},
  distances: {"Kernel"},
  objectives: {"BY_NAME"},
  priors: {"Prior"},
  networks: {"ARCHITECTURES"},
  data: {"NAMES"},
  # What these are given is another's result.
  evaluation: {"KernelDistance", "Neighbours", "Reference", "Sampler", "draw", "evaluate", "score"}
  | {"summarise", "table"},
  training: {
    "Configuration",
    "Diverged",
    "Interrupted",
    "Options",
    "TrainState",
    "TrainStep",
    "create",
  }
  | {"load_dataset", "merge", "pixels", "prepare", "processes", "train"},
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
  """What the calls write to and read from."""
  folder = tmp_path_factory.mktemp("bad")
  text, images, file = folder / "notes.txt", folder / "images.npy", folder / "file"
  text.write_text("no images")
  np.save(images, np.zeros((4, 6, 6, 1), np.uint8))
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
  ids=[f"{k}-{c[0]}" for k, c in enumerate(CALLS)],
)
def test_a_bad_call_is_one_sentence(pattern, call, places):
  before = set(os.listdir(places.folder))
  with pytest.raises(ValueError) as error:  # noqa: PT011
    call(places)
  assert type(error.value) is ValueError
  assert re.search(pattern, str(error.value)), str(error.value)
  assert "\n" not in str(error.value)
  assert len(str(error.value)) < 600
  # Where the scripts draw the line between a user's mistake and a defect.
  assert traceback.extract_tb(error.value.__traceback__)[-1].filename.startswith(OURS)
  written = set(os.listdir(places.folder)) - before
  assert all(name.endswith((".npy", ".npz")) for name in written)  # the test's own


@pytest.mark.parametrize("package", NO_INPUT)
def test_no_public_name_is_forgotten(package):
  seen = {name.rpartition(".")[2] for name, *_ in CALLS}
  assert NO_INPUT[package] <= set(package.__all__)
  assert set(package.__all__) - seen - NO_INPUT[package] == set()


def test_as_many_as_are_said_to_be():
  """The numbers that the documentation quotes."""
  counted = {part: len(cases) for part, cases in TABLE.items()} | {"commands": len(COMMANDS)}
  assert counted == COUNTED


COUNTED = {
  "distances": 426,
  "models": 707,
  "evaluation": 502,
  "pictures": 178,
  "data": 223,
  "commands": 421,
}
