import dataclasses
import json

import numpy as np
import pytest

import aejax
from aejax import cli, data
from aejax.training import Options, Run, prepare
from aejax.training.configuration import read


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


@pytest.fixture
def loads(monkeypatch):
  """The data sets that `data.load` was asked for."""
  names, load = [], data.load

  def counting(name, **options):
    names.append(name)
    return load(name, **options)

  monkeypatch.setattr(data, "load", counting)
  return names


def test_prepare_writes_the_configuration_of_a_new_run(options, tmp_path, file):
  run = prepare("cwae", {"weight": 2.0}, options())
  assert run.workdir == tmp_path / "run"
  assert read(run.workdir) == run.configuration
  assert [path.name for path in run.workdir.iterdir()] == ["config.json"]
  assert run.configuration.dataset == str(file)
  assert run.configuration.image_shape == run.dataset.image_shape == (4, 3, 1)
  assert run.configuration.train_images == len(run.dataset.train) == 42


def test_prepare_loads_the_data_once(options, file, loads):
  run = prepare("cwae", {}, options())
  assert len(run.dataset.train) == 42
  assert loads == [str(file)]
  resumed = prepare("cwae", {}, options(resume=True))
  assert len(resumed.dataset.train) == 42
  assert len(loads) == 2


def test_open_loads_the_data_on_first_use(options, file, loads, dataset):
  run = prepare("cwae", {"weight": 2.0}, options())
  loads.clear()
  opened = Run.open(str(run.workdir))
  assert (opened.configuration, opened.workdir) == (run.configuration, run.workdir)
  assert loads == []
  np.testing.assert_array_equal(opened.dataset.test, dataset.test)
  assert opened.dataset is opened.dataset
  assert loads == [str(file)]


@pytest.mark.parametrize("workdir", [".", "nowhere"])
def test_open_rejects_folder_without_a_run(workdir, tmp_path):
  with pytest.raises(ValueError, match=r"holds no run: there is no config\.json in it"):
    Run.open(tmp_path / workdir)


def test_open_rejects_what_is_no_path(without_beartype):
  with pytest.raises(ValueError, match="workdir must be a path, but is an int"):
    Run.open(3)


def test_open_rejects_another_format(options):
  path = prepare("ae", {}, options()).workdir / "config.json"
  path.write_text(path.read_text().replace('"format": 2', '"format": 1'))
  with pytest.raises(ValueError, match=r"by another version of aejax.* its format is 1, and this"):
    Run.open(path.parent)


def test_run_trains_and_loads(options):
  run = prepare("ae", {}, options(epochs=2))
  with pytest.raises(ValueError, match="holds no checkpoint yet"):
    run.load()
  assert sorted(run.train()) == ["images_per_second", "seconds"]
  trained = Run.open(run.workdir).load()
  assert (trained.step, trained.configuration) == (10, run.configuration)
  assert trained.encode(run.dataset.test).shape == (8, 2)
  assert run.load(best=True).step in (5, 10)
  assert run.train() == {}  # nothing is left


def test_run_of_one_seed_is_its_own_seed(options):
  run = prepare("ae", {}, options())
  assert run.seeds == [run]


def test_seeds_of_a_run_share_its_data(options, loads):
  run = prepare("ae", {}, options(seeds=2, seed=3, epochs=1))
  assert [seed.workdir for seed in run.seeds] == [run.workdir / "seed-3", run.workdir / "seed-4"]
  assert [(s.configuration.seed, s.configuration.seeds) for s in run.seeds] == [(3, 1), (4, 1)]
  assert all(seed.dataset is run.dataset for seed in run.seeds)
  assert len(loads) == 1
  run.train()
  with pytest.raises(ValueError, match="holds several runs: name one of the folders seed-3, seed-"):
    run.load()
  opened = Run.open(run.workdir)
  assert [seed.load().configuration.seed for seed in opened.seeds] == [3, 4]
  assert len(loads) == 1
  assert len(opened.seeds[0].dataset.train) == 42
  assert len(loads) == 2


def test_dataset_of_an_opened_run_has_its_image_size(options):
  run = prepare("ae", {}, options(image_size=5))
  assert run.configuration.image_shape == (5, 5, 1)
  for again in (Run.open(run.workdir), prepare("ae", {}, options(resume=True))):
    assert again.dataset.image_shape == (5, 5, 1)
    np.testing.assert_array_equal(again.dataset.train, run.dataset.train)


def test_prepare_names_default_folders(options, monkeypatch, tmp_path, file):
  monkeypatch.chdir(tmp_path)
  assert str(prepare("cwae", {}, options(workdir=None)).workdir) == "runs/cwae-planes"
  run = prepare("ae", {}, Options(epochs=1))
  assert str(run.workdir) == "runs/ae-digits"
  assert run.configuration.dataset == "digits"
  # The absolute path is stored, so that the run works from any folder.
  configuration = prepare("ae", {}, options(dataset="planes.npz", workdir=None)).configuration
  assert configuration.dataset == str(file)


@pytest.mark.parametrize("resume", [False, True])
def test_prepare_never_touches_existing_files(options, tmp_path, resume):
  (tmp_path / "run").mkdir()
  (tmp_path / "run" / "thesis.tex").write_text("years of work")
  (tmp_path / "file").write_text("more")
  for name in ("run", "file"):
    sentence = "holds no run" if resume else f"{name} exists already: choose another --workdir"
    with pytest.raises(ValueError, match=sentence):
      prepare("cwae", {}, options(workdir=tmp_path / name, resume=resume))
  assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.tex"]
  assert (tmp_path / "file").read_text() == "more"


def test_prepare_accepts_an_empty_folder(options, tmp_path):
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
def test_prepare_writes_nothing_for_bad_options(
  options, tmp_path, method, objective, more, sentence, without_beartype
):
  with pytest.raises(ValueError, match=sentence) as error:
    prepare(method, objective, options(**more))
  assert "\n" not in str(error.value)
  assert not (tmp_path / "run").exists()


def test_prepare_needs_two_test_images(options, tmp_path, dataset):
  np.savez(tmp_path / "few.npz", images=dataset.train[:6])
  with pytest.raises(ValueError, match="has only one test image, but scoring needs at least two"):
    prepare("ae", {}, options(dataset=str(tmp_path / "few.npz"), batch_size=2))


def test_resume_takes_the_settings_of_the_run(options):
  configuration = prepare("cwae", {"weight": 2.0}, options(seed=3, epochs=5)).configuration
  again = prepare("cwae", {}, Options(workdir=options().workdir, resume=True)).configuration
  assert again == configuration
  with pytest.raises(ValueError, match=r"holds another run: weight is 2\.0, not 1\.0; seed is 3,"):
    prepare("cwae", {"weight": 1.0}, options(resume=True, seed=4))
  with pytest.raises(ValueError, match="holds another run: method is cwae, not ae"):
    prepare("ae", {}, options(resume=True))


def test_resume_with_more_epochs_only(options):
  prepare("cwae", {}, options(epochs=5))
  run = prepare("cwae", {}, options(epochs=9, resume=True))
  assert run.configuration.epochs == read(run.workdir).epochs == 9
  with pytest.raises(ValueError, match="epochs can only grow on --resume, from 9"):
    prepare("cwae", {}, options(epochs=5, resume=True))
  assert read(run.workdir).epochs == 9


def test_resume_may_change_accumulate(options):
  prepare("cwae", {}, options())
  run = prepare("cwae", {}, options(accumulate=4, resume=True))
  assert run.configuration.accumulate == read(run.workdir).accumulate == 4
  again = prepare("cwae", {}, Options(workdir=run.workdir, resume=True)).configuration
  assert again == run.configuration
  with pytest.raises(ValueError, match="multiple of the 3 parts, but is 8: the nearest are 6 or 9"):
    prepare("cwae", {}, options(accumulate=3, resume=True))


def test_resume_cannot_change_the_epochs_of_a_cosine_schedule(options):
  prepare("cwae", {}, options(epochs=5, schedule="cosine"))
  prepare("cwae", {}, options(epochs=5, resume=True))
  with pytest.raises(ValueError, match="epochs cannot change on --resume: the schedule"):
    prepare("cwae", {}, options(epochs=9, resume=True))


def test_resume_rejects_changed_data(options, file, dataset):
  run = prepare("cwae", {}, options())
  np.savez(file, train=dataset.train[:41], test=dataset.test)
  with pytest.raises(ValueError, match=r"have shape \[41, 4, 3, 1\], but .* with \[42, 4, 3, 1\]"):
    _ = Run.open(run.workdir).dataset
  with pytest.raises(ValueError, match="but the run was started with"):
    prepare("cwae", {}, options(resume=True))
  file.unlink()
  with pytest.raises(ValueError, match=r"planes\.npz"):
    _ = Run.open(run.workdir).dataset


def test_other_data_of_the_same_shape_are_refused(options, file, dataset):
  run = prepare("cwae", {}, options())
  assert read(run.workdir).data_digest == dataset.digest
  np.savez(file, train=dataset.train[::-1], test=dataset.test)
  message = f"{file} does not hold the data that {run.workdir} was trained on"
  with pytest.raises(ValueError, match=message):
    _ = Run.open(run.workdir).dataset
  with pytest.raises(ValueError, match=message):
    prepare("cwae", {}, options(resume=True))


def test_data_that_moved_can_be_named(options, file, dataset, tmp_path):
  run = prepare("cwae", {}, options())
  moved = file.rename(tmp_path / "moved.npz")
  message = f"trained on {file}, which is no longer there: .* name them with --dataset"
  with pytest.raises(ValueError, match=message):
    _ = Run.open(run.workdir).dataset
  with pytest.raises(ValueError, match=message):
    prepare("cwae", {}, Options(workdir=run.workdir, resume=True))
  np.testing.assert_array_equal(Run.open(run.workdir, dataset=moved).dataset.test, dataset.test)
  assert read(run.workdir).dataset == str(file)
  prepare("cwae", {}, options(dataset=str(moved), resume=True))
  assert read(run.workdir).dataset == str(moved)
  np.savez(tmp_path / "other.npz", train=dataset.train + np.uint8(1), test=dataset.test)
  for call in (
    lambda: Run.open(run.workdir, dataset=tmp_path / "other.npz").dataset,
    lambda: prepare("cwae", {}, options(dataset=str(tmp_path / "other.npz"), resume=True)),
  ):
    with pytest.raises(ValueError, match=r"other\.npz does not hold the data that"):
      call()
  assert read(run.workdir).dataset == str(moved)


def test_commands_take_data_that_moved(options, file, dataset, tmp_path, capsys):
  run = prepare("ae", {}, options(epochs=1))
  run.train()
  moved = file.rename(tmp_path / "moved.npz")
  sample = ["sample", str(run.workdir), "--sampler", "gaussian", "--out", str(tmp_path / "a.png")]
  for arguments in (sample, ["evaluate", str(run.workdir)]):
    with pytest.raises(SystemExit, match="2"):
      cli.main(arguments)
    assert "name them with --dataset" in capsys.readouterr().err
  cli.main([*sample, "--dataset", str(moved)])
  assert (tmp_path / "a.png").is_file()
  np.savez(file, train=dataset.train[::-1], test=dataset.test)
  with pytest.raises(SystemExit, match="2"):
    cli.main(["evaluate", str(run.workdir), "--dataset", str(file)])
  assert "does not hold the data" in capsys.readouterr().err


def test_runs_of_earlier_versions_have_no_digest(options, file, tmp_path):
  run = prepare("cwae", {}, options())
  path = run.workdir / "config.json"
  values = json.loads(path.read_text())
  del values["data_digest"]
  path.write_text(json.dumps(values))
  assert Run.open(run.workdir).configuration.data_digest is None
  prepare("cwae", {}, options(resume=True))
  moved = file.rename(tmp_path / "moved.npz")
  with pytest.raises(ValueError, match=rf"dataset is {file}, not {moved}"):
    prepare("cwae", {}, options(dataset=str(moved), resume=True))
  with pytest.warns(aejax.AejaxWarning, match="does not record which data it was trained on"):
    assert len(Run.open(run.workdir, dataset=moved).dataset.train) == 42


def test_resume_may_change_data_dir(tmp_path):
  options = Options(workdir=tmp_path / "digits", epochs=1)
  before = prepare("cwae", {}, options).configuration
  options = Options(workdir=tmp_path / "digits", resume=True, data_dir=tmp_path)
  after = prepare("cwae", {}, options).configuration
  assert after == dataclasses.replace(before, data_dir=str(tmp_path))
  assert after.dataset in data.NAMES
