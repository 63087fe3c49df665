"""Bad flags of every script, in process: one sentence or tyro's usage, and exit code 2."""

import numpy as np
import pytest
from robustness.bad_commands import COMMANDS

from aejax._command_line import parse
from aejax._user_errors import user_errors
from aejax.training import Options, prepare
from aejax.training.loop import train


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory):
  """A run that is trained, and scored in name only: no command of the table gets as far."""
  workdir = tmp_path_factory.mktemp("runs") / "digits"
  options = Options(workdir=workdir, network="linear", latent_dim=2, epochs=2)
  run = prepare("cwae", {}, options)
  configuration, dataset = run.configuration, run.dataset
  train(configuration, dataset, workdir)
  (workdir / "summary.json").write_text(
    '{"method": "cwae", "dataset": "digits", "test_images": 359}'
  )
  return workdir


@pytest.fixture
def places(digits_run, tmp_path, monkeypatch):
  """What the table's names in braces stand for; what a script leaves behind, it leaves here."""
  monkeypatch.chdir(tmp_path)
  folder, used = tmp_path / "folder", tmp_path / "used"
  folder.mkdir()
  used.mkdir()
  (used / "something").touch()
  (tmp_path / "notes.txt").write_text("no images")
  rng = np.random.default_rng(0)
  np.savez(tmp_path / "images.npz", images=rng.integers(0, 256, (40, 7, 5, 3), np.uint8))
  return {
    "digits": digits_run,
    "folder": folder,
    "file": tmp_path / "notes.txt",
    "images": tmp_path / "images.npz",
    "used": used,
  }


@pytest.mark.usefixtures("without_beartype")
@pytest.mark.parametrize(
  ("name", "arguments"),
  [
    # Of each eight one in every run of the tests; all of them by `make soak`.
    pytest.param(name, arguments, id=f"{k}-{name}", marks=[pytest.mark.slow] if k % 8 else [])
    for k, (name, arguments) in enumerate(COMMANDS)
  ],
)
def test_a_bad_flag_is_one_sentence(name, arguments, places, script, capsys):
  arguments = [argument.format(**places) for argument in arguments]
  module = script(name)
  before = sorted(places["folder"].iterdir())
  options = getattr(module, "Options", None) if name != "reproduce_table1" else module.Table
  capsys.readouterr()
  with pytest.raises(SystemExit) as exit, user_errors():
    module.main(arguments if name == "train" else parse(options, arguments))
  out, err = capsys.readouterr()
  assert exit.value.code == 2
  assert out == ""
  assert "Traceback" not in err
  if err.startswith("error: "):
    assert err.count("\n") == 1
  else:  # tyro's own, in a box; without a method, the overview
    assert "─" in err or "-----" in err or "usage: " in err
  # Nothing half written, nothing begun.
  assert sorted(places["folder"].iterdir()) == before
