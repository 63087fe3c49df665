"""The scripts train, evaluate, sample and report, in process and as real processes."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import aejax
from aejax import _commands

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


@pytest.fixture
def data_files(tmp_path):
  rng = np.random.default_rng(0)
  np.savez(tmp_path / "odd.npz", images=rng.integers(0, 256, (40, 7, 5, 3), np.uint8))
  content = (tmp_path / "odd.npz").read_bytes()
  (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
  (tmp_path / "text.npz").write_text("no arrays at all")
  return tmp_path


def _fails(outcome, sentence):
  code, out, err = outcome
  assert code == 2
  assert out == ""
  assert sentence in err
  assert err.startswith("error: ")
  assert err.count("\n") == 1


def test_train_writes_these_files(digits_run):
  assert sorted(path.name for path in digits_run.iterdir()) == [
    "checkpoints",
    "config.json",
    "curves.png",
    "interpolations.png",
    "latents.png",
    "marginals.png",
    "marginals.svg",
    "metrics.jsonl",
    "neighbours.png",
    "pairs.png",
    "pairs.svg",
    "plane.json",
    "plane.png",
    "plane_tiles.png",
    "quantiles.png",
    "quantiles.svg",
    "reconstructions.png",
    "report.html",
    "samples.png",
    "summary.json",
  ]
  configuration = json.loads((digits_run / "config.json").read_text())
  assert configuration["method"] == "cwae"
  assert configuration["latent_dim"] == 2
  assert [path.name for path in (digits_run / "checkpoints").iterdir()] == ["22"]
  assert len((digits_run / "metrics.jsonl").read_text().splitlines()) == 2


def test_train_leaves_an_existing_run_unchanged(call, digits_run):
  before = {path: path.stat().st_mtime_ns for path in digits_run.rglob("*")}
  _fails(
    call("train", "cwae", "--workdir", digits_run),
    f"{digits_run} exists already: choose another --workdir, or continue its run with --resume.",
  )
  _fails(
    call("train", "cwae", "--workdir", digits_run, "--resume", "--seed", "1"),
    "holds another run: seed is 0, not 1.",
  )
  _fails(
    call("train", "ae", "--workdir", digits_run, "--resume"),
    "holds another run: method is cwae, not ae.",
  )
  _fails(
    call("train", "cwae", "--workdir", digits_run, "--resume", "--epochs", "1"),
    "epochs can only grow on --resume, from 2.",
  )
  assert before == {path: path.stat().st_mtime_ns for path in digits_run.rglob("*")}


@pytest.mark.parametrize(
  ("arguments", "sentence"),
  [
    (["cwea"], "There is no method 'cwea': did you mean cwae?"),
    (["cwae", "--dataset", "mnits"], "no data set 'mnits', did you mean mnist"),
    (["cwae", "--dataset", "nowhere.npz"], "nowhere.npz"),
    (["cwae", "--dataset", "{files}/cut.npz"], "cut.npz"),
    (["cwae", "--dataset", "{files}/text.npz"], "text.npz cannot be read"),
    (["cwae", "--dataset", "{files}"], "no images in"),
    (["cwae", "--network", "mpl"], "There is no network 'mpl': did you mean mlp?"),
    (["cwae", "--latent-dim", "0"], "latent_dim must be a whole number from 1 up, but is 0."),
    (["cwae", "--batch-size", "9999"], "batch_size is 9999, but the training set has 1438 images"),
    (["cwae", "--epochs", "-3"], "epochs must be a whole number from 1 up, but is -3."),
    (["cwae", "--learning-rate", "nan"], "learning_rate must be positive and finite"),
    (["cwae", "--weight", "nan"], "weight of the penalty must be finite and not negative"),
    (["cwae", "--seed", "-1"], "seed must be a whole number"),
    (["cwae", "--image-size", "0"], "image_size must be a whole number from 1 up"),
    (["cwae", "--data-dir", "nowhere"], "there is none at nowhere"),
    (["swae", "--num-directions", "0"], "num_directions must be a whole number from 1 up"),
    (["cwae", "--approximate", "--latent-dim", "1"], "approximate needs latents of dimension 2"),
    (["wae-mmd", "--batch-size", "1"], "wae-mmd cannot train with these options"),
    (
      ["ae", "--reconstruction", "binary_cross_entropy", "--network", "linear"],
      "binary_cross_entropy needs an Autoencoder",
    ),
    (["cwae", "--resume"], "holds no run: there is no config.json in it."),
  ],
)
def test_train_rejects_options_and_writes_nothing(
  call, data_files, tmp_path, arguments, sentence, without_beartype
):
  workdir = tmp_path / "run"
  arguments = [a.format(files=data_files) for a in arguments]
  _fails(call("train", *arguments, "--workdir", workdir), sentence)
  assert not workdir.exists()


def test_train_takes_images_of_odd_sizes(call, data_files, tmp_path):
  workdir = tmp_path / "run"
  code, out, err = call(
    "train",
    *("cwae", "--dataset", data_files / "odd.npz", "--workdir", workdir),
    *("--network", "linear", "--latent-dim", "3", "--epochs", "2", "--batch-size", "36"),
  )
  assert code == 0
  assert "reconstruction error" in out
  assert out.splitlines()[-1] == f"open {workdir / 'report.html'}"
  first = ("samples", "reconstructions", "interpolations", "neighbours")
  for name in (*first, "curves", "marginals", "quantiles", "pairs", "plane_tiles"):
    assert (workdir / f"{name}.png").is_file()
  assert "epoch 2/2" in err
  assert aejax.load(workdir).configuration.image_shape == (7, 5, 3)


def test_train_reports_divergence_in_one_sentence(call, data_files, tmp_path):
  code, out, err = call(
    "train",
    *("vae", "--dataset", data_files / "odd.npz", "--workdir", tmp_path / "run"),
    *("--network", "linear", "--epochs", "2", "--batch-size", "8", "--learning-rate", "1e30"),
  )
  assert code == 2
  assert out == ""
  assert err.splitlines()[-1].startswith("error: Training diverged at step 1: the ")
  assert "Traceback" not in err


def test_evaluate_repeats_scores_and_plots(call, digits_run):
  before = json.loads((digits_run / "summary.json").read_text())
  plots = sorted(digits_run.glob("*.png"))
  for plot in plots:
    plot.unlink()
  code, out, err = call("evaluate", digits_run)
  assert code == 0
  assert err.splitlines() == [
    f"Scoring {digits_run} on 359 test images …",
    "Fitting densities to the latents of 1,438 training images …",
    "Comparing samples with 359 test images by the features of classifier: prior, gaussian, "
    "mixture, reconstructions …",
    f"Plotting {digits_run} …",
  ]
  assert json.loads((digits_run / "summary.json").read_text()) == before
  assert sorted(digits_run.glob("*.png")) == plots
  assert out.splitlines()[-1] == f"open {digits_run / 'report.html'}"


def test_evaluate_with_inception_adds_the_fid(call, digits_run, tmp_path, monkeypatch):
  """The network is replaced by a small one; files that are not its weights are rejected."""
  from aejax.metrics.inception import _Inception

  before = (digits_run / "summary.json").read_text()
  wrong = tmp_path / "wrong.pth"
  wrong.write_bytes(b"abc")
  _fails(call("evaluate", digits_run, "--inception", wrong), "whose SHA-256 begins with 6726825d")
  _fails(call("evaluate", digits_run, "--inception", tmp_path / "x"), "but there is no file")
  _fails(call("evaluate", digits_run, "--inception", tmp_path), "but there is no file")
  assert (digits_run / "summary.json").read_text() == before
  stub = _Inception("inception", lambda images: images.mean(1).reshape(len(images), -1))
  monkeypatch.setattr(_commands, "inception", lambda path: stub)
  try:
    code, out, _ = call("evaluate", digits_run, "--inception", wrong)
  finally:
    found = json.loads((digits_run / "summary.json").read_text())
    (digits_run / "summary.json").write_text(before)
  assert code == 0
  assert {"fid", "fid_reconstructions", "kid", "frechet_classifier"} < set(found)
  assert "\nFID of samples " in out


def test_sample_depends_on_the_seed(call, digits_run, tmp_path):
  out = tmp_path / "new" / "samples.png"
  assert call("sample", digits_run, "--num", "5", "--out", out) == (0, f"{out}\n", "")
  with Image.open(out) as image:
    first = np.asarray(image)
  call("sample", digits_run, "--num", "5", "--out", out, "--seed", "1")
  with Image.open(out) as image:
    assert first.shape == np.asarray(image).shape
    assert not np.array_equal(first, np.asarray(image))


def test_evaluate_and_sample_reject_options(call, digits_run, tmp_path):
  for name in ("evaluate", "sample"):
    _fails(call(name, tmp_path / "nowhere"), "holds no run: there is no config.json in it.")
    code, out, err = call(name)
    assert (code, out) == (2, "")
    assert "WORKDIR" in err
  out = tmp_path / "samples.png"
  _fails(
    call("sample", digits_run, "--num", "0", "--out", out),
    "num must be a whole number from 1 up, but is 0",
  )
  _fails(call("sample", digits_run, "--seed", "-1", "--out", out), "seed must be a whole number")
  code, *_ = call("sample", digits_run, "--num", "many", "--out", out)
  assert code == 2
  _fails(call("sample", digits_run, "--out", tmp_path / "samples.xyz"), "samples.xyz")
  _fails(call("sample", digits_run, "--out", tmp_path), str(tmp_path))
  assert list(tmp_path.iterdir()) == []


def test_report_writes_a_page_without_references(call, digits_run, tmp_path):
  out = tmp_path / "new" / "report.html"
  assert call("report", digits_run, digits_run, "--out", out) == (0, f"{out}\n", "")
  page = out.read_text()
  assert page.count('<img src="data:image/png;base64,') >= 2
  assert 'src="http' not in page


def test_report_rejects_a_folder_without_a_run(call, tmp_path):
  out = tmp_path / "report.html"
  _fails(call("report", tmp_path, "--out", out), f"{tmp_path} holds no scored run")
  assert list(tmp_path.iterdir()) == []


def _process(*arguments, cwd):
  done = subprocess.run(
    [str(argument) for argument in arguments],
    capture_output=True,
    text=True,
    timeout=300,
    cwd=cwd,
    env={**os.environ, "XDG_CACHE_HOME": str(cwd / "cache")},
  )
  return done.returncode, done.stdout, done.stderr


def test_scripts_run_as_processes(digits_run, tmp_path):
  code, out, err = _process(sys.executable, EXPERIMENTS / "train.py", "cwea", cwd=tmp_path)
  assert (code, out) == (2, "")
  assert err.startswith("error: There is no method 'cwea': did you mean cwae?")
  assert err.count("\n") == 1
  command = [sys.executable, EXPERIMENTS / "sample.py", digits_run, "--num", "3"]
  assert _process(*command, cwd=tmp_path) == (0, "samples.png\n", "")
  assert (tmp_path / "samples.png").is_file()


def test_installed_command_runs_as_the_script(call, digits_run, tmp_path):
  aejax_command = Path(sysconfig.get_path("scripts")) / "aejax"
  out = tmp_path / "a.png"
  command = [aejax_command, "sample", digits_run, "--num", "3", "--out", out]
  assert _process(*command, cwd=tmp_path) == (0, f"{out}\n", "")
  assert call("sample", digits_run, "--num", "3", "--out", tmp_path / "b.png")[0] == 0
  assert out.read_bytes() == (tmp_path / "b.png").read_bytes()
