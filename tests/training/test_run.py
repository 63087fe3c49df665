import dataclasses

import numpy as np
import pytest

from aejax import data
from aejax.training import Options, prepare
from aejax.training.configuration import read
from aejax.training.run import _load_dataset


@pytest.fixture
def file(dataset, tmp_path):
  path = tmp_path / "planes.npz"
  np.savez(path, train=dataset.train, test=dataset.test)
  return path


@pytest.fixture
def options(file, tmp_path):
  def make(**more):
    settings = dict(
      dataset=str(file), workdir=tmp_path / "run", network="linear", latent_dim=2, batch_size=8
    )
    return Options(**(settings | more))

  return make


def test_a_new_run_is_described_before_it_starts(options, tmp_path, file):
  run = prepare("cwae", {"weight": 2.0}, options())
  configuration, dataset, workdir = run.configuration, run.dataset, run.workdir
  assert workdir == tmp_path / "run"
  assert read(workdir) == configuration
  assert [path.name for path in workdir.iterdir()] == ["config.json"]
  assert configuration.dataset == str(file)
  assert configuration.image_shape == dataset.image_shape == (4, 3, 1)
  assert configuration.train_images == len(dataset.train) == 42
  np.testing.assert_array_equal(_load_dataset(configuration).test, dataset.test)


def test_names_of_the_default_folders(options, monkeypatch, tmp_path, file):
  monkeypatch.chdir(tmp_path)
  assert str(prepare("cwae", {}, options(workdir=None))[2]) == "runs/cwae-planes"
  run = prepare("ae", {}, Options(epochs=1))
  configuration, workdir = run.configuration, run.workdir
  assert str(workdir) == "runs/ae-digits"
  assert configuration.dataset == "digits"
  # A relative path is found again from anywhere.
  configuration = prepare("ae", {}, options(dataset="planes.npz", workdir=None)).configuration
  assert configuration.dataset == str(file)


@pytest.mark.parametrize("resume", [False, True])
def test_an_existing_folder_or_file_is_never_touched(options, tmp_path, resume):
  (tmp_path / "run").mkdir()
  (tmp_path / "run" / "thesis.tex").write_text("years of work")
  (tmp_path / "file").write_text("more")
  for name in ("run", "file"):
    sentence = "holds no run" if resume else f"{name} exists already: choose another --workdir"
    with pytest.raises(ValueError, match=sentence):
      prepare("cwae", {}, options(workdir=tmp_path / name, resume=resume))
  assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.tex"]
  assert (tmp_path / "file").read_text() == "more"


def test_an_empty_folder_will_do(options, tmp_path):
  (tmp_path / "run").mkdir()
  prepare("cwae", {}, options())


@pytest.mark.parametrize(
  ("method", "objective", "more", "sentence"),
  [
    ("cwea", {}, {}, "no method 'cwea'"),
    ("cwae", {}, dict(batch_size=43), "batch_size is 43, but the training set has 42"),
    ("cwae", {}, dict(dataset="nowhere.npz"), "nowhere.npz"),
    ("swae", {"num_directions": 0}, {}, "num_directions must be a whole number from 1 up"),
    (
      "cwae",
      {"approximate": True},
      dict(latent_dim=1),
      "cwae cannot train with these options: approximate needs latents of dimension 2",
    ),
    (
      "ae",
      {"reconstruction": "binary_cross_entropy"},
      {},
      "ae cannot train with these options: binary_cross_entropy needs an Autoencoder",
    ),
    ("wae-mmd", {}, dict(batch_size=1), "wae-mmd cannot train with these options: z must have"),
  ],
)
def test_a_run_that_cannot_work_leaves_nothing(
  options, tmp_path, method, objective, more, sentence, without_beartype
):
  with pytest.raises(ValueError, match=sentence) as error:
    prepare(method, objective, options(**more))
  assert "\n" not in str(error.value)
  assert not (tmp_path / "run").exists()


def test_one_test_image_is_too_few(options, tmp_path, dataset):
  np.savez(tmp_path / "few.npz", images=dataset.train[:6])
  with pytest.raises(ValueError, match="has one test image only"):
    prepare("ae", {}, options(dataset=str(tmp_path / "few.npz"), batch_size=2))


def test_resume_takes_the_run_as_it_is(options):
  configuration = prepare("cwae", {"weight": 2.0}, options(seed=3, epochs=5)).configuration
  again = prepare("cwae", {}, Options(workdir=options().workdir, resume=True)).configuration
  assert again == configuration
  with pytest.raises(ValueError, match=r"holds another run: weight is 2\.0, not 1\.0; seed is 3,"):
    prepare("cwae", {"weight": 1.0}, options(resume=True, seed=4))
  with pytest.raises(ValueError, match="holds another run: method is cwae, not ae"):
    prepare("ae", {}, options(resume=True))


def test_epochs_grow_and_never_shrink(options):
  prepare("cwae", {}, options(epochs=5))
  run = prepare("cwae", {}, options(epochs=9, resume=True))
  configuration, workdir = run.configuration, run.workdir
  assert configuration.epochs == read(workdir).epochs == 9
  with pytest.raises(ValueError, match="epochs can only grow on --resume, from 9"):
    prepare("cwae", {}, options(epochs=5, resume=True))
  assert read(workdir).epochs == 9


def test_memory_is_no_part_of_the_run(options):
  prepare("cwae", {}, options())
  run = prepare("cwae", {}, options(accumulate=4, resume=True))
  configuration, workdir = run.configuration, run.workdir
  assert configuration.accumulate == read(workdir).accumulate == 4
  again = prepare("cwae", {}, Options(workdir=workdir, resume=True)).configuration
  assert again == configuration
  with pytest.raises(ValueError, match="multiple of the 3 parts, but is 8: the nearest are 6 or 9"):
    prepare("cwae", {}, options(accumulate=3, resume=True))


def test_a_cosine_schedule_fixes_the_epochs(options):
  prepare("cwae", {}, options(epochs=5, schedule="cosine"))
  prepare("cwae", {}, options(epochs=5, resume=True))
  with pytest.raises(ValueError, match="epochs cannot change on --resume: the schedule"):
    prepare("cwae", {}, options(epochs=9, resume=True))


def test_data_that_changed_are_refused(options, file, dataset):
  configuration = prepare("cwae", {}, options()).configuration
  np.savez(file, train=dataset.train[:41], test=dataset.test)
  with pytest.raises(ValueError, match=r"have shape \[41, 4, 3, 1\], but .* with \[42, 4, 3, 1\]"):
    _load_dataset(configuration)
  with pytest.raises(ValueError, match="but the run was started with"):
    prepare("cwae", {}, options(resume=True))
  file.unlink()
  with pytest.raises(ValueError, match=r"planes\.npz"):
    _load_dataset(configuration)


def test_data_dir_may_move(options, tmp_path):
  configuration = prepare("cwae", {}, Options(workdir=tmp_path / "digits", epochs=1)).configuration
  moved, *_ = prepare(
    "cwae", {}, Options(workdir=tmp_path / "digits", resume=True, data_dir=tmp_path)
  )
  assert moved == dataclasses.replace(configuration, data_dir=str(tmp_path))
  assert moved.dataset in data.NAMES
