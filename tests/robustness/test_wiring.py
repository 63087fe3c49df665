"""The flags of the commands change what is written, and --resume changes only what it may.

tests/training/test_options.py tests that the options of a training change the training.
"""

import dataclasses
import json

import jax
import numpy as np
import pytest
from training.small_runs import SmallRuns

from aejax import _commands
from aejax.cli import main
from aejax.evaluation import save_grid
from aejax.evaluation.generation import fit_samplers
from aejax.training import Interrupted, Options, Run, loop, prepare, trackers
from aejax.training.configuration import MUTABLE_ON_RESUME


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  """Returns a run that is trained and not scored."""
  return SmallRuns(tmp_path_factory.mktemp("wiring")).train("cwae", batch_size=20, test_epochs=1)


@pytest.fixture
def scored(run, tmp_path):
  """Returns a second work directory, with a summary and no checkpoints."""
  folder = tmp_path / "other"
  folder.mkdir()
  (folder / "config.json").write_bytes((run.workdir / "config.json").read_bytes())
  summary = {"method": "cwae", "dataset": "noise", "test_images": 4, "cramer_wold": 0.125}
  (folder / "summary.json").write_text(json.dumps(summary))
  return folder


def grid(path, images):
  return save_grid(path, images).read_bytes()


def sampled(run, folder, *flags):
  out = folder / "sampled.png"
  main([str(run.workdir), "--out", str(out), *map(str, flags)], command="sample")
  return out.read_bytes()


def test_sample_flags_choose_number_seed_and_sampler(run, tmp_path):
  trained = run.load()
  samplers = fit_samplers(trained, run.dataset, key=jax.random.key(1))

  def expected(num=64, seed=0, sampler="prior"):
    latents = samplers[sampler].sample(jax.random.key(seed), num)
    return grid(tmp_path / "expected.png", trained.decode(latents))

  cases = [
    ((), expected()),
    (("--num", 3), expected(num=3)),
    (("--seed", 1), expected(seed=1)),
    (("--sampler", "gaussian", "--num", 5), expected(num=5, sampler="gaussian")),
    (("--sampler", "mixture"), expected(sampler="mixture")),
  ]
  for flags, image in cases:
    assert sampled(run, tmp_path, *flags) == image, flags
  assert len({image for _, image in cases}) == len(cases)


def test_sample_writes_to_the_named_file_or_to_the_working_folder(
  run, tmp_path, monkeypatch, capsys
):
  monkeypatch.chdir(tmp_path)
  main(["sample", str(run.workdir)])
  assert capsys.readouterr().out == "samples.png\n"
  out = tmp_path / "new" / "grid.png"
  main(["sample", str(run.workdir), "--out", str(out)])
  assert capsys.readouterr().out == f"{out}\n"
  assert out.read_bytes() == (tmp_path / "samples.png").read_bytes()


@pytest.fixture
def calls(monkeypatch):
  """Records what the commands would score, without scoring it."""
  found = []

  def score(run, **options):
    found.append((run.workdir, options))
    return {"method": "cwae", "recall_x": 0.25}, [run.workdir / "a.png", run.workdir / "r.html"]

  monkeypatch.setattr(_commands, "score", score)
  return found


def test_train_scores_the_run_with_its_timing(run, calls, tmp_path, capsys):
  workdir = tmp_path / "run"
  flags = ("--dataset", run.configuration.dataset, "--network", "linear", "--latent-dim", 2)
  flags += ("--batch-size", 20, "--epochs", 1, "--weight", 2, "--workdir", workdir)
  main(["train", "cwae", *map(str, flags)])
  ((found, options),) = calls
  assert found == workdir
  assert set(options) == {"timing"}
  assert set(options["timing"]) == {"seconds", "images_per_second"}
  out = capsys.readouterr().out.splitlines()
  assert out == [
    "            this run  reference",
    "recall (x)  0.25      1 at best  far: few test images are covered",
    "",
    f"open {workdir}/r.html",
  ]


def test_interrupted_train_is_not_scored(run, calls, tmp_path, monkeypatch, capsys):
  def train(self):
    raise Interrupted(5, 15)

  monkeypatch.setattr(Run, "train", train)
  flags = ("--dataset", run.configuration.dataset, "--batch-size", "4")
  with pytest.raises(SystemExit) as exit:
    main(["cwae", *flags, "--workdir", str(tmp_path / "run")], command="train")
  assert exit.value.code == 128 + 15
  assert calls == []
  assert "Stopped at step 5" in capsys.readouterr().err


def test_evaluate_takes_inception_only_if_it_is_given(run, calls, tmp_path, monkeypatch):
  monkeypatch.setattr(_commands, "inception", lambda path: f"features of {path}")
  weights = tmp_path / "weights.pth"
  main(["evaluate", str(run.workdir)])
  main(["evaluate", str(run.workdir), "--inception", str(weights)])
  assert [workdir for workdir, _ in calls] == [run.workdir, run.workdir]
  assert [options["extractor"] for _, options in calls] == [None, f"features of {weights}"]
  assert all(options.get("timing") is None for _, options in calls)


def test_report_flags_choose_runs_file_and_title(scored, tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  main(["report", str(scored)])
  assert capsys.readouterr().out == "report.html\n"
  page = (tmp_path / "report.html").read_text(encoding="utf-8")
  assert "<title>other</title>" in page
  assert "<td>0.125</td>" in page
  out = tmp_path / "pages" / "two.html"
  main(["report", str(scored), str(scored), "--out", str(out), "--title", "A & B"])
  assert capsys.readouterr().out == f"{out}\n"
  page = out.read_text(encoding="utf-8")
  assert "<title>A &amp; B</title>" in page
  assert "<td>0.125</td><td>0.125</td>" in page


CHANGES = {
  "dataset": "digits",
  "image_size": 6,
  "standardise": True,
  "data": "stream",
  "network": "mlp",
  "latent_dim": 3,
  "batch_size": 10,
  "prior": "sphere",
  "optimizer": "adamw",
  "learning_rate": 0.1,
  "schedule": "cosine",
  "warmup_steps": 3,
  "weight_decay": 0.1,
  "clip_norm": 1.0,
  "ema_decay": 0.9,
  "weight_schedule": "warmup:1",
  "callback": "tensorboard",
  "test_epochs": 5,
  "patience": 2,
  "precision": "bfloat16",
  "seed": 1,
  "seeds": 2,
  "accumulate": 5,
  "skip_nonfinite": True,
  "checkpoint_minutes": 7.0,
  "checkpoint_epochs": 3,
  "keep_checkpoints": 9,
  "flip": True,
  "epochs": 5,
}


@pytest.mark.parametrize("name", CHANGES)
def test_resume_changes_what_does_not_affect_the_steps_already_taken(name, run, monkeypatch):
  monkeypatch.setattr(trackers, "require", lambda *names: None)
  options = Options(workdir=run.workdir, resume=True, **{name: CHANGES[name]})
  config = (run.workdir / "config.json").read_bytes()
  try:
    if name in MUTABLE_ON_RESUME:
      resumed = prepare("cwae", {}, options)
      expected = dataclasses.replace(run.configuration, **{name: CHANGES[name]})
      assert resumed.configuration == Run.open(run.workdir).configuration == expected
    else:
      message = f"holds another run: {name} "
      if name == "dataset":  # data that moved may be named, see Run.dataset
        message = "but the run was started with"
      with pytest.raises(ValueError, match=message):
        prepare("cwae", {}, options)
      assert (run.workdir / "config.json").read_bytes() == config
  finally:
    (run.workdir / "config.json").write_bytes(config)


def test_resume_may_change_every_setting_of_memory_time_and_disk():
  fields = {field.name for field in dataclasses.fields(Options)}
  elsewhere = {"workdir", "resume", "data_dir", "distributed", "coordinator", "num_processes"}
  assert set(CHANGES) == fields - elsewhere - {"process_id"}
  assert set(MUTABLE_ON_RESUME) == {
    "accumulate",
    "callback",
    "checkpoint_epochs",
    "checkpoint_minutes",
    "data",
    "data_dir",
    "epochs",
    "keep_checkpoints",
    "patience",
    "skip_nonfinite",
  }


def test_resume_rejects_another_objective(run):
  options = Options(workdir=run.workdir, resume=True)
  for fields, sentence in (({"weight": 2.0}, "weight is 1.0"), ({"log": False}, "log is True")):
    with pytest.raises(ValueError, match=f"holds another run: {sentence}"):
      prepare("cwae", fields, options)
  with pytest.raises(ValueError, match="holds another run: method is cwae, not ae"):
    prepare("ae", {}, options)


def test_seeds_of_a_run_have_their_own_folders_and_settings(run):
  together = Run(dataclasses.replace(run.configuration, seed=3, seeds=2), run.workdir, run.dataset)
  assert [one.workdir for one in together.seeds] == [run.workdir / f"seed-{k}" for k in (3, 4)]
  assert [(one.configuration.seed, one.configuration.seeds) for one in together.seeds] == [
    (3, 1),
    (4, 1),
  ]
  assert all(one.dataset is run.dataset for one in together.seeds)
  assert np.shape(run.dataset.train) == (20, 4, 4, 1)


def test_train_counts_the_images_of_all_seeds(tmp_path, monkeypatch):
  batch_sizes = []

  class Progress(loop.TrainingProgress):
    def __init__(self, *arguments, **options):
      batch_sizes.append(options["batch_size"])
      super().__init__(*arguments, **options)

  monkeypatch.setattr(loop, "TrainingProgress", Progress)
  SmallRuns(tmp_path).train(batch_size=10, seeds=3)
  assert batch_sizes == [30]
