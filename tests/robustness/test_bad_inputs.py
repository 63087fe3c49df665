"""Bad calls of every public function raise a ValueError of one clear sentence."""

import os
import re
import traceback
import types
from pathlib import Path

import numpy as np
import pytest
from robustness import bad_data, bad_distances, bad_evaluation, bad_models, bad_pictures

import aejax
from aejax import data, distances, evaluation, metrics, networks, objectives, priors, training

TABLES = (bad_data, bad_distances, bad_evaluation, bad_models, bad_pictures)
CALLS = [case for table in TABLES for case in table.CASES]
OURS = str(Path(aejax.__file__).parent)

# Public names without an argument of the user: packages, constants, types, results of other
# functions, and functions of what another function returns.
NO_INPUT = {
  aejax: {"AejaxWarning", "Run", "TrainedAutoencoder", "__version__"}
  | {"data", "distances", "evaluation", "metrics", "networks", "objectives", "priors", "training"},
  data: {"NAMES"},
  distances: {"Kernel"},
  evaluation: {"Outputs", "Summary", "evaluate", "plot_run", "score", "summarise", "table"},
  metrics: {"KernelDistance", "Neighbours", "Reference", "Sampler"},
  networks: {"ARCHITECTURES"},
  objectives: {"BY_NAME"},
  priors: {"Prior"},
  # The cases of `prepare` and `processes` are in bad_commands.
  training: {"Configuration", "Diverged", "Interrupted", "Options", "Run", "TrainState"}
  | {"TrainStep", "TrainedAutoencoder", "create", "merge", "prepare", "processes"},
}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
  """Files and folders that the calls read and write."""
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
def test_bad_call_raises_one_sentence(pattern, call, places):
  before = set(os.listdir(places.folder))
  with pytest.raises(ValueError) as error:  # noqa: PT011
    call(places)
  assert type(error.value) is ValueError
  assert re.search(pattern, str(error.value)), str(error.value)
  assert "\n" not in str(error.value)
  assert len(str(error.value)) < 600
  # The command line takes errors raised in files of aejax for mistakes of the user.
  assert traceback.extract_tb(error.value.__traceback__)[-1].filename.startswith(OURS)
  written = set(os.listdir(places.folder)) - before
  assert all(name.endswith((".npy", ".npz")) for name in written)  # written by the case


@pytest.mark.parametrize("package", NO_INPUT)
def test_no_public_name_is_forgotten(package):
  seen = {name.rpartition(".")[2] for name, *_ in CALLS}
  assert NO_INPUT[package] <= set(package.__all__)
  assert set(package.__all__) - seen - NO_INPUT[package] == set()
